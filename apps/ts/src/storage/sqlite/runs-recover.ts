import type { Fence } from "#core/runs/fence";
import type { RunFailure, SweepLimits, SweptRun } from "#core/runs/repository";
import { type RunRow, SELECT_RUN, toRun } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { freeLane, freeWriters, setThreadStatus } from "./lane-state.ts";
import { heldRun } from "./runs-claim.ts";
import { closeRun, rollbackRun } from "./runs-finish.ts";

/** A state write is a few statements around user code: one that holds a lane this long has lost its process. */
const WRITER_TTL_MS = 60_000;
const MAX_BACKOFF_S = 60;

/** Seconds until the next attempt: 0 after the first, then 1, 3, 7 ... 60. */
function backoffSeconds(attempt: number): number {
  return Math.min(MAX_BACKOFF_S, 2 ** Math.max(0, attempt - 1) - 1);
}

/** `RunRepository.sweep`, inside a transaction. `live`: workers that are there. */
export function sweepRuns(connection: Connection, live: readonly string[], limits: SweepLimits): SweptRun[] {
  const now = connection.now();
  freeWriters(connection, now - WRITER_TTL_MS);
  const deafSince = limits.cancelGraceMs === undefined ? null : now - limits.cancelGraceMs;
  const lost = connection
    .sql(
      `${SELECT_RUN}join lanes l on l.thread = r.thread and l.active_seq = r.seq where r.status = 'running' ` +
        "and (l.worker not in (select value from json_each(?)) or r.cancel_at <= ?) order by r.seq limit ?",
    )
    .all<RunRow>(JSON.stringify(live), deafSince, limits.batch ?? -1);
  return lost.map((row) => takeBackLane(connection, row, exhausted(row, undefined)));
}

/** `RunRepository.retry`, inside a transaction. */
export function retryRun(connection: Connection, fence: Fence, failure: RunFailure): SweptRun | undefined {
  const row = heldRun(connection, fence);
  return row && takeBackLane(connection, row, exhausted(row, failure));
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

/** The lane is taken from its holder: the run ends as it was asked to, or waits for its next attempt, or gives up. */
export function takeBackLane(connection: Connection, row: RunRow, giveUp: RunFailure): SweptRun {
  if (row.cancel_action !== null) return endByCancel(connection, row, row.cancel_action);
  if (row.attempt >= row.max_attempts) {
    closeRun(connection, row, { ending: { status: "error", error: giveUp }, scope: undefined, bump: 1 });
    return { run: reread(connection, row), result: "exhausted" };
  }
  const wait = backoffSeconds(row.attempt) * 1000;
  const notBefore = wait === 0 ? null : connection.now() + wait;
  requeue(connection, row, { attempt: row.attempt, notBefore, bump: 1 });
  return { run: reread(connection, row), result: "requeued" };
}

function endByCancel(connection: Connection, row: RunRow, action: "interrupt" | "rollback"): SweptRun {
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

export function exhausted(row: RunRow, failure: RunFailure | undefined): RunFailure {
  const last = failure === undefined ? "its worker was lost" : `${failure.error}: ${failure.message}`;
  const message = `The run was given up after ${row.attempt} of ${row.max_attempts} attempts; the last one failed: ${last}`;
  return { error: "RunAttemptsExhausted", message };
}

function reread(connection: Connection, row: RunRow) {
  return toRun(connection.sql(`${SELECT_RUN}where r.seq = ?`).get<RunRow>(row.seq) as RunRow);
}
