import type { GraphLike } from "#core/graphs/registry";
import type { RunOutcome } from "#core/runs/repository";
import { type StateSnapshot, toRunState } from "./state-snapshot.ts";

/**
 * The state of a thread after a run, as the finishing transaction writes it. `graph` is bound to the run's own saver, so
 * what the run has put is seen even where it is not stored yet. `values` is undefined where no checkpoint exists.
 */
export async function readRunState(graph: GraphLike, threadId: string): Promise<NonNullable<RunOutcome["state"]>> {
  const snapshot: StateSnapshot = await graph.getState({ configurable: { thread_id: threadId } });
  return toRunState(snapshot);
}
