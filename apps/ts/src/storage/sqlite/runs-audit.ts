import { type RunRow, SELECT_RUN } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { freeLane, promote, settle } from "./lane-state.ts";
import { takeBackLane } from "./runs-recover.ts";

/** Lanes looked at per call: some milliseconds, and the next call goes on from there. */
const LANES_AT_ONCE = 50_000;

/**
 * `RunRepository.audit`, to be called inside transactions. The lanes are looked through bit by bit, the runs that are at
 * work or wait all at once.
 */
export function createAudit(connection: Connection): () => number {
  let cursor = 0;

  /** The last lane of the next bit; undefined when it reaches to the end. */
  function bound(): number | undefined {
    return connection
      .sql("select thread from lanes where thread > ? order by thread limit 1 offset ?")
      .get<{ thread: number }>(cursor, LANES_AT_ONCE - 1)?.thread;
  }

  return () => {
    const last = bound();
    const mended =
      freeFalselyHeld(connection, { after: cursor, last: last ?? Number.MAX_SAFE_INTEGER }) +
      dropFalseHeads(connection, { after: cursor, last: last ?? Number.MAX_SAFE_INTEGER }) +
      takeBackStrays(connection) +
      promoteForgotten(connection);
    cursor = last ?? 0;
    return mended;
  };
}

interface Bit {
  after: number;
  last: number;
}

/** Held by a run that is not running, or not under the lane's epoch. */
function freeFalselyHeld(connection: Connection, { after, last }: Bit): number {
  const lanes = connection
    .sql(
      "select l.thread from lanes l left join runs r on r.seq = l.active_seq where l.thread > ? and l.thread <= ? " +
        "and l.active_seq is not null and (r.seq is null or r.status <> 'running' or r.epoch <> l.epoch)",
    )
    .all<{ thread: number }>(after, last);
  for (const { thread } of lanes) {
    freeLane(connection, thread, 1);
    settle(connection, thread);
  }
  return lanes.length;
}

/** The head is a run that is not pending. */
function dropFalseHeads(connection: Connection, { after, last }: Bit): number {
  const lanes = connection
    .sql(
      "select l.thread from lanes l left join runs r on r.seq = l.head_seq where l.thread > ? and l.thread <= ? " +
        "and l.head_seq is not null and (r.seq is null or r.status <> 'pending' or r.thread <> l.thread)",
    )
    .all<{ thread: number }>(after, last);
  for (const { thread } of lanes) {
    promote(connection, thread);
    settle(connection, thread);
  }
  return lanes.length;
}

/** Running runs that hold no lane: their attempt is over. */
function takeBackStrays(connection: Connection): number {
  const strays = connection
    .sql(
      `${SELECT_RUN}left join lanes l on l.thread = r.thread where r.status = 'running' ` +
        "and (l.active_seq is null or l.active_seq <> r.seq)",
    )
    .all<RunRow>();
  for (const run of strays) {
    const { thread, epoch } = run;
    connection.sql("insert into lanes (thread, epoch) values (?, ?) on conflict do nothing").run(thread, epoch);
    // A state write has the lane: the run waits for it, and becomes the head when it is over.
    if (activeOn(connection, thread)) {
      connection.sql("update runs set status = 'pending' where seq = ?").run(run.seq);
    } else takeBackLane(connection, run);
  }
  return strays.length;
}

function activeOn(connection: Connection, thread: number): boolean {
  return connection.sql("select 1 from lanes where thread = ? and active is not null").get(thread) !== undefined;
}

/** Pending runs of a thread whose lane has nobody: they would wait for ever. */
function promoteForgotten(connection: Connection): number {
  const threads = connection
    .sql(
      "select distinct r.thread from runs r left join lanes l on l.thread = r.thread where r.status = 'pending' " +
        "and l.active is null and l.head_seq is null",
    )
    .all<{ thread: number }>();
  for (const { thread } of threads) {
    connection.sql("insert into lanes (thread, epoch) values (?, 0) on conflict do nothing").run(thread);
    promote(connection, thread);
    settle(connection, thread);
  }
  return threads.length;
}
