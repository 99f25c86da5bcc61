import type { Fence } from "#core/runs/fence";
import { backoffMs, givenUp, POLICY, restartsAllowed } from "#core/runs/policy";
import type { RetryCause, RunFailure, SweptRun } from "#core/runs/repository";
import { type RunRow, SELECT_RUN, toRun } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { freeLane, setThreadStatus } from "./lane-state.ts";
import { heldRun } from "./runs-claim.ts";
import { closeRun, rollbackRun } from "./runs-finish.ts";

/** `RunRepository.retry`, inside a transaction. */
export function retryRun(
  connection: Connection,
  fence: Fence,
  how: { failure: RunFailure; cause: RetryCause },
): SweptRun | undefined {
  const row = heldRun(connection, fence);
  if (row === undefined) return undefined;
  if (row.cancel_action !== null) return endByCancel(connection, row, row.cancel_action);
  const why = `${how.failure.error}: ${how.failure.message}`;
  if (how.cause === "fault") {
    const strikes = row.strikes + 1;
    if (strikes >= row.max_attempts) return giveUp(connection, row, givenUp("fault", strikes, why));
    quarantine(connection, row, { group: `${row.run_id}/1`, strikes, restarts: row.restarts });
    return requeueAfter(connection, row, backoffMs(strikes));
  }
  const failures = (progressed(connection, row) ? 0 : row.restarts) + 1;
  if (failures > restartsAllowed(row.max_attempts)) {
    return giveUp(connection, row, givenUp("failed", failures, why));
  }
  connection.sql("update runs set restarts = ? where seq = ?").run(failures, row.seq);
  return requeueAfter(connection, row, backoffMs(failures));
}

/** `RunRepository.evict`, inside a transaction. */
export function evictRun(connection: Connection, fence: Fence): SweptRun | undefined {
  const row = heldRun(connection, fence);
  return row && endByCancel(connection, row, row.cancel_action ?? "interrupt");
}

/** `RunRepository.release`, inside a transaction: the attempt is given back. */
export function releaseRun(connection: Connection, fence: Fence): SweptRun | undefined {
  const row = heldRun(connection, fence);
  if (row === undefined) return undefined;
  if (row.cancel_action !== null) return endByCancel(connection, row, row.cancel_action);
  requeue(connection, row, { attempt: row.attempt - 1, notBefore: null, bump: 0 });
  return { run: reread(connection, row), result: "requeued" };
}

/** The lane is taken from its holder: the run ends as it was asked to, or waits for its next attempt. */
export function takeBackLane(connection: Connection, row: RunRow): SweptRun {
  if (row.cancel_action !== null) return endByCancel(connection, row, row.cancel_action);
  return requeueAfter(connection, row, 0);
}

export function requeueAfter(connection: Connection, row: RunRow, waitMs: number): SweptRun {
  const notBefore = waitMs === 0 ? null : connection.now() + waitMs;
  requeue(connection, row, { attempt: row.attempt, notBefore, bump: 1 });
  return { run: reread(connection, row), result: "requeued" };
}

export function giveUp(connection: Connection, row: RunRow, error: RunFailure): SweptRun {
  closeRun(connection, row, { ending: { status: "error", error }, scope: undefined, bump: 1 });
  return { run: reread(connection, row), result: "exhausted" };
}

export function endByCancel(connection: Connection, row: RunRow, action: "interrupt" | "rollback"): SweptRun {
  if (action === "rollback") {
    rollbackRun(connection, row, 1);
    return { run: toRun(row), result: "removed" };
  }
  closeRun(connection, row, { ending: { status: "interrupted", error: null }, scope: undefined, bump: 1 });
  return { run: reread(connection, row), result: "interrupted" };
}

/** Pending again, at its old place in the order; `notBefore` moves only the time at which it may be claimed. */
function requeue(
  connection: Connection,
  row: RunRow,
  how: { attempt: number; notBefore: number | null; bump: 0 | 1 },
): void {
  connection
    .sql("update runs set status = 'pending', attempt = ?, not_before = ?, updated_at = ? where seq = ?")
    .run(how.attempt, how.notBefore, connection.now(), row.seq);
  freeLane(connection, row.thread, how.bump);
  setThreadStatus(connection, row.thread, "busy");
}

export function reread(connection: Connection, row: RunRow) {
  return toRun(connection.sql(`${SELECT_RUN}where r.seq = ?`).get<RunRow>(row.seq) as RunRow);
}

/** Marks a run that is about to be requeued. */
export function quarantine(
  connection: Connection,
  row: RunRow,
  mark: { group: string; strikes: number; restarts: number },
): void {
  connection
    .sql("update runs set quarantine = ?, quarantine_until = ?, strikes = ?, restarts = ? where seq = ?")
    .run(mark.group, connection.now() + POLICY.quarantineMs, mark.strikes, mark.restarts, row.seq);
}

/** Whether the present attempt has stored a checkpoint. */
export function progressed(connection: Connection, row: RunRow): boolean {
  const made = connection
    .sql("select 1 from checkpoints where thread = ? and run_id = ? and epoch = ? limit 1")
    .get(row.thread, row.run_id, row.epoch);
  return made !== undefined;
}
