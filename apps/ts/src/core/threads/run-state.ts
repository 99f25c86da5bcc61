import type { GraphLike } from "#core/graphs/registry";
import type { RunOutcome } from "#core/runs/repository";
import { readSnapshot, type SnapshotReader } from "./read-snapshot.ts";
import { type StateSnapshot, toRunState } from "./state-snapshot.ts";

/**
 * The state of a thread after a run, as the finishing transaction writes it. `graph` is bound to the run's own saver, so
 * what the run has put is seen even where it is not stored yet. `values` is undefined where no checkpoint exists.
 * @param salvaging With it, of a state that cannot be read whole, what can be read.
 */
export async function readRunState(
  graph: GraphLike,
  threadId: string,
  salvaging?: Omit<SnapshotReader, "graph">,
): Promise<NonNullable<RunOutcome["state"]>> {
  const config = { configurable: { thread_id: threadId } };
  const snapshot: StateSnapshot =
    salvaging === undefined ? await graph.getState(config) : await readSnapshot({ graph, ...salvaging }, config);
  return toRunState(snapshot);
}
