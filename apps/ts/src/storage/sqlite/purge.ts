import type { Connection } from "./connection.ts";

/** Deletes a thread with all it owns (the rows refer to it with ON DELETE CASCADE). Its fences are stale from then on. */
export function purgeThread(connection: Connection, thread: number): void {
  connection.sql("delete from threads where id = ?").run(thread);
}

/** Deletes a run with its checkpoints, writes and events. Blobs are left to retention, which sees the mark. */
export function purgeRun(connection: Connection, run: { seq: number; thread: number; run_id: string }): void {
  const { seq, thread, run_id: runId } = run;
  const checkpoints = connection.sql("delete from checkpoints where thread = ? and run_id = ?").run(thread, runId);
  connection.sql("delete from checkpoint_writes where thread = ? and run_id = ?").run(thread, runId);
  connection.sql("delete from run_events where thread = ? and run_id = ?").run(thread, runId);
  connection.sql("delete from runs where seq = ?").run(seq);
  if (checkpoints > 0) markGarbage(connection, thread);
}

/** Blobs of this thread may have lost their last checkpoint. */
export function markGarbage(connection: Connection, thread: number): void {
  connection.sql("update threads set garbage = 1 where id = ?").run(thread);
}
