import { LEAST_POSTPONE_MS, type Retention } from "#core/threads/repository";
import { NOW } from "./conditions.ts";
import type { Database, Transaction } from "./database.ts";
import { pruneThread } from "./thread-prune.ts";

/** Threads looked at per sweep; what one of them owns counts against the batch. */
const THREADS_PER_SWEEP = 20;
/** A worker whose lease ended so long ago has left for good; ms. */
const WORKER_DEAD = 3_600_000;

/**
 * Events of runs that go on are passed over; the lookup per row stops where the batch is full. $1: the latest time. A log
 * begins at its run's first epoch: with the first piece that is put after the last one, so that no reader takes the rest
 * for the whole. Runs are locked in order, for another process may have pieces of the same.
 */
const DROP_EVENTS = `
with old as materialized (
  select e.ctid as place, e.run_id from fractal.run_events e where e.at <= $1 and coalesce(
    (select r.ended_at is not null and r.ended_at <= $1 from fractal.runs r where r.run_id = e.run_id), true)
  limit $2 for update of e skip locked),
logs as materialized (
  select r.seq from fractal.runs r where r.run_id = any (array(select distinct run_id from old))
    and r.first_epoch <= r.epoch order by r.seq for no key update),
hidden as (update fractal.runs set first_epoch = epoch + 1 where seq = any (array(select seq from logs))),
gone as (delete from fractal.run_events where ctid = any (array(select place from old)) returning 1)
select count(*) as dropped from gone`;

/** Without those that somebody has locked: they would stand before the others. */
const DUE =
  "select t.thread_id from fractal.threads t join fractal.lanes l on l.thread_id = t.thread_id " +
  `where t.expires_at <= ${NOW} order by t.expires_at limit ${THREADS_PER_SWEEP} for update of l skip locked`;

const LANE =
  "select active is not null as active, active is not null or head_seq is not null as held from fractal.lanes " +
  "where thread_id = $1 for update skip locked";

const POSTPONE =
  `update fractal.threads set expires_at = ${NOW} + ` +
  `greatest(round(coalesce(ttl_minutes, 10) * 60000)::bigint, ${LEAST_POSTPONE_MS}) ` +
  `where thread_id = $1 and expires_at <= ${NOW}`;

/** From the first piece on a thread that goes looks absent. */
const HIDE =
  "update fractal.threads set hidden = true, ttl_strategy = 'delete' " +
  `where thread_id = $1 and expires_at <= ${NOW} returning thread_id`;

const STRATEGY =
  "select ttl_strategy = 'keep_latest' and not hidden as pruned from fractal.threads " +
  `where thread_id = $1 and expires_at <= ${NOW}`;

const OWNED = ["run_events", "checkpoint_writes", "checkpoints", "checkpoint_blobs"];

/** A bounded piece of what a thread owns. Nobody writes there: the lane is locked. */
const DROP_PIECE =
  "with piece as materialized (" +
  OWNED.map((table, i) => `select ${i} as k, ctid as place from fractal.${table} where thread_id = $1`).join(
    " union all ",
  ) +
  " limit $2), " +
  OWNED.map(
    (table, i) =>
      `d${i} as (delete from fractal.${table} where thread_id = $1 ` +
      `and ctid = any (array(select place from piece where k = ${i})) returning 1)`,
  ).join(", ") +
  ` select ${OWNED.map((_, i) => `(select count(*) from d${i})`).join(" + ")} as dropped`;

const DROP_ITEMS = `
with old as materialized (
  select ctid as place from fractal.store_items where expires_at <= ${NOW} limit $1 for update skip locked),
gone as (delete from fractal.store_items where ctid = any (array(select place from old)) returning 1)
select count(*) as dropped from gone`;

const MARKED =
  "select t.thread_id from fractal.threads t join fractal.lanes l on l.thread_id = t.thread_id " +
  `where t.garbage and l.active is null limit ${THREADS_PER_SWEEP} for update of l skip locked`;

const DROP_BLOBS = `
with used as materialized (
  select distinct c.ns, j.key, j.value from fractal.checkpoints c, json_each_text(c.blobs) j where c.thread_id = $1),
gone as (
  delete from fractal.checkpoint_blobs where thread_id = $1 and ctid = any (array(
    select b.ctid from fractal.checkpoint_blobs b where b.thread_id = $1
      and not exists (select from used u where u.ns = b.ns and u.key = b.channel and u.value = b.version) limit $2))
  returning 1)
select count(*) as dropped from gone`;

