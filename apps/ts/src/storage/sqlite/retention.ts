import { LEAST_POSTPONE_MS, type Retention } from "#core/threads/repository";
import type { Connection } from "./connection.ts";
import { isHeld } from "./lane-state.ts";
import { pruneThread } from "./thread-prune.ts";

/** Threads looked at per step; what one of them owns counts against the batch. */
const THREADS_PER_STEP = 20;
/** Free pages that are worth giving back, and how many at once (4 KiB each). */
const FREE_PAGES_WORTH = 256;
const FREE_PAGES_AT_ONCE = 512;

export function sqliteRetention(connection: Connection): Retention {
  // Where the look through the log stopped. Rows are in the order of their arrival, so old ones come first; those of
  // runs that go on are passed over and met again when the end of the old ones was reached.
  let cursor = 0;

  function sweepEvents(cutoff: number, batch: number): number {
    const rows = connection
      .sql(
        "select e.id, e.run_id, e.run_id is null or r.seq is null or (r.ended_at is not null and r.ended_at <= ?1) as over " +
          "from run_events e left join runs r on r.run_id = e.run_id where e.id > ?2 and e.at <= ?1 order by e.id limit ?3",
      )
      .all<{ id: number; run_id: string | null; over: number }>(cutoff, cursor, batch);
    const over = rows.filter((row) => row.over === 1);
    hideLogs(new Set(over.map((row) => row.run_id)));
    const drop = connection.sql("delete from run_events where id = ?");
    for (const row of over) drop.run(row.id);
    cursor = rows.length < batch ? 0 : (rows.at(-1)?.id ?? 0);
    return over.length;
  }

  /**
   * A log begins at its run's first epoch: with the first piece that is put after the last one, so that no reader takes
   * the rest for the whole.
   */
  function hideLogs(runs: ReadonlySet<string | null>): void {
    const hide = connection.sql("update runs set first_epoch = epoch + 1 where run_id = ? and first_epoch <= epoch");
    for (const run of runs) if (run !== null) hide.run(run);
  }

  function sweepThreads(batch: number): number {
    const now = connection.now();
    const due = connection
      .sql("select id, ttl_strategy, hidden from threads where expires_at <= ? order by expires_at limit ?")
      .all<{ id: number; ttl_strategy: string | null; hidden: number }>(now, THREADS_PER_STEP);
    let dropped = 0;
    for (const { id, ttl_strategy: strategy, hidden } of due) {
      if (dropped >= batch) break;
      // A thread at work is not expired: it gets its full time again when it comes to rest.
      const held = isHeld(connection, id);
      if (held || (strategy === "keep_latest" && hidden === 0)) {
        if (!held) pruneThread(connection, id);
        postpone(id, now);
        dropped++;
      } else dropped += dropThread(id, batch - dropped);
    }
    return dropped;
  }

  function postpone(thread: number, now: number): void {
    connection
      .sql(
        "update threads set expires_at = cast(? + max(coalesce(ttl_minutes, 10) * 60000, ?) as integer) where id = ?",
      )
      .run(now, LEAST_POSTPONE_MS, thread);
  }

  /** In pieces, so that a long thread does not hold up everybody: hidden from the first piece on. */
  function dropThread(thread: number, limit: number): number {
    connection.sql("update threads set hidden = 1, ttl_strategy = 'delete' where id = ? and hidden = 0").run(thread);
    let left = limit;
    for (const table of ["run_events", "checkpoint_writes", "checkpoints", "checkpoint_blobs"]) {
      left -= connection
        .sql(`delete from ${table} where id in (select id from ${table} where thread = ? limit ?)`)
        .run(thread, left);
      if (left <= 0) return limit;
    }
    connection.sql("delete from threads where id = ?").run(thread);
    return limit - left + 1;
  }

  function sweepStore(batch: number): number {
    return connection
      .sql("delete from store_items where id in (select id from store_items where expires_at <= ? limit ?)")
      .run(connection.now(), batch);
  }

  /** Blobs of threads that lost checkpoints. Not while a run is at work: it may yet refer to what it has loaded. */
  function sweepBlobs(batch: number): number {
    const marked = connection
      .sql(
        "select t.id from threads t left join lanes l on l.thread = t.id where t.garbage = 1 and l.active is null limit ?",
      )
      .all<{ id: number }>(THREADS_PER_STEP);
    let dropped = 0;
    for (const { id } of marked) {
      const gone = connection
        .sql(
          "delete from checkpoint_blobs where id in (select b.id from checkpoint_blobs b where b.thread = ?1 and not exists (" +
            "select 1 from checkpoints c, json_each(c.blobs) j where c.thread = ?1 and c.ns = b.ns and j.key = b.channel " +
            "and j.value = b.version) limit ?2)",
        )
        .run(id, batch - dropped);
      dropped += gone;
      if (dropped >= batch) break;
      connection.sql("update threads set garbage = 0 where id = ?").run(id);
      // A mark that went counts, whether or not there was anything under it.
      if (gone === 0) dropped++;
    }
    return dropped;
  }

  function giveBackPages(): void {
    const free = connection.sql("pragma freelist_count").get<{ freelist_count: number }>()?.freelist_count ?? 0;
    if (free >= FREE_PAGES_WORTH) connection.exec(`pragma incremental_vacuum(${FREE_PAGES_AT_ONCE})`);
  }

  return {
    sweep: async ({ eventHours, batch }) => {
      const steps = [
        (left: number) => sweepEvents(connection.now() - eventHours * 3_600_000, left),
        sweepThreads,
        sweepStore,
        sweepBlobs,
      ];
      let dropped = 0;
      for (const step of steps) {
        if (dropped < batch) dropped += await connection.write(() => step(batch - dropped));
      }
      await connection.read(giveBackPages);
      // A log that was not looked through to its end is not done with, though this piece of it may have to stay.
      return dropped === 0 && cursor > 0 ? 1 : dropped;
    },
  };
}
