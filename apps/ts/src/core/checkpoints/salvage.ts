import type { WriteRow } from "#core/checkpoints/repository";

/** Writes of no task: input and resume values. Applied to the channels when a checkpoint is read. */
export const NULL_TASK_ID = "00000000-0000-0000-0000-000000000000";

/** How a checkpoint is read that cannot be read as a whole, or whose pending writes its graph cannot apply. */
export interface Salvage {
  /**
   * Pending writes to channels that reads leave out: those of every task, or `updates`, which belong to no task and were
   * left by another run.
   */
  leaveOut: "nothing" | "updates" | "writes";
  /** What cannot be decoded is left out and named here; without it, reads fail. */
  problems?: string[];
  /** Tasks whose writes were left out. */
  tasks: Set<string>;
}

/** An update that a run left behind: it ended before the graph had taken it. */
export function isLeftUpdate(write: WriteRow, runId: string | undefined): boolean {
  // Special writes (errors, interrupts, resume values) have negative numbers.
  return write.task_id === NULL_TASK_ID && write.idx >= 0 && write.run_id !== (runId ?? null);
}

export function withoutLeftOut(
  writes: readonly WriteRow[],
  salvage: Salvage,
  runId: string | undefined,
): readonly WriteRow[] {
  if (salvage.leaveOut === "nothing") return writes;
  return writes.filter((write) => {
    const out = salvage.leaveOut === "writes" ? write.idx >= 0 : isLeftUpdate(write, runId);
    if (out) salvage.tasks.add(write.task_id);
    return !out;
  });
}

/** What `read` gives; undefined, with a problem noted, where it fails and the salvage allows that. */
export async function attempt<T>(
  read: () => T | Promise<T>,
  { salvage, what }: { salvage: Salvage | undefined; what: string },
): Promise<{ value: T } | undefined> {
  try {
    return { value: await read() };
  } catch (error) {
    if (salvage?.problems === undefined) throw error;
    salvage.problems.push(`${what} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
