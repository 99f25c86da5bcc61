import type { AuthScope } from "#core/identity/scope";
import { channelsIn, deltaChannels } from "../common/checkpoint-columns.ts";
import { keptNamespaces, type NewestCheckpoint } from "../common/kept-namespaces.ts";
import type { Database, Transaction } from "./database.ts";
import { SEEN, seenParams } from "./thread-rows.ts";

const LOCK =
  `with seen as materialized (select t.thread_id from fractal.threads t where ${SEEN}) ` +
  "select l.active is not null or l.head_seq is not null as held from fractal.lanes l " +
  "join seen on seen.thread_id = l.thread_id for update of l";
const AGAIN = `select t.thread_id from fractal.threads t where ${SEEN}`;

/**
 * Takes the lane of a thread that the scope sees, until the end of the transaction: no run begins or ends meanwhile.
 * `held` is read from the locked row, and the thread once more after the lock: it may be gone by then.
 */
export async function lockSeen(
  transaction: Transaction,
  scope: AuthScope,
  threadId: string,
): Promise<{ thread_id: string; held: boolean } | undefined> {
  const params = seenParams(scope, threadId);
  const [lane] = await transaction.rows<{ held: boolean }>(LOCK, params);
  if (lane === undefined) return undefined;
  const [thread] = await transaction.rows<{ thread_id: string }>(AGAIN, params);
  return thread && { ...thread, held: lane.held };
}

/** One thread of `ThreadRepository.prune`. False when it is absent or at work. */
export function pruneUnlessHeld(
  database: Database,
  scope: AuthScope,
  what: { threadId: string; strategy: "delete" | "keep_latest" },
): Promise<boolean> {
  return database.transaction(async (transaction) => {
    const thread = await lockSeen(transaction, scope, what.threadId);
    if (thread === undefined || thread.held) return false;
    if (what.strategy === "delete") await transaction.rows("select fractal.purge_thread($1)", [thread.thread_id]);
    else await pruneThread(transaction, thread.thread_id);
    return true;
  });
}

interface Kept {
  ns: string;
  checkpoint_id: string;
}

const NEWEST =
  "select distinct on (ns) ns, checkpoint_id, case when strpos(ns, ':') > 0 " +
  "or strpos(metadata, 'counters_since_delta_snapshot') > 0 then metadata end as metadata from fractal.checkpoints where thread_id = $1 order by ns, seq desc, checkpoint_id desc";

/** $2 and $3: namespaces and ids of what stays. */
const DROP = `
with kept as materialized (select * from unnest($2::text[], $3::text[]) as k (ns, id)),
gone as (
  delete from fractal.checkpoints c where c.thread_id = $1
    and not exists (select from kept k where k.ns = c.ns and k.id = c.checkpoint_id) returning 1),
writes as (
  delete from fractal.checkpoint_writes w where w.thread_id = $1
    and exists (select from fractal.checkpoints c where c.thread_id = $1 and c.ns = w.ns)
    and not exists (select from kept k where k.ns = w.ns and k.id = w.checkpoint_id))
select fractal.mark_garbage($1) where exists (select from gone)`;

/**
 * Drops all but the newest checkpoint of every namespace, and of those what belongs to tasks that are over; and the writes
 * of what is dropped. Kept besides: ancestors that a delta channel of the newest one is rebuilt from, up to the one that
 * stores its value. Under the lock of the lane.
 */
export async function pruneThread(transaction: Transaction, threadId: string): Promise<void> {
  const newest = await transaction.rows<NewestCheckpoint>(NEWEST, [threadId]);
  if (newest.length === 0) return;
  const kept: Kept[] = [];
  for (const { ns, checkpoint_id, metadata } of keptNamespaces(newest)) {
    kept.push({ ns, checkpoint_id });
    const missing = metadata === null ? [] : deltaChannels(metadata);
    if (missing.length === 0) continue;
    const ancestors = await ancestorsNeeded(transaction, { threadId, ns, checkpoint_id }, new Set(missing));
    for (const id of ancestors) kept.push({ ns, checkpoint_id: id });
  }
  await transaction.rows(DROP, [threadId, kept.map((k) => k.ns), kept.map((k) => k.checkpoint_id)]);
}

const CHAIN = `
with recursive up as (
  select c.checkpoint_id, c.parent_id, c.blobs, c.inline, 0 as depth from fractal.checkpoints c
    where c.thread_id = $1 and c.ns = $2 and c.checkpoint_id = $3
  union all
  select c.checkpoint_id, c.parent_id, c.blobs, c.inline, up.depth + 1 from up join fractal.checkpoints c
    on c.thread_id = $1 and c.ns = $2 and c.checkpoint_id = up.parent_id where up.depth < $4)
select checkpoint_id, blobs, inline from up order by depth`;

/** Ancestors read at once. */
const STEP = 100;

interface Link {
  checkpoint_id: string;
  blobs: string;
  inline: Uint8Array;
}

async function ancestorsNeeded(
  transaction: Transaction,
  from: Kept & { threadId: string },
  missing: Set<string>,
): Promise<string[]> {
  const needed: string[] = [];
  for (let at = from.checkpoint_id; ; ) {
    // The first one was looked at before: it is the newest, or the end of the last step.
    const chain = await transaction.rows<Link>(CHAIN, [from.threadId, from.ns, at, STEP]);
    for (const [i, link] of chain.entries()) {
      if (i > 0) needed.push(link.checkpoint_id);
      for (const channel of channelsIn(link)) missing.delete(channel);
      if (missing.size === 0) return needed;
    }
    if (chain.length <= STEP) return needed;
    at = (chain.at(-1) as Link).checkpoint_id;
  }
}
