import type { GraphLike } from "#core/graphs/registry";

interface CheckpointReader {
  getTuple(config: {
    configurable: { thread_id: string };
  }): Promise<{ checkpoint: { channel_values: Record<string, unknown> } } | undefined>;
}

/** The run stood before a node that the graph no longer has: the code was changed under it. */
export class NodeVanished extends Error {
  override readonly name = "NodeVanished";
  constructor(node: string, graphId: string) {
    super(`The run was about to enter node "${node}", which graph "${graphId}" no longer has`);
  }
}

/**
 * A node that the newest checkpoint would go on with and that the graph does not have. langgraph itself skips it without
 * a word, and the run would end as a success that left something out.
 */
export async function vanishedNode(
  graph: GraphLike,
  saver: CheckpointReader,
  threadId: string,
): Promise<string | undefined> {
  const newest = await saver.getTuple({ configurable: { thread_id: threadId } });
  const channels = Object.entries(newest?.checkpoint.channel_values ?? {});
  return channels.flatMap(([channel, value]) => targetsOf(channel, value)).find((node) => !(node in graph.nodes));
}

/** The nodes that a channel of langgraph's own is about to start. These channels hold a value for one superstep only. */
function targetsOf(channel: string, value: unknown): string[] {
  if (channel.startsWith("branch:to:")) return [channel.slice("branch:to:".length)];
  if (!Array.isArray(value)) return [];
  if (channel === "__pregel_tasks") return value.map(({ node }: { node: string }) => node);
  const [, starts = "", target = ""] = /^join:(.+):([^:]+)$/.exec(channel) ?? [];
  return target !== "" && starts.split("+").every((start) => value.includes(start)) ? [target] : [];
}
