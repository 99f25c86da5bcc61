/** The fenced group commit, state writes outside runs, and the leases of workers. */
export const WRITES = `
-- Writes of many runs in one transaction. Fence i is (p_threads[i], p_runs[i], p_epochs[i]); rows name theirs by f, and
-- their bytes by offset o and length l in p_bytes. Answers per fence: 0 written, 1 fenced, 2 locked by somebody else.
-- FOR SHARE conflicts with whoever takes the lane away, so a write is either before that, and part of what the next owner
-- loads, or refused.
create function fractal.commit_v1(
  p_threads uuid[], p_runs uuid[], p_epochs bigint[], p_checkpoints json, p_blobs json, p_writes json, p_events json,
  p_bytes bytea
) returns smallint[] language plpgsql as $$
declare
  v_held uuid[];
  v_answers smallint[] := '{}';
  v_all boolean;
begin
  -- One fence after the other, by thread id: a join might read every lane there is.
  v_held := array(
    select h.thread_id from (select * from unnest(p_threads, p_runs, p_epochs) u (t, r, e) order by u.t) f
      cross join lateral (select l.thread_id from fractal.lanes l
        where l.thread_id = f.t and l.active = f.r and l.epoch = f.e for share skip locked) h);
  v_all := cardinality(v_held) = cardinality(p_threads);
  if v_all then
    v_answers := array_fill(0::smallint, array[cardinality(p_threads)]);
  else
    for i in 1..cardinality(p_threads) loop
      -- Of two fences of one thread at most one is true, and the locked ones do not say which.
      if not exists (select from fractal.lanes where thread_id = p_threads[i] and active = p_runs[i] and epoch = p_epochs[i])
      then
        v_answers := v_answers || 1::smallint;
      else
        v_answers := v_answers || (case when p_threads[i] = any (v_held) then 0 else 2 end)::smallint;
      end if;
    end loop;
  end if;

  if p_blobs is not null then
    insert into fractal.checkpoint_blobs (thread_id, ns, channel, version, type, value)
      select p_threads[b.f], b.ns, b.channel, b.version, b.type, substring(p_bytes from b.o + 1 for b.l)
      from json_to_recordset(p_blobs) as b (f integer, ns text, channel text, version text, type text, o integer, l integer)
      where v_all or v_answers[b.f] = 0
      on conflict (thread_id, ns, channel, version) do nothing;
  end if;
  if p_checkpoints is not null then
    insert into fractal.checkpoints as c (thread_id, ns, checkpoint_id, epoch, run_id, parent_id, metadata, blobs, checkpoint, inline)
      select p_threads[k.f], k.ns, k.id, k.epoch, k.run_id, k.parent, k.metadata, k.blobs, k.checkpoint,
        substring(p_bytes from k.o + 1 for k.l)
      from json_to_recordset(p_checkpoints) as k (f integer, ns text, id text, epoch bigint, run_id uuid, parent text,
        metadata text, blobs json, checkpoint text, o integer, l integer)
      where v_all or v_answers[k.f] = 0
      on conflict (thread_id, ns, checkpoint_id) do update set epoch = excluded.epoch, run_id = excluded.run_id,
        parent_id = excluded.parent_id, metadata = excluded.metadata, blobs = excluded.blobs,
        checkpoint = excluded.checkpoint, inline = excluded.inline;
  end if;
  if p_writes is not null then
    -- Special writes (idx < 0) replace what the same attempt wrote before; ordinary ones stand once written.
    insert into fractal.checkpoint_writes as w (thread_id, ns, checkpoint_id, task_id, idx, epoch, run_id, task_path, channel, type, value)
      select p_threads[x.f], x.ns, x.id, x.task, x.idx, x.epoch, x.run_id, x.path, x.channel, x.type,
        substring(p_bytes from x.o + 1 for x.l)
      from json_to_recordset(p_writes) as x (f integer, ns text, id text, task text, idx integer, epoch bigint, run_id uuid,
        path text, channel text, type text, o integer, l integer)
      where v_all or v_answers[x.f] = 0
      on conflict (thread_id, ns, checkpoint_id, task_id, idx, epoch) do update set run_id = excluded.run_id,
        task_path = excluded.task_path, channel = excluded.channel, type = excluded.type, value = excluded.value
        where w.idx < 0;
  end if;
  if p_events is not null then
    insert into fractal.run_events (thread_id, epoch, n, at, run_id, data)
      select p_threads[e.f], e.epoch, e.n, e.at, e.run_id, e.data
      from json_to_recordset(p_events) as e (f integer, epoch bigint, n integer, at bigint, run_id uuid, data text)
      where v_all or v_answers[e.f] = 0
      on conflict (thread_id, epoch, n) do update set data = excluded.data
        where length(excluded.data) > length(run_events.data);
  end if;
  return v_answers;
end $$;

create function fractal.take_back_writes_v1(p_thread uuid, p_run uuid, p_epoch bigint, p_ns text) returns boolean
language plpgsql as $$
begin
  perform from fractal.lanes where thread_id = p_thread and active = p_run and epoch = p_epoch for update;
  if not found then return false; end if;
  delete from fractal.checkpoint_writes
    where thread_id = p_thread and run_id = p_run and epoch < p_epoch and (ns <> p_ns or idx < 0);
  delete from fractal.checkpoints where thread_id = p_thread and run_id = p_run and epoch < p_epoch and ns <> p_ns;
  if found then perform fractal.mark_garbage(p_thread); end if;
  return true;
end $$;

-- A state write outside a run takes the lane like a run would. Answers 'no_thread', 'busy', or the epoch as text.
create function fractal.acquire_v1(p_thread uuid, p_writer uuid, p_tenant text, p_owner text) returns text
language plpgsql as $$
declare
  l fractal.lanes;
begin
  perform from fractal.threads where thread_id = p_thread and tenant = p_tenant and owner = p_owner and not hidden;
  if not found then return 'no_thread'; end if;
  select * into l from fractal.lanes where thread_id = p_thread for update;
  if not found then return 'no_thread'; end if;
  if l.active is not null or exists (select from fractal.runs where thread_id = p_thread and status = 'pending') then
    return 'busy';
  end if;
  update fractal.lanes set epoch = epoch + 1, active = p_writer, active_seq = null, writer_since = fractal.now_ms()
    where thread_id = p_thread;
  return (l.epoch + 1)::text;
end $$;

create function fractal.complete_v1(
  p_thread uuid, p_writer uuid, p_epoch bigint, p_scope text, p_values json, p_interrupts json, p_pending boolean,
  p_metadata jsonb, p_error json, p_events json
) returns boolean language plpgsql as $$
declare
  v_busy boolean;
  v_now bigint;
begin
  perform from fractal.lanes
    where thread_id = p_thread and active = p_writer and epoch = p_epoch and active_seq is null for update;
  if not found then return false; end if;
  perform fractal.write_state(p_thread, p_scope, p_values, p_interrupts, p_pending);
  if p_events is not null then perform fractal.append_events(p_thread, p_events); end if;
  v_busy := fractal.promote(p_thread, true, 0);
  v_now := fractal.now_ms();
  update fractal.threads t set
    status = case when v_busy then 'busy' when p_error is not null then 'error'
      when exists (select from fractal.thread_states s where s.thread_id = p_thread and s.pending) then 'interrupted'
      else 'idle' end,
    error = p_error, scope = p_scope, metadata = t.metadata || p_metadata, state_updated_at = v_now,
    updated_at = greatest(v_now, t.updated_at + 1), expires_at = v_now + (t.ttl_minutes * 60000)::bigint
    where t.thread_id = p_thread;
  return true;
end $$;

create function fractal.abandon_v1(p_thread uuid, p_writer uuid, p_epoch bigint) returns void language plpgsql as $$
begin
  perform from fractal.lanes
    where thread_id = p_thread and active = p_writer and epoch = p_epoch and active_seq is null for update;
  if found and fractal.promote(p_thread, true, 0) then perform fractal.set_thread_status(p_thread, 'busy'); end if;
end $$;

create function fractal.register_v1(
  p_worker text, p_instance text, p_role text, p_version text, p_capacity integer, p_ttl bigint
) returns void language sql as $$
  insert into fractal.workers as w (worker_id, instance, role, version, capacity, started_at, expires_at)
    values (p_worker, p_instance, p_role, p_version, p_capacity, fractal.now_ms(), fractal.now_ms() + p_ttl)
    on conflict (worker_id) do update set draining = false, expires_at = excluded.expires_at
$$;

-- Prolongs a lease that is not over. No row: it is.
create function fractal.beat_v1(p_worker text, p_ttl bigint) returns table (cancels json, processes integer)
language plpgsql as $$
begin
  update fractal.workers set expires_at = fractal.now_ms() + p_ttl
    where worker_id = p_worker and expires_at > fractal.now_ms();
  if not found then return; end if;
  select coalesce(json_agg(json_build_object('run_id', r.run_id, 'action', r.cancel_action)), '[]') into cancels
    from fractal.runs r join fractal.lanes l on l.thread_id = r.thread_id and l.active_seq = r.seq
    where r.status = 'running' and r.cancel_action is not null and l.worker_id = p_worker;
  select count(*) into processes from fractal.workers where expires_at > fractal.now_ms();
  return next;
end $$;

create function fractal.drain_v1(p_worker text) returns void language sql as $$
  update fractal.workers set draining = true where worker_id = p_worker
$$;

create function fractal.leave_v1(p_worker text) returns void language sql as $$
  update fractal.workers set expires_at = 0 where worker_id = p_worker
$$;
`;
