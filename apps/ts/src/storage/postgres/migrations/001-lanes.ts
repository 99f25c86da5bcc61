import { SETTLE } from "../functions/settle.ts";

/**
 * What the lane of a thread goes through, as in storage/sqlite/lane-state.ts. These functions are called by others that
 * hold the lane's row lock already: lane first, then runs, then the thread, then what belongs to it, so there are no
 * cycles. Each statement of a function sees what was committed before it began, so what is read after the lock is true.
 */
export const LANES = `
-- The earliest pending run becomes head of its lane. True when it keeps the thread busy: its time has come, though it may
-- still have to wait out a backoff. With p_free the lane is taken from its holder; p_bump makes his fence stale.
create function fractal.promote(p_thread uuid, p_free boolean, p_bump integer) returns boolean language plpgsql as $$
declare
  v_now bigint := fractal.now_ms();
  v_due boolean;
begin
  update fractal.lanes l set
    active = case when p_free then null else l.active end,
    active_seq = case when p_free then null else l.active_seq end,
    worker_id = case when p_free then null else l.worker_id end,
    writer_since = case when p_free then null else l.writer_since end,
    epoch = l.epoch + p_bump,
    head_seq = r.seq, head_at = greatest(r.run_at, r.not_before), head_retry = coalesce(r.attempt > 0, false),
    head_pri = coalesce(r.priority, 0), head_vt = r.vt, head_graph = r.graph_id,
    ready = coalesce(greatest(r.run_at, r.not_before) <= v_now, false)
    from (select) one left join lateral (
      select x.seq, x.run_at, x.not_before, x.attempt, x.graph_id, x.priority, x.vt from fractal.runs x
        where x.thread_id = p_thread and x.status = 'pending' order by x.run_at, x.seq limit 1) r on true
    where l.thread_id = p_thread
    returning coalesce(r.run_at <= v_now, false) into v_due;
  return coalesce(v_due, false);
end $$;

create function fractal.set_thread_status(p_thread uuid, p_status text) returns void language plpgsql as $$
begin
  update fractal.threads set status = p_status, updated_at = greatest(fractal.now_ms(), updated_at + 1)
    where thread_id = p_thread and status <> p_status;
end $$;

-- Status of a thread on which nothing is active or due: a pending interrupt, else the failure of its last run, else
-- something left to do (a static breakpoint, a cancelled run), else idle.
create function fractal.resting_status(p_thread uuid) returns text language sql as $$
  select case
    when exists (select from fractal.thread_states s where s.thread_id = p_thread and s.interrupted) then 'interrupted'
    when exists (select from fractal.threads t where t.thread_id = p_thread and t.error is not null) then 'error'
    when exists (select from fractal.thread_states s where s.thread_id = p_thread and s.pending) then 'interrupted'
    else 'idle' end
$$;

${SETTLE}
create function fractal.is_held(p_thread uuid) returns boolean language sql as $$
  select exists (select from fractal.lanes
    where thread_id = p_thread and (active is not null or head_seq is not null))
$$;

-- Heads that have become due may be claimed, and their threads are busy from now on.
create function fractal.ripen() returns void language plpgsql as $$
declare
  v_due uuid[];
begin
  v_due := array(select thread_id from fractal.lanes
    where not ready and head_seq is not null and head_at <= (select fractal.now_ms())
    order by head_at limit 1000 for update skip locked);
  if cardinality(v_due) = 0 then return; end if;
  update fractal.lanes set ready = true where thread_id = any (v_due);
  update fractal.threads set status = 'busy', updated_at = greatest(fractal.now_ms(), updated_at + 1)
    where thread_id = any (v_due) and status <> 'busy';
end $$;

create function fractal.mark_garbage(p_thread uuid) returns void language plpgsql as $$
begin
  update fractal.threads set garbage = true where thread_id = p_thread and not garbage;
end $$;

-- A thread with everything it owns; its fences are stale from then on. Without a lane it has just been deleted.
create function fractal.purge_thread(p_thread uuid) returns boolean language plpgsql as $$
begin
  perform from fractal.lanes where thread_id = p_thread for update;
  if not found then return false; end if;
  delete from fractal.run_events where thread_id = p_thread;
  delete from fractal.checkpoint_writes where thread_id = p_thread;
  delete from fractal.checkpoints where thread_id = p_thread;
  delete from fractal.checkpoint_blobs where thread_id = p_thread;
  delete from fractal.threads where thread_id = p_thread;
  return found;
end $$;

-- A run with its checkpoints, writes and events. Blobs are left to retention, which sees the mark.
create function fractal.purge_run(r fractal.runs) returns void language plpgsql as $$
begin
  delete from fractal.checkpoint_writes where thread_id = r.thread_id and run_id = r.run_id;
  delete from fractal.run_events where thread_id = r.thread_id and run_id = r.run_id;
  delete from fractal.checkpoints where thread_id = r.thread_id and run_id = r.run_id;
  if found then perform fractal.mark_garbage(r.thread_id); end if;
  delete from fractal.runs where seq = r.seq;
end $$;

-- p_finished: by the one who executed it, whose call may be repeated.
create function fractal.end_run(p_seq bigint, p_status text, p_error json, p_now bigint, p_finished boolean default false)
returns void language plpgsql as $$
begin
  update fractal.runs set status = p_status, error = p_error, ended_at = p_now, updated_at = p_now, finished = p_finished
    where seq = p_seq and status in ('pending', 'running');
end $$;

-- How long the thread of a finished stateless run stays readable by run id: ten minutes.
create function fractal.stateless_grace_ms() returns bigint language sql immutable as 'select 600000::bigint';

-- A stateless run that ended without finishing: its thread stays for so long, or for good if that was asked for.
create function fractal.leave_stateless(r fractal.runs, p_grace bigint) returns void language plpgsql as $$
begin
  if not r.stateless then return; end if;
  if r.on_completion = 'keep' then
    update fractal.threads set hidden = false where thread_id = r.thread_id;
  else
    update fractal.threads set expires_at = fractal.now_ms() + p_grace where thread_id = r.thread_id;
  end if;
end $$;

-- Ends a run that holds its lane, frees the lane and settles the thread: busy if another run waits, else by how this one
-- ended. Null for a hidden thread, which from now on waits for its deletion.
create function fractal.close_run(
  r fractal.runs, p_status text, p_error json, p_scope text, p_bump integer, p_now bigint
) returns text language plpgsql as $$
declare
  v_failed boolean := p_status in ('error', 'timeout');
  v_hidden boolean := r.stateless and r.on_completion = 'delete';
  v_busy boolean;
  v_status text;
begin
  -- Only the holder of the lane leaves its epoch as it is.
  perform fractal.end_run(r.seq, p_status, p_error, p_now, p_bump = 0);
  v_busy := fractal.promote(r.thread_id, true, p_bump);
  update fractal.threads t set
    status = case when v_busy then 'busy' when v_failed then 'error'
      when exists (select from fractal.thread_states s where s.thread_id = r.thread_id and s.pending) then 'interrupted'
      else 'idle' end,
    hidden = v_hidden, scope = coalesce(p_scope, t.scope),
    error = case when v_failed
      then coalesce(p_error, json_build_object('error', p_status, 'message', '')) end,
    state_updated_at = p_now, updated_at = greatest(p_now, t.updated_at + 1),
    expires_at = case when v_hidden then p_now + fractal.stateless_grace_ms()
      else p_now + (t.ttl_minutes * 60000)::bigint end
    where t.thread_id = r.thread_id returning t.status into v_status;
  return case when v_hidden then null else v_status end;
end $$;

-- Deletes a run with all it wrote; the thread goes on from the state before it.
create function fractal.rollback_run(r fractal.runs, p_bump integer) returns void language plpgsql as $$
begin
  perform fractal.purge_run(r);
  perform fractal.promote(r.thread_id, true, p_bump);
  perform fractal.settle(r.thread_id);
  perform fractal.leave_stateless(r, 0);
end $$;

-- Keeps the state of one checkpoint scope of a thread; values that were not given stay as they are.
create function fractal.write_state(
  p_thread uuid, p_scope text, p_values json, p_interrupts json, p_pending boolean
) returns void language plpgsql as $$
declare
  v_interrupted boolean := p_interrupts::text <> '{}';
begin
  insert into fractal.thread_states as s (thread_id, scope, pending, interrupts, interrupted, "values")
    values (p_thread, p_scope, p_pending or v_interrupted, p_interrupts, v_interrupted, p_values)
    on conflict (thread_id, scope) do update set pending = excluded.pending, interrupts = excluded.interrupts,
      interrupted = excluded.interrupted, "values" = coalesce(excluded."values", s."values");
end $$;

-- Appends packs of events ({epoch, n, at, run_id, data}); a pack that is there already is kept.
create function fractal.append_events(p_thread uuid, p_packs json) returns void language plpgsql as $$
begin
  insert into fractal.run_events (thread_id, epoch, n, at, run_id, data)
    select p_thread, e.epoch, e.n, e.at, e.run_id, e.data
    from json_to_recordset(p_packs) as e (epoch bigint, n integer, at bigint, run_id uuid, data text)
    on conflict (thread_id, epoch, n) do update set data = excluded.data
      where length(excluded.data) > length(run_events.data);
end $$;
`;
