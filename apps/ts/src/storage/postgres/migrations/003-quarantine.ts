import { PROMOTE } from "../functions/promote.ts";

/**
 * Runs whose process died are suspects, and are tried apart until it is known which of them ends processes
 * (core/runs/policy.ts, which also has the numbers: `p_policy`). State writes live by the lease of their worker.
 *
 * A lane's marks are about the head that `suspect_seq` names, and mean nothing with another one, so functions of the step
 * before, which do not know them, leave nothing false behind. Nor do they claim a suspect: it is not ready.
 */
export const QUARANTINE = `
alter table fractal.runs add column strikes integer not null default 0, add column restarts integer not null default 0,
  add column quarantine text, add column quarantine_until bigint;
create index runs_quarantined on fractal.runs (quarantine)
  where quarantine is not null and status in ('pending', 'running');
alter table fractal.lanes add column suspect_seq bigint, add column suspect_group text, add column suspect_at bigint;
create index lanes_suspects on fractal.lanes (suspect_at) where suspect_seq = head_seq and not ready;
-- Since when it is known that the worker is gone, and whether a part of its runs was taken back already.
alter table fractal.workers add column lost_at bigint, add column swept boolean not null default false;

-- As in step 1; a suspect is kept apart: it is not ready, and becomes so only when it has waited for too long.
${PROMOTE}
-- Whether the present attempt has stored a checkpoint.
create function fractal.progressed(r fractal.runs) returns boolean language sql as $$
  select exists (select from fractal.checkpoints c
    where c.thread_id = r.thread_id and c.run_id = r.run_id and c.epoch = r.epoch)
$$;

-- Pending after a wait of the policy's table: the n-th, or the last.
create function fractal.requeue_after(r fractal.runs, p_count integer, p_policy json) returns text language plpgsql as $$
declare
  v_waits json := p_policy -> 'backoffMs';
  v_wait bigint := (v_waits ->> least(greatest(p_count, 1), json_array_length(v_waits)) - 1)::bigint;
begin
  perform fractal.requeue(r, r.attempt, case when v_wait > 0 then fractal.now_ms() + v_wait end, 1);
  return 'requeued';
end $$;

create function fractal.give_up(r fractal.runs, p_text text, p_count integer, p_why text) returns text
language plpgsql as $$
begin
  perform fractal.close_run(r, 'error', json_build_object('error', 'RunAttemptsExhausted', 'message',
    replace(p_text, '{n}', p_count::text) || p_why), null, 1, fractal.now_ms());
  return 'exhausted';
end $$;

create function fractal.restarts_allowed(r fractal.runs, p_policy json) returns integer language sql as $$
  select greatest(r.max_attempts, (p_policy ->> 'restarts')::integer)
$$;

create function fractal.quarantine(p_seq bigint, p_group text, p_strikes integer, p_restarts integer, p_policy json)
returns void language plpgsql as $$
begin
  update fractal.runs set quarantine = p_group, strikes = p_strikes, restarts = p_restarts,
    quarantine_until = fractal.now_ms() + (p_policy ->> 'quarantineMs')::bigint where seq = p_seq;
end $$;

-- A run whose process died; p_alone: nothing else was executed there.
create function fractal.suspect(r fractal.runs, p_group text, p_alone boolean, p_policy json) returns text
language plpgsql as $$
declare
  v_strikes integer := case when p_alone then r.strikes + 1 when fractal.progressed(r) then 0 else r.strikes end;
  v_restarts integer := r.restarts + case when r.quarantine is null then 1 else 0 end;
begin
  if p_alone and v_strikes >= r.max_attempts then
    return fractal.give_up(r, p_policy -> 'text' ->> 'ended', v_strikes, '');
  end if;
  if v_restarts > fractal.restarts_allowed(r, p_policy) then
    return fractal.give_up(r, p_policy -> 'text' ->> 'suspected', v_restarts, '');
  end if;
  perform fractal.quarantine(r.seq, p_group, v_strikes, v_restarts, p_policy);
  return fractal.requeue_after(r, case when p_alone then v_strikes else 1 end, p_policy);
end $$;

-- All runs of one dead worker: what is not being cancelled is suspected, in two halves by age. Nothing while somebody
-- holds one of their lanes, unless the worker is long gone. When all that died were suspects already, the others of
-- their crash are exonerated.
create function fractal.sweep_worker(p_worker text, p_policy json)
returns table (result text, r fractal.runs) language plpgsql as $$
declare
  v_now bigint := fractal.now_ms();
  w record;
  v_held integer;
  v_seqs bigint[];
  v_crash text := gen_random_uuid();
  v_crashes text[];
  v_half integer;
  v_place integer := 0;
  v_proven boolean;
begin
  update fractal.workers x set lost_at = coalesce(x.lost_at, v_now) where x.worker_id = p_worker
    returning x.lost_at, x.swept into w;
  if not found then return; end if;
  select count(*) into v_held from fractal.lanes where worker_id = p_worker and active_seq is not null;
  v_seqs := array(select active_seq from fractal.lanes
    where worker_id = p_worker and active_seq is not null order by active_seq for update skip locked);
  if cardinality(v_seqs) < v_held and w.lost_at > v_now - (p_policy ->> 'lockPatienceMs')::bigint then
    raise exception 'a lane of worker % is locked', p_worker using errcode = 'FR423';
  end if;
  if cardinality(v_seqs) = 0 then return; end if;
  -- What is left behind a locked lane comes with a later sweep, and was not alone.
  update fractal.workers set swept = cardinality(v_seqs) < v_held where worker_id = p_worker;
  select ceil(count(*) filter (where x.cancel_action is null) / 2.0),
      count(*) = count(x.quarantine), array_agg(distinct left(x.quarantine, -2))
    into v_half, v_proven, v_crashes from fractal.runs x where x.seq = any (v_seqs);
  for r in select * from fractal.runs x where x.seq = any (v_seqs) order by x.seq loop
    if r.cancel_action is not null then
      result := fractal.end_by_cancel(r, r.cancel_action);
    else
      v_place := v_place + 1;
      result := fractal.suspect(r, v_crash || case when v_place <= v_half then '/1' else '/2' end,
        v_held = 1 and not w.swept, p_policy);
    end if;
    r := fractal.reread(r);
    return next;
  end loop;
  if not v_proven then return; end if;
  for r in select x.* from fractal.runs x join fractal.lanes l on l.thread_id = x.thread_id
    where x.quarantine is not null and x.status in ('pending', 'running') and left(x.quarantine, -2) = any (v_crashes)
    order by x.seq for update of l skip locked
  loop
    update fractal.runs x set quarantine = null, quarantine_until = null, strikes = 0, restarts = 0
      where x.seq = r.seq and x.quarantine is not null and x.status in ('pending', 'running');
    continue when not found;
    if exists (select from fractal.lanes where thread_id = r.thread_id and active is null) then
      perform fractal.promote(r.thread_id, false, 0);
    end if;
    result := 'exonerated';
    r := fractal.reread(r);
    return next;
  end loop;
end $$;

create function fractal.sweep_v2(p_grace bigint, p_batch integer, p_policy json)
returns table (result text, r fractal.runs) language plpgsql as $$
declare
  l record;
  v_now bigint := fractal.now_ms();
  v_dead text[] := array(select worker_id from fractal.workers where expires_at <= v_now);
  v_worker text;
  v_taken integer := 0;
begin
  for l in select thread_id from fractal.lanes where active_seq is null and worker_id = any (v_dead)
    limit p_batch for update skip locked
  loop
    if fractal.promote(l.thread_id, true, 1) then perform fractal.set_thread_status(l.thread_id, 'busy'); end if;
  end loop;
  for l in select thread_id from fractal.lanes
    where worker_id is null and writer_since <= v_now - (p_policy ->> 'writerMs')::bigint limit p_batch for update skip locked
  loop
    if fractal.promote(l.thread_id, true, 1) then perform fractal.set_thread_status(l.thread_id, 'busy'); end if;
  end loop;

  for v_worker in select distinct k.worker_id from fractal.lanes k
    where k.worker_id = any (v_dead) and k.active_seq is not null order by k.worker_id
  loop
    exit when v_taken >= p_batch;
    -- A block with a handler gives its locks back when it fails.
    begin
      for l in select s.result, s.r from fractal.sweep_worker(v_worker, p_policy) s loop
        v_taken := v_taken + 1;
        result := l.result;
        r := l.r;
        return next;
      end loop;
    exception when sqlstate 'FR423' then
      update fractal.workers x set lost_at = coalesce(x.lost_at, v_now) where x.worker_id = v_worker;
    end;
  end loop;

  if p_grace is null or v_taken >= p_batch then return; end if;
  for l in select k.thread_id, k.active_seq from fractal.lanes k
    where k.thread_id = any (array(select x.thread_id from fractal.runs x
      where x.status = 'running' and x.cancel_action is not null and x.cancel_at <= v_now - p_grace limit p_batch - v_taken))
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

-- p_fault: it is known to end its process. Otherwise a failure of infrastructure, which counts until the run makes progress.
create function fractal.retry_v2(p_thread uuid, p_run uuid, p_epoch bigint, p_fault boolean, p_why text, p_policy json)
returns table (result text, r fractal.runs) language plpgsql as $$
declare
  v_count integer;
begin
  r := fractal.held_run(p_thread, p_run, p_epoch);
  if r.seq is null then return; end if;
  if r.cancel_action is not null then
    result := fractal.end_by_cancel(r, r.cancel_action);
  elsif p_fault then
    v_count := r.strikes + 1;
    if v_count >= r.max_attempts then
      result := fractal.give_up(r, p_policy -> 'text' ->> 'fault', v_count, p_why);
    else
      perform fractal.quarantine(r.seq, r.run_id || '/1', v_count, r.restarts, p_policy);
      result := fractal.requeue_after(r, v_count, p_policy);
    end if;
  else
    v_count := case when fractal.progressed(r) then 0 else r.restarts end + 1;
    if v_count > fractal.restarts_allowed(r, p_policy) then
      result := fractal.give_up(r, p_policy -> 'text' ->> 'failed', v_count, p_why);
    else
      update fractal.runs set restarts = v_count where seq = r.seq;
      result := fractal.requeue_after(r, v_count, p_policy);
    end if;
  end if;
  r := fractal.reread(r);
  return next;
end $$;

-- The due suspects of one half, for a worker that executes nothing.
create function fractal.claim_suspects_v1(p_worker text, p_slots integer, p_graphs text[]) returns setof fractal.runs
language plpgsql as $$
declare
  v_now bigint := fractal.now_ms();
  v_group text;
  v_threads uuid[];
begin
  if not fractal.is_live(p_worker)
    or exists (select from fractal.lanes where worker_id = p_worker and active_seq is not null)
  then return; end if;
  select suspect_group into v_group from fractal.lanes
    where suspect_seq = head_seq and not ready and suspect_at <= v_now and head_at > v_now
      and head_graph = any (p_graphs)
    order by head_seq limit 1 for update skip locked;
  if not found then return; end if;
  v_threads := array(select thread_id from fractal.lanes
    where suspect_seq = head_seq and not ready and suspect_at <= v_now and head_at > v_now
      and head_graph = any (p_graphs)
      and suspect_group = v_group order by head_seq limit p_slots for update skip locked);
  if cardinality(v_threads) = 0 then return; end if;
  return query select * from fractal.take(v_threads, p_worker);
end $$;

create function fractal.clear_suspects_v1(p_worker text) returns integer language plpgsql as $$
declare
  v_cleared integer;
begin
  update fractal.runs r set quarantine = null, quarantine_until = null from fractal.lanes l
    where l.worker_id = p_worker and l.active_seq = r.seq and r.epoch = l.epoch and r.status = 'running'
      and r.quarantine is not null;
  get diagnostics v_cleared = row_count;
  return v_cleared;
end $$;

-- As acquire_v1, under the lease of a worker.
create function fractal.acquire_v2(p_thread uuid, p_writer uuid, p_worker text, p_tenant text, p_owner text) returns text
language plpgsql as $$
declare
  v_answer text := fractal.acquire_v1(p_thread, p_writer, p_tenant, p_owner);
begin
  if v_answer not in ('busy', 'no_thread') then
    update fractal.lanes set worker_id = p_worker where thread_id = p_thread;
  end if;
  return v_answer;
end $$;

-- As audit_v1; a contradiction is not the run's fault and counts nothing.
create function fractal.audit_v2() returns integer language plpgsql as $$
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
      if r.cancel_action is not null then perform fractal.end_by_cancel(r, r.cancel_action);
      else perform fractal.requeue(r, r.attempt, null, 1); end if;
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
`;
