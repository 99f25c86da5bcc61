import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import { jsonb } from "./conditions.ts";
import { type Transaction, uuid } from "./database.ts";
import { lockSeen } from "./thread-prune.ts";

/**
 * Everything that belongs to the state of a thread, under the new id: no runs, no log, no epochs. Of a write that several
 * attempts made only the one that readers see is copied (the highest epoch).
 */
const COPY = `
with made as materialized (
  insert into fractal.threads (thread_id, tenant, owner, hidden, status, bound, scope, ttl_strategy, ttl_minutes, expires_at,
      state_updated_at, created_at, updated_at, metadata, config)
    select $2, t.tenant, t.owner, false, 'idle', t.bound, t.scope, t.ttl_strategy, t.ttl_minutes,
      at + round(t.ttl_minutes * 60000)::bigint, at, at, at, t.metadata || $3::jsonb, t.config
    from fractal.threads t, fractal.now_ms() at where t.thread_id = $1
    on conflict (thread_id) do nothing returning thread_id),
lane as (
  -- Its first run is not the first to write to it, and must not think so.
  insert into fractal.lanes (thread_id, epoch) select m.thread_id, 1 from made m),
states as (
  insert into fractal.thread_states (thread_id, scope, pending, interrupts, interrupted, "values")
    select m.thread_id, s.scope, s.pending, s.interrupts, s.interrupted, s."values"
    from made m, fractal.thread_states s where s.thread_id = $1),
blobs as (
  insert into fractal.checkpoint_blobs (thread_id, ns, channel, version, type, value)
    select m.thread_id, b.ns, b.channel, b.version, b.type, b.value
    from made m, fractal.checkpoint_blobs b where b.thread_id = $1),
checkpoints as (
  insert into fractal.checkpoints (thread_id, ns, checkpoint_id, epoch, run_id, parent_id, metadata, blobs, checkpoint, inline)
    select m.thread_id, c.ns, c.checkpoint_id, 0, null, c.parent_id, c.metadata, c.blobs, c.checkpoint, c.inline
    from made m, fractal.checkpoints c where c.thread_id = $1 order by c.seq, c.checkpoint_id),
writes as (
  insert into fractal.checkpoint_writes (thread_id, ns, checkpoint_id, task_id, idx, epoch, run_id, task_path, channel, type, value)
    select distinct on (w.ns, w.checkpoint_id, w.task_id, w.idx)
      m.thread_id, w.ns, w.checkpoint_id, w.task_id, w.idx, 0, null::uuid, w.task_path, w.channel, w.type, w.value
    from made m, fractal.checkpoint_writes w where w.thread_id = $1
    order by w.ns, w.checkpoint_id, w.task_id, w.idx, w.epoch desc)
select thread_id from made`;

const SETTLE = "update fractal.threads set status = fractal.resting_status(thread_id) where thread_id = $1";

/** `ThreadRepository.copy`, inside a transaction. */
export async function copyThread(
  transaction: Transaction,
  scope: AuthScope,
  what: { threadId: string; newId: string },
): Promise<"copied" | "busy" | "no_thread"> {
  const source = await lockSeen(transaction, scope, what.threadId);
  if (source === undefined) return "no_thread";
  if (source.held) return "busy";
  const { newId } = what;
  const made = await transaction.rows(COPY, [source.thread_id, uuid(newId), jsonb({ thread_id: newId })]);
  if (made.length === 0) throw new RuntimeError("conflict", `Thread ${newId} already exists`);
  await transaction.rows(SETTLE, [uuid(newId)]);
  return "copied";
}