const DROP_WORKERS = `
with gone as (
  delete from fractal.workers w where w.expires_at <= ${NOW} - ${WORKER_DEAD}
    and not exists (select from fractal.lanes l where l.worker_id = w.worker_id) returning 1)
select count(*) as dropped from gone`;

/**
 * Any process may sweep at any time: what another one has locked is left to it. Each step, and each thread of a step, is
 * a transaction of its own.
 */
export function postgresRetention(database: Database): Retention {
  async function sweepEvents(eventHours: number, batch: number): Promise<number> {
    const [clock] = await database.rows<{ now: number }>("select fractal.now_ms() as now");
    const cutoff = (clock as { now: number }).now - eventHours * 3_600_000;
    return dropped(await database.rows(DROP_EVENTS, [Math.floor(cutoff), batch]));
  }

  async function sweepThreads(batch: number): Promise<number> {
    return overThreads(database, DUE, { batch, step: expire });
  }

  /** Blobs of threads that lost checkpoints. Not while a run is at work: it may yet refer to what it has loaded. */
  async function sweepBlobs(batch: number): Promise<number> {
    return overThreads(database, MARKED, { batch, step: dropBlobs });
  }

  return {
    sweep: async ({ eventHours, batch }) => {
      const steps = [
        (left: number) => sweepEvents(eventHours, left),
        sweepThreads,
        async (left: number) => dropped(await database.rows(DROP_ITEMS, [left])),
        sweepBlobs,
        async () => dropped(await database.rows(DROP_WORKERS)),
      ];
      let total = 0;
      for (const step of steps) if (total < batch) total += await step(batch - total);
      return total;
    },
  };
}

type Step = (transaction: Transaction, threadId: string, limit: number) => Promise<number>;

async function overThreads(database: Database, select: string, how: { batch: number; step: Step }): Promise<number> {
  const threads = await database.rows<{ thread_id: string }>(select);
  let total = 0;
  for (const { thread_id: threadId } of threads) {
    if (total >= how.batch) break;
    total += await database.transaction((transaction) => how.step(transaction, threadId, how.batch - total));
  }
  return total;
}

/** Undefined when the thread is gone, or somebody else has locked its lane. */
async function laneOf(transaction: Transaction, threadId: string) {
  const [lane] = await transaction.rows<{ held: boolean; active: boolean }>(LANE, [threadId]);
  return lane;
}

/** Each statement after the lock asks again whether the thread is due: its run may just have ended. */
async function expire(transaction: Transaction, threadId: string, limit: number): Promise<number> {
  const lane = await laneOf(transaction, threadId);
  if (lane === undefined) return 0;
  // A thread at work is not expired: it gets its full time again when it comes to rest.
  if (lane.held) {
    await transaction.rows(POSTPONE, [threadId]);
    return 1;
  }
  const [due] = await transaction.rows<{ pruned: boolean | null }>(STRATEGY, [threadId]);
  if (due === undefined) return 0;
  if (due.pruned === true) {
    await pruneThread(transaction, threadId);
    await transaction.rows(POSTPONE, [threadId]);
    return 1;
  }
  const hidden = await transaction.rows(HIDE, [threadId]);
  if (hidden.length === 0) return 0;
  const gone = dropped(await transaction.rows(DROP_PIECE, [threadId, limit]));
  if (gone >= limit) return gone;
  await transaction.rows("select fractal.purge_thread($1)", [threadId]);
  return gone + 1;
}

/** A mark that went counts, whether or not there was anything under it. */
async function dropBlobs(transaction: Transaction, threadId: string, limit: number): Promise<number> {
  const lane = await laneOf(transaction, threadId);
  if (lane === undefined || lane.active) return 0;
  const gone = dropped(await transaction.rows(DROP_BLOBS, [threadId, limit]));
  if (gone >= limit) return gone;
  await transaction.rows("update fractal.threads set garbage = false where thread_id = $1", [threadId]);
  return Math.max(gone, 1);
}

function dropped(rows: readonly unknown[]): number {
  return (rows[0] as { dropped: number } | undefined)?.dropped ?? 0;
}
