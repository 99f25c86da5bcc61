import type { GraphLike } from "#core/graphs/registry";

/** The node of the graph whose task threw; undefined when the thread's state does not say. */
export async function failedNode(
  graph: GraphLike | undefined,
  threadId: string,
  error: unknown,
): Promise<string | undefined> {
  // langgraph marks what its tasks throw.
  const { pregelTaskId } = Object(error) as { pregelTaskId?: unknown };
  if (graph === undefined || typeof pregelTaskId !== "string") return undefined;
  try {
    const { tasks } = await graph.getState({ configurable: { thread_id: threadId } });
    return (tasks as { id: string; name: string }[]).find(({ id }) => id === pregelTaskId)?.name;
  } catch {
    // The line about the failure must not fail: it goes without the node, and the state is read again for the run's end.
    return undefined;
  }
}
