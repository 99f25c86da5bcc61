import { RuntimeError } from "#core/errors";
import type { Fence } from "#core/runs/fence";
import type { RunFailure } from "#core/runs/repository";
import type { RunStatus } from "#schemas/runs";
import type { ThreadStatus } from "#schemas/threads";
import type { Connection } from "./connection.ts";

/**
 * What the lane of a thread goes through. `active` is the run (or state writer) that holds it, `head` the pending run
 * that takes it next; a held lane has no head, it is looked for when the lane becomes free.
 *
 *   idle, no head --create--> idle, head waiting --(due)--> idle, head ready --claim, epoch+1--> held by the run
 *        ^                                                                                          |
 *        +------------------ free: the next pending run becomes head, if any <---------------------+
 *                            (finish, release, retry; sweep and evict also take epoch+1)
 */
export interface LaneRow {
  thread: number;
  epoch: number;
  active: string | null;
  active_seq: number | null;
  head_seq: number | null;
  head_at: number | null;
  head_retry: number;
}

export function laneOf(connection: Connection, thread: number): LaneRow | undefined {
  return connection
    .sql("select thread, epoch, active, active_seq, head_seq, head_at, head_retry from lanes where thread = ?")
    .get<LaneRow>(thread);
}

/** Frees a held lane: the earliest pending run becomes its head. True when it keeps the thread busy (see `promote`). */
export function freeLane(connection: Connection, thread: number, bump: 0 | 1 = 0): boolean {
  connection
    .sql(
      "update lanes set active = null, active_seq = null, worker = null, writer_since = null, epoch = epoch + ?, " +
        "head_seq = null, head_at = null, head_retry = 0, head_vt = null, head_graph = null, ready = 0 where thread = ?",
    )
    .run(bump, thread);
  return promote(connection, thread);
}

/** Takes the lanes of state writes whose worker is not among these; where it is not known, of those that began by `since`. */
export function freeWriters(connection: Connection, live: readonly string[], since: number): void {
  const held = connection
    .sql(
      "select thread from lanes where writer_since is not null and " +
        "case when worker is null then writer_since <= ? else worker not in (select value from json_each(?)) end",
    )
    .all<{ thread: number }>(since, JSON.stringify(live));
  for (const { thread } of held) {
    // A delayed run may have become due meanwhile.
    if (freeLane(connection, thread, 1)) setThreadStatus(connection, thread, "busy");
  }
}

/** A run or a state write is at work on the thread, or a run waits for it. */
export function isHeld(connection: Connection, thread: number): boolean {
  const lane = connection
    .sql("select 1 as held from lanes where thread = ? and (active is not null or head_seq is not null)")
    .get(thread);
  return lane !== undefined;
}

/** Whether the fence is that of the lane's present holder. */
export function isHolder(connection: Connection, fence: Fence): boolean {
  const lane = connection
    .sql(
      "select 1 from threads t join lanes l on l.thread = t.id where t.thread_id = ? and l.active = ? and l.epoch = ?",
    )
    .get(fence.threadId, fence.runId, fence.epoch);
  return lane !== undefined;
}

interface Head {
  seq: number;
  run_at: number;
  not_before: number | null;
  attempt: number;
  graph_id: string;
  priority: number;
  /** Place among the heads of other threads: creation time, later for a tenant that is ahead of its share. */
  vt: number;
  /** The half of a dead process's runs that it belongs to, and until when it is kept apart; null: no suspect. */
  quarantine: string | null;
  quarantine_until: number | null;
}

/** What a run that was never tried has. */
export const NEW_HEAD = { not_before: null, attempt: 0, quarantine: null, quarantine_until: null };

/**
 * Makes the earliest pending run the head of an idle lane. A run that was tried before stands first by itself: while it
 * waits nothing else of its thread is started, so nothing pending is earlier. True when there is one: the thread is busy
 * with it, also when its time has not come.
 */
export function promote(connection: Connection, thread: number): boolean {
  const next = connection
    .sql(
      "select seq, run_at, not_before, attempt, graph_id, priority, vt, quarantine, quarantine_until from runs where thread = ? and status = 'pending' " +
        "order by run_at, seq limit 1",
    )
    .get<Head>(thread);
  if (next === undefined) {
    connection
      .sql(
        "update lanes set head_seq = null, head_at = null, head_retry = 0, head_vt = null, head_graph = null, ready = 0 " +
          "where thread = ? and head_seq is not null",
      )
      .run(thread);
    return false;
  }
  setHead(connection, thread, next);
  return true;
}

