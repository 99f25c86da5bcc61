import type { SqliteDatabase } from "#platform/sqlite";

/** What tells the time; a test winds its own. */
export interface TimeSource {
  /** Unix ms of the wall clock, which may be set back or forth. */
  wall(): number;
  /** Ms since some moment, which nobody can set. */
  monotonic(): number;
}

const PROCESS: TimeSource = { wall: () => Date.now(), monotonic: () => performance.now() };

/**
 * Unix ms that never decrease: when the wall clock is set back they advance at the monotonic rate until it has caught up, so
 * nothing that is due waits longer for it. `since`: a time that has passed, as the file of the last process says.
 */
export function steadyClock(since: number, source: TimeSource = PROCESS): () => number {
  let last = since;
  let at = source.monotonic();
  return () => {
    const monotonic = source.monotonic();
    last = Math.max(source.wall(), last + monotonic - at);
    at = monotonic;
    return Math.floor(last);
  };
}

/** Rows looked at per table. */
const ROWS = 64;

/**
 * The newest time in the file, as far as the rows show that came last: each pending run is among them or was made before
 * one that is. A few looks at the ends of the tables, whatever their size.
 */
export function newestTime(db: SqliteDatabase): number {
  const ends = [
    `select max(updated_at) as at from (select updated_at from runs order by seq desc limit ${ROWS})`,
    `select max(updated_at) as at from (select updated_at from threads order by id desc limit ${ROWS})`,
    `select max(updated_at) as at from (select updated_at from store_items order by id desc limit ${ROWS})`,
    `select max(at) as at from (select at from run_events order by id desc limit ${ROWS})`,
  ];
  return Math.max(0, ...ends.map((end) => db.prepare(end).get<{ at: number | null }>()?.at ?? 0));
}
