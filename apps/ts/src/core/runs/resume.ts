import type { GraphLike } from "#core/graphs/registry";
import { pendingInterrupts, type StateSnapshot } from "#core/threads/state-snapshot";
import type { JsonObject } from "#schemas/common";

/** The name that langgraph's own refusal of a resume has; clients tell them apart by it. */
class UnknownInterruptError extends Error {
  override readonly name = "UnknownInterruptError";
}

/**
 * `command.resume: null` is an answer like any other, but langgraph takes a null for no answer at all,
 * unless it stands under the id of an interrupt. As any single value it answers the first interrupt that is pending.
 */
export async function nullResume(target: { graph: GraphLike; configurable: JsonObject }): Promise<JsonObject> {
  const { tasks }: StateSnapshot = await target.graph.getState({ configurable: target.configurable });
  const ids = tasks.flatMap((task) => pendingInterrupts(task)).flatMap(({ id }) => id ?? []);
  const [first] = ids;
  if (first === undefined) throw new UnknownInterruptError("There is no pending interrupt to resume with null");
  if (ids.length > 1 && target.configurable.__pregel_strict_resume === true) {
    throw new UnknownInterruptError("There are several pending interrupts; name the one to resume by its id");
  }
  return { [first]: null };
}
