import type { ClaimableGraphs } from "./claimable.ts";
import type { RunRecord } from "./repository.ts";
import type { WorkerInfo } from "./workers.ts";

export interface WorkerLimits {
  /** Runs at once in this process; 0: it executes nothing. */
  slots: number;
  /** Deadline of one attempt, seconds. */
  timeoutSeconds: number;
  /** How long a cancelled run may ignore its signal before the lane is taken away, ms. */
  cancelGraceMs: number;
  claimable: ClaimableGraphs;
}

export interface WorkerIdentity {
  info: Omit<WorkerInfo, "worker_id" | "capacity">;
  /** Told when a lease begins, with its worker's id, and when it is lost. */
  onLease?: ((workerId: string | undefined) => void) | undefined;
}

/** Until its claim, since it was due; both by the database's clock. */
export function secondsWaited({ attempt, started_at, run_at, not_before, updated_at }: RunRecord): number {
  if (attempt === 1 && started_at !== null) return Math.max(0, Date.parse(started_at) - Date.parse(run_at)) / 1_000;
  return not_before === null ? 0 : Math.max(0, Date.parse(updated_at) - Date.parse(not_before)) / 1_000;
}
