import type { Fence } from "#core/runs/fence";
import type { FinishResult, RunOutcome } from "#core/runs/repository";
import type { ThreadStatus } from "#schemas/threads";
import { type RunRow, toRun } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { insertEvents } from "./event-rows.ts";
import { endRun, freeLane, settle } from "./lane-state.ts";
import { purgeRun } from "./purge.ts";
import { heldRun } from "./runs-claim.ts";
import { isUnfinished, writeState } from "./thread-state.ts";

/** How long the thread of a finished stateless run stays readable by run id. */
export const STATELESS_GRACE_MS = 10 * 60_000;

interface Ending {
  status: RunOutcome["status"];
  error: RunOutcome["error"];
}

/** `RunRepository.finish`, inside a transaction. */
export function finishRun(connection: Connection, fence: Fence, outcome: RunOutcome): FinishResult {
  const row = heldRun(connection, fence);
  if (row === undefined) return { kind: "fenced" };
  const { thread } = row;
  if (row.cancel_action === "rollback") {
    // The thread goes back to what was kept of it before the run; the outcome tells of checkpoints that are about to go.
    rollbackRun(connection, row);
    return { kind: "removed" };
  }
  if (outcome.state !== undefined) writeState(connection, { thread, scope: outcome.scope }, outcome.state);
  insertEvents(connection, thread, outcome.events);
  const status = closeRun(connection, row, { ending: outcome, scope: outcome.scope, bump: 0 });
  const now = connection.now();
  return {
    kind: "finished",
    run: toRun({
      ...row,
      status: outcome.status,
      error: outcome.error === null ? null : JSON.stringify(outcome.error),
      ended_at: now,
      updated_at: now,
    }),
    thread_status: status,
  };
}

/**
 * Ends a run that holds its lane, frees the lane and settles the thread: busy if another run waits, else by how this one
 * ended. Null for a hidden thread, which from now on waits for its deletion.
 * `bump`: the lane is taken away from somebody who may still be writing.
 */
export function closeRun(
  connection: Connection,
  row: RunRow,
  how: { ending: Ending; scope: string | undefined; bump: 0 | 1 },
): ThreadStatus | null {
  const { ending } = how;
  const failed = ending.status === "error" || ending.status === "timeout";
  endRun(connection, row.seq, ending);
  const busy = freeLane(connection, row.thread, how.bump);
  const resting = failed ? "error" : isUnfinished(connection, row.thread) ? "interrupted" : "idle";
  const status: ThreadStatus = busy ? "busy" : resting;
  const hidden = row.stateless === 1 && row.on_completion === "delete";
  const now = connection.now();
  connection
    .sql(
      "update threads set status = ?, error = ?, scope = coalesce(?, scope), hidden = ?, state_updated_at = ?, " +
        "updated_at = max(?, updated_at + 1), " +
        "expires_at = case when ? then ? else cast(? + ttl_minutes * 60000 as integer) end where id = ?",
    )
    .run(
      status,
      failed ? JSON.stringify(ending.error ?? { error: ending.status, message: "" }) : null,
      how.scope ?? null,
      hidden ? 1 : 0,
      now,
      now,
      hidden ? 1 : 0,
      now + STATELESS_GRACE_MS,
      now,
      row.thread,
    );
  return hidden ? null : status;
}

/** Deletes a run with all it wrote; the thread goes on from the state before it. */
export function rollbackRun(connection: Connection, row: RunRow, bump: 0 | 1 = 0): void {
  purgeRun(connection, row);
  freeLane(connection, row.thread, bump);
  settle(connection, row.thread);
  if (row.stateless === 1) leaveStateless(connection, row, 0);
}

/** A stateless run that ended without finishing: its thread stays for so long, or for good if that was asked for. */
export function leaveStateless(connection: Connection, row: RunRow, graceMs: number): void {
  if (row.on_completion === "keep") connection.sql("update threads set hidden = 0 where id = ?").run(row.thread);
  else connection.sql("update threads set expires_at = ? where id = ?").run(connection.now() + graceMs, row.thread);
}
