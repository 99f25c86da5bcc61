/** What happens to runs that do not finish: release, retry, eviction, sweep, cancel; and the audit of the lanes. */
export const RECOVERY = `
-- Pending again, at its old place in the order; p_not_before moves only the time at which it may be claimed.
create function fractal.requeue(r fractal.runs, p_attempt integer, p_not_before bigint, p_bump integer) returns void
language plpgsql as $$
begin
  update fractal.runs set status = 'pending', attempt = p_attempt, not_before = p_not_before, updated_at = fractal.now_ms()
    where seq = r.seq;
  perform fractal.promote(r.thread_id, true, p_bump);
  perform fractal.set_thread_status(r.thread_id, 'busy');
end $$;

create function fractal.end_by_cancel(r fractal.runs, p_action text) returns text language plpgsql as $$
begin
  if p_action = 'rollback' then
    perform fractal.rollback_run(r, 1);
    return 'removed';
  end if;
  perform fractal.close_run(r, 'interrupted', null, null, 1, fractal.now_ms());
  return 'interrupted';
end $$;

-- The lane is taken from its holder: the run ends as it was asked to, or waits for its next attempt (0, 1, 3, 7 ... 60 s),
-- or gives up. Count and state change together, so a crash cannot give an attempt for nothing.
create function fractal.take_back(r fractal.runs, p_why text) returns text language plpgsql as $$
declare
  v_wait bigint := least(60, 2 ^ greatest(0, least(r.attempt, 10) - 1) - 1) * 1000;
begin
  if r.cancel_action is not null then return fractal.end_by_cancel(r, r.cancel_action); end if;
  if r.attempt >= r.max_attempts then
    perform fractal.close_run(r, 'error', json_build_object('error', 'RunAttemptsExhausted', 'message', format(
      'The run was given up after %s of %s attempts; the last one failed: %s', r.attempt, r.max_attempts, p_why)), null, 1, fractal.now_ms());
    return 'exhausted';
  end if;
  perform fractal.requeue(r, r.attempt, case when v_wait > 0 then fractal.now_ms() + v_wait end, 1);
  return 'requeued';
end $$;

-- The run as it is now, or as it was when it is gone.
create function fractal.reread(r fractal.runs) returns fractal.runs language plpgsql as $$
declare
  v_now fractal.runs;
begin
  select * into v_now from fractal.runs where seq = r.seq;
  return case when v_now.seq is null then r else v_now end;
end $$;

create function fractal.release_v1(p_thread uuid, p_run uuid, p_epoch bigint)
returns table (result text, r fractal.runs) language plpgsql as $$
begin
  r := fractal.held_run(p_thread, p_run, p_epoch);
  if r.seq is null then return; end if;
  if r.cancel_action is not null then
    result := fractal.end_by_cancel(r, r.cancel_action);
  else
    perform fractal.requeue(r, r.attempt - 1, null, 0);
    result := 'requeued';
  end if;
  r := fractal.reread(r);
  return next;
end $$;

create function fractal.retry_v1(p_thread uuid, p_run uuid, p_epoch bigint, p_why text)
returns table (result text, r fractal.runs) language plpgsql as $$
begin
  r := fractal.held_run(p_thread, p_run, p_epoch);
  if r.seq is null then return; end if;
  result := fractal.take_back(r, p_why);
  r := fractal.reread(r);
  return next;
end $$;

create function fractal.evict_v1(p_thread uuid, p_run uuid, p_epoch bigint)
returns table (result text, r fractal.runs) language plpgsql as $$
begin
  r := fractal.held_run(p_thread, p_run, p_epoch);
  if r.seq is null then return; end if;
  result := fractal.end_by_cancel(r, coalesce(r.cancel_action, 'interrupt'));
  r := fractal.reread(r);
  return next;
end $$;

create function fractal.sweep_v1(p_grace bigint, p_batch integer, p_writer_ttl bigint)
returns table (result text, r fractal.runs) language plpgsql as $$
declare
  l record;
  v_now bigint := fractal.now_ms();
  v_dead text[] := array(select worker_id from fractal.workers where expires_at <= v_now);
begin
  -- State writes are a few statements around user code: one that holds a lane for so long has lost its process.
  for l in select thread_id from fractal.lanes where writer_since <= v_now - p_writer_ttl
    limit p_batch for update skip locked
  loop
    if fractal.promote(l.thread_id, true, 1) then perform fractal.set_thread_status(l.thread_id, 'busy'); end if;
  end loop;

  for l in select thread_id, active_seq from fractal.lanes
    where worker_id = any (v_dead) and active_seq is not null
    order by active_seq limit p_batch for update skip locked
  loop
    select * into r from fractal.runs where seq = l.active_seq;
    result := fractal.take_back(r, 'its worker was lost');
    r := fractal.reread(r);
    return next;
  end loop;

  if p_grace is null then return; end if;
  for l in select k.thread_id, k.active_seq from fractal.lanes k
    where k.thread_id = any (array(select x.thread_id from fractal.runs x
      where x.status = 'running' and x.cancel_action is not null and x.cancel_at <= v_now - p_grace limit p_batch))
    order by k.active_seq for update skip locked
  loop
    -- It may have ended, and another run be at work, since it was found.
    select * into r from fractal.runs x
      where x.seq = l.active_seq and x.status = 'running' and x.cancel_action is not null and x.cancel_at <= v_now - p_grace;
    continue when not found;
    result := fractal.end_by_cancel(r, r.cancel_action);
    r := fractal.reread(r);
    return next;
  end loop;
end $$;

-- Lanes that contradict their runs. One statement finds them, so it sees lanes and runs of one moment; each is looked at
-- again under its lock before it is mended.
create function fractal.audit_v1() returns integer language plpgsql as $$
declare
  v_thread uuid;
  l fractal.lanes;
  r fractal.runs;
  v_repaired integer := 0;
begin
  for v_thread in
    select k.thread_id from fractal.lanes k
      where k.active_seq is not null and not exists (
        select from fractal.runs x where x.seq = k.active_seq and x.status = 'running' and x.epoch = k.epoch)
    union
    select k.thread_id from fractal.lanes k
      where k.active_seq is not null and not exists (select from fractal.workers w where w.worker_id = k.worker_id)
    union
    select x.thread_id from fractal.runs x join fractal.lanes k on k.thread_id = x.thread_id
      where x.status = 'running' and k.active_seq is distinct from x.seq
    union
    select x.thread_id from fractal.runs x join fractal.lanes k on k.thread_id = x.thread_id
      where x.status = 'pending' and k.active is null and k.head_seq is null
  loop
    select * into l from fractal.lanes where thread_id = v_thread for update;
    continue when not found;
    select * into r from fractal.runs where thread_id = v_thread and status = 'running';
    if r.seq is not null then
      continue when l.active_seq = r.seq and l.epoch = r.epoch
        and exists (select from fractal.workers w where w.worker_id = l.worker_id);
      perform fractal.take_back(r, 'its lane was not its own');
    elsif l.active_seq is not null then
      if fractal.promote(v_thread, true, 1) then perform fractal.set_thread_status(v_thread, 'busy');
      else perform fractal.settle(v_thread); end if;
    else
      continue when l.active is not null or l.head_seq is not null
        or not exists (select from fractal.runs where thread_id = v_thread and status = 'pending');
      if fractal.promote(v_thread, false, 0) then perform fractal.set_thread_status(v_thread, 'busy'); end if;
    end if;
    v_repaired := v_repaired + 1;
  end loop;
  return v_repaired;
end $$;

-- Pending: ended or deleted at once. Running: asked to stop. No row when it is neither.
create function fractal.cancel_v1(p_run uuid, p_thread uuid, p_action text, p_tenant text, p_owner text)
returns table (result text, r fractal.runs) language plpgsql as $$
declare
  v_active uuid;
begin
  select * into r from fractal.runs x where x.run_id = p_run and x.tenant = p_tenant and x.owner = p_owner;
  if not found or (p_thread is not null and r.thread_id <> p_thread) then return; end if;
  select active into v_active from fractal.lanes where thread_id = r.thread_id for update;
  -- As it is now that the lane stands still.
  select * into r from fractal.runs x where x.run_id = p_run;
  if not found then return; end if;
  if r.status = 'running' then
    perform fractal.signal_cancel(r.seq, p_action);
    result := 'signalled';
  elsif r.status = 'pending' then
    if p_action = 'rollback' then
      perform fractal.purge_run(r);
      result := 'removed';
    else
      perform fractal.end_run(r.seq, 'interrupted', null, fractal.now_ms());
      result := 'ended';
    end if;
    if v_active is null then perform fractal.promote(r.thread_id, false, 0); end if;
    perform fractal.settle(r.thread_id);
    perform fractal.leave_stateless(r, case when p_action = 'rollback' then 0 else fractal.stateless_grace_ms() end);
  else
    return;
  end if;
  r := fractal.reread(r);
  return next;
end $$;
`;