/** A suspect is not ready: it is claimed apart, or like others when it has waited for too long. */
export function setHead(connection: Connection, thread: number, head: Head): void {
  const now = connection.now();
  const due = Math.max(head.run_at, head.not_before ?? 0);
  const at = Math.max(due, head.quarantine_until ?? 0);
  const ready = at <= now ? 1 : 0;
  connection
    .sql(
      "update lanes set head_seq = ?, head_at = ?, head_retry = ?, head_pri = ?, head_vt = ?, head_graph = ?, ready = ? " +
        "where thread = ?",
    )
    .run(head.seq, at, head.attempt > 0 ? 1 : 0, head.priority, head.vt, head.graph_id, ready, thread);
  if (head.quarantine === null) return;
  connection
    .sql("update lanes set suspect_seq = ?, suspect_group = ?, suspect_at = ? where thread = ?")
    .run(head.seq, head.quarantine, Math.max(due, now), thread);
}

/** Whether `ripen` would change anything; a look at one index entry. */
export function hasRipe(connection: Connection): boolean {
  return (
    connection
      .sql("select 1 as ripe from lanes where ready = 0 and head_seq is not null and head_at <= ? limit 1")
      .get(connection.now()) !== undefined
  );
}

/** Heads that have become due may be claimed, and their threads are busy from now on. Inside a write. */
export function ripen(connection: Connection): void {
  const now = connection.now();
  const due = connection
    .sql("update lanes set ready = 1 where ready = 0 and head_seq is not null and head_at <= ? returning thread")
    .all<{ thread: number }>(now);
  for (const { thread } of due) setThreadStatus(connection, thread, "busy");
}

/** Before reads that show a thread's status: a delayed run makes its thread busy when it is due. */
export function ripenForRead(connection: Connection): void {
  if (!hasRipe(connection)) return;
  try {
    connection.writeNow(() => ripen(connection));
  } catch (error) {
    // A disk that takes no writes still answers reads; until it does, the run cannot be claimed either.
    if (!(error instanceof RuntimeError) || error.code !== "unavailable") throw error;
  }
}

export function setThreadStatus(connection: Connection, thread: number, status: ThreadStatus): void {
  connection
    .sql("update threads set status = ?, updated_at = max(?, updated_at + 1) where id = ? and status <> ?")
    .run(status, connection.now(), thread, status);
}

/**
 * Status of a thread on which nothing is active or due: a pending interrupt, else the failure of its last run, else
 * something left to do (a static breakpoint, a cancelled run), else idle.
 */
export function restingStatus(connection: Connection, thread: number): ThreadStatus {
  const state = connection
    .sql(
      "select t.error is not null as failed, " +
        "exists (select 1 from thread_states s where s.thread = t.id and s.interrupts <> '{}') as interrupted, " +
        "exists (select 1 from thread_states s where s.thread = t.id and s.pending = 1) as unfinished " +
        "from threads t where t.id = ?",
    )
    .get<{ failed: number; interrupted: number; unfinished: number }>(thread);
  if (state === undefined) return "idle";
  if (state.interrupted === 1) return "interrupted";
  if (state.failed === 1) return "error";
  return state.unfinished === 1 ? "interrupted" : "idle";
}

/** Status after runs went away without having finished: busy with what runs or waits, else at rest. */
export function settle(connection: Connection, thread: number): void {
  const busy = connection
    .sql(
      "select 1 as busy from runs where thread = ?1 and status = 'running' union all " +
        "select 1 from runs where thread = ?1 and status = 'pending' limit 1",
    )
    .get(thread);
  setThreadStatus(connection, thread, busy === undefined ? restingStatus(connection, thread) : "busy");
}

/** Ends a run; the terminal states are final. */
export function endRun(
  connection: Connection,
  seq: number,
  end: { status: Exclude<RunStatus, "pending" | "running">; error: RunFailure | null },
): void {
  const now = connection.now();
  connection
    .sql(
      "update runs set status = ?, error = ?, ended_at = ?, updated_at = ? where seq = ? and status in ('pending', 'running')",
    )
    .run(end.status, end.error === null ? null : JSON.stringify(end.error), now, now, seq);
}
