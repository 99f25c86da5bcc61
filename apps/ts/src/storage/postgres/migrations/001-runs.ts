/** `RunRepository.create`, `claim`, `claimRun` and `finish`: one call each. */
export const RUNS = `
create function fractal.is_live(p_worker text) returns boolean language plpgsql as $$
begin
  return exists (select from fractal.workers
    where worker_id = p_worker and expires_at > fractal.now_ms() and not draining);
end $$;

-- Asks a running run to stop. A rollback overrides an interrupt, never the reverse.
create function fractal.signal_cancel(p_seq bigint, p_action text) returns void language plpgsql as $$
begin
  update fractal.runs set
    cancel_action = case when cancel_action = 'rollback' then 'rollback' else p_action end,
    cancel_at = coalesce(cancel_at, fractal.now_ms()), updated_at = fractal.now_ms()
    where seq = p_seq and status = 'running';
end $$;

create function fractal.create_run_v1(p json, p_metadata jsonb, p_base_metadata jsonb, p_kwargs json, p_worker text, p_graphs text[])
returns table (kind text, claimed boolean, cancelled uuid[], ended uuid[], removed uuid[], r fractal.runs)
language plpgsql as $$
declare
  n record;
  t fractal.threads;
  l fractal.lanes;
  w fractal.runs;
  v_now bigint;
  v_due boolean;
  v_new_thread boolean := false;
  v_metadata jsonb;
begin
  select * into n from json_to_record(p) as x (
    run_id uuid, thread_id uuid, tenant text, owner text, assistant_id uuid, graph_id text, revision text,
    multitask_strategy text, durability text, on_completion text, stateless boolean, logged boolean, priority smallint,
    ahead_ms bigint, delay_ms bigint, max_attempts integer, idempotency_key text, if_not_exists text,
    thread_metadata jsonb, ttl_strategy text, ttl_minutes double precision);
  claimed := false;
  cancelled := '{}';
  ended := '{}';
  removed := '{}';

  if n.idempotency_key is not null then
    select * into r from fractal.runs x
      where x.tenant = n.tenant and x.owner = n.owner and x.idempotency_key = n.idempotency_key;
    if found then kind := 'replayed'; return next; return; end if;
  end if;

  for i in 1..3 loop
    select * into t from fractal.threads x where x.thread_id = n.thread_id;
    if not found then
      if n.if_not_exists = 'reject' then kind := 'no_thread'; return next; return; end if;
      v_now := fractal.now_ms();
      insert into fractal.threads (thread_id, tenant, owner, hidden, status, bound, ttl_strategy, ttl_minutes, expires_at,
          state_updated_at, created_at, updated_at, metadata)
        values (n.thread_id, n.tenant, n.owner, n.stateless, case when n.delay_ms > 0 then 'idle' else 'busy' end, true,
          n.ttl_strategy, n.ttl_minutes, v_now + (n.ttl_minutes * 60000)::bigint, v_now, v_now, v_now,
          n.thread_metadata || jsonb_build_object('graph_id', n.graph_id, 'assistant_id', n.assistant_id))
        on conflict do nothing;
      -- Somebody else has just made it: look at theirs.
      continue when not found;
      v_new_thread := true;
      l.thread_id := n.thread_id;
      l.epoch := 0;
      exit;
    end if;
    if t.tenant <> n.tenant or t.owner <> n.owner or t.hidden then kind := 'no_thread'; return next; return; end if;
    select * into l from fractal.lanes x where x.thread_id = n.thread_id for update;
    -- It has just been deleted: look again.
    exit when found;
  end loop;
  if l.thread_id is null then
    raise exception 'thread % comes and goes', n.thread_id using errcode = 'serialization_failure';
  end if;

  if not v_new_thread then
    if n.multitask_strategy <> 'enqueue' then
      if n.multitask_strategy = 'reject' then
        if l.active_seq is not null
          or exists (select from fractal.runs x where x.thread_id = n.thread_id and x.status = 'pending')
        then kind := 'busy'; return next; return; end if;
      else
        for w in select * from fractal.runs x
          where x.thread_id = n.thread_id and x.status = 'pending' order by x.run_at, x.seq
        loop
          if n.multitask_strategy = 'rollback' then
            perform fractal.purge_run(w);
            removed := removed || w.run_id;
          else
            perform fractal.end_run(w.seq, 'interrupted', null, fractal.now_ms());
            ended := ended || w.run_id;
          end if;
        end loop;
        if l.active_seq is not null then
          perform fractal.signal_cancel(l.active_seq, n.multitask_strategy);
          cancelled := array[l.active];
        else
          l.head_seq := null;
          l.head_retry := false;
        end if;
      end if;
    end if;
    v_now := fractal.now_ms();
    -- What the thread was before the lane was locked may be history: its metadata is told by the update.
    update fractal.threads x set bound = true,
      metadata = case when x.bound then x.metadata
        else x.metadata || jsonb_build_object('graph_id', n.graph_id, 'assistant_id', n.assistant_id) end,
      status = case when n.delay_ms = 0 then 'busy' else x.status end,
      updated_at = case when n.delay_ms = 0 then greatest(v_now, x.updated_at + 1) else x.updated_at end
      where x.thread_id = n.thread_id and not x.hidden returning x.metadata into v_metadata;
    -- It was deleted, or its deletion has begun, since it was looked at.
    if not found then
      raise exception 'thread % goes', n.thread_id using errcode = 'serialization_failure';
    end if;
  end if;

  v_due := n.delay_ms = 0;
  -- A head that waits stands before this run, unless it waits for a later time.
  claimed := v_due and p_worker is not null and l.active is null
    and (l.head_seq is null or (not l.head_retry and v_now < l.head_at))
    and n.graph_id = any (p_graphs) and exists (select from fractal.workers x
      where x.worker_id = p_worker and x.expires_at > v_now and not x.draining);
  insert into fractal.runs (run_id, thread_id, tenant, owner, assistant_id, graph_id, revision, status, multitask_strategy,
      durability, on_completion, stateless, logged, priority, vt, run_at, max_attempts, idempotency_key, created_at,
      updated_at, metadata, kwargs, attempt, epoch, first_epoch, started_at)
    values (n.run_id, n.thread_id, n.tenant, n.owner, n.assistant_id, n.graph_id, n.revision,
      case when claimed then 'running' else 'pending' end, n.multitask_strategy, n.durability, n.on_completion, n.stateless,
      n.logged, n.priority, v_now + n.ahead_ms, v_now + n.delay_ms, n.max_attempts, n.idempotency_key, v_now, v_now,
      p_base_metadata || coalesce(v_metadata, '{}') || p_metadata, p_kwargs,
      case when claimed then 1 else 0 end, case when claimed then l.epoch + 1 else 0 end,
      case when claimed then l.epoch + 1 else 0 end, case when claimed then v_now end)
    on conflict do nothing returning * into r;
  if not found then
    if exists (select from fractal.runs x where x.run_id = n.run_id) then
      raise exception 'Run % already exists', n.run_id using errcode = 'FR409';
    end if;
    -- The same idempotency key at the same time: begin again, and find theirs.
    raise exception 'idempotency key in use' using errcode = 'serialization_failure';
  end if;

  if v_new_thread then
    insert into fractal.lanes (thread_id, epoch, active, active_seq, worker_id, head_seq, head_at, head_pri, head_vt, head_graph, ready)
      values (n.thread_id, case when claimed then 1 else 0 end, case when claimed then r.run_id end,
        case when claimed then r.seq end, case when claimed then p_worker end, case when not claimed then r.seq end,
        case when not claimed then r.run_at end, r.priority, case when not claimed then r.vt end,
        case when not claimed then r.graph_id end, not claimed and v_due);
  elsif claimed then
    update fractal.lanes x set epoch = x.epoch + 1, active = r.run_id, active_seq = r.seq, worker_id = p_worker,
      head_seq = null, head_at = null, head_vt = null, head_graph = null, ready = false
      where x.thread_id = n.thread_id;
  elsif l.active is null and (l.head_seq is null or (not l.head_retry and r.run_at < l.head_at)) then
    update fractal.lanes x set head_seq = r.seq, head_at = r.run_at, head_retry = false, head_pri = r.priority,
      head_vt = r.vt, head_graph = r.graph_id, ready = v_due
      where x.thread_id = n.thread_id;
  end if;
  -- A delayed run in place of the ones that kept the thread busy.
  if n.delay_ms > 0 and cardinality(ended) + cardinality(removed) + cardinality(cancelled) > 0 then
    perform fractal.settle(n.thread_id);
  end if;
  kind := 'created';
  -- The caller has just sent them.
  r.kwargs := null;
  return next;
end $$;

-- Heads of idle lanes become holders: epoch + 1, attempt + 1, status running. The lanes are locked by the caller.
create function fractal.take(p_threads uuid[], p_worker text) returns setof fractal.runs language plpgsql as $$
declare
  v_now bigint := fractal.now_ms();
  v_taken integer;
begin
  update fractal.lanes l set epoch = l.epoch + 1, active = r.run_id, active_seq = r.seq, worker_id = p_worker,
    head_seq = null, head_at = null, head_retry = false, head_vt = null, head_graph = null, ready = false
    from fractal.runs r where l.thread_id = any (p_threads) and r.seq = l.head_seq;
  -- A statement of its own: it sees the runs as they are now that the lanes are locked. Together with the one above it
  -- would see them as they were before, and could take a lane whose run it does not find.
  return query
    with taken as (
      update fractal.runs r set status = 'running', attempt = r.attempt + 1, epoch = l.epoch, not_before = null,
        first_epoch = case when r.first_epoch = 0 then l.epoch else r.first_epoch end,
        started_at = coalesce(r.started_at, v_now), updated_at = v_now
        from fractal.lanes l where l.thread_id = any (p_threads) and r.seq = l.active_seq and r.status = 'pending'
        returning r.*)
    select * from taken t order by array_position(p_threads, t.thread_id);
  get diagnostics v_taken = row_count;
  if v_taken <> cardinality(p_threads) then
    raise exception 'claimed % lanes and % runs', cardinality(p_threads), v_taken using errcode = 'serialization_failure';
  end if;
end $$;

create function fractal.claim_v1(p_worker text, p_slots integer, p_graphs text[]) returns setof fractal.runs
language plpgsql as $$
declare
  v_threads uuid[];
begin
  if not fractal.is_live(p_worker) then return; end if;
  -- The smallest time is one look at the index; a condition on it would read every lane, for the clock never stands still.
  if (select min(head_at) from fractal.lanes where not ready and head_seq is not null) <= fractal.now_ms() then
    perform fractal.ripen();
  end if;
  -- Per graph, so that runs of graphs that others have loaded are not even looked at.
  v_threads := array(
    select h.thread_id from unnest(p_graphs) g cross join lateral (
      select l.thread_id, l.head_retry, l.head_pri, l.head_vt, l.head_seq from fractal.lanes l
        where l.ready and l.head_graph = g
        order by l.head_retry desc, l.head_pri desc, l.head_vt, l.head_seq limit p_slots for update skip locked) h
    order by h.head_retry desc, h.head_pri desc, h.head_vt, h.head_seq limit p_slots);
  if cardinality(v_threads) = 0 then return; end if;
  return query select * from fractal.take(v_threads, p_worker);
end $$;

-- This very run, if it is the head of an idle lane, and due.
create function fractal.claim_run_v1(p_worker text, p_run uuid, p_graphs text[]) returns setof fractal.runs
language plpgsql as $$
declare
  r fractal.runs;
  v_ready boolean;
begin
  if not fractal.is_live(p_worker) then return; end if;
  select * into r from fractal.runs where run_id = p_run;
  if not found or not r.graph_id = any (p_graphs) then return; end if;
  select ready into v_ready from fractal.lanes
    where thread_id = r.thread_id and head_seq = r.seq and head_at <= fractal.now_ms() for update skip locked;
  if not found then return; end if;
  if not v_ready then perform fractal.set_thread_status(r.thread_id, 'busy'); end if;
  return query select * from fractal.take(array[r.thread_id], p_worker);
end $$;

-- The run that holds its lane under this fence; locks the lane either way.
create function fractal.held_run(p_thread uuid, p_run uuid, p_epoch bigint) returns fractal.runs language plpgsql as $$
declare
  l record;
  r fractal.runs;
begin
  select active, active_seq, epoch into l from fractal.lanes where thread_id = p_thread for update;
  if l.active = p_run and l.epoch = p_epoch then
    select * into r from fractal.runs where seq = l.active_seq;
  end if;
  return r;
end $$;

create function fractal.finish_v1(
  p_thread uuid, p_run uuid, p_epoch bigint, p_status text, p_error json, p_scope text, p_state boolean, p_values json,
  p_interrupts json, p_pending boolean, p_events json
) returns table (kind text, thread_status text, r fractal.runs) language plpgsql as $$
begin
  r := fractal.held_run(p_thread, p_run, p_epoch);
  if r.seq is null then
    -- The same call, sent again because its answer was lost.
    select * into r from fractal.runs x
      where x.run_id = p_run and x.epoch = p_epoch and x.status = p_status and x.finished;
    if not found then kind := 'fenced'; return next; return; end if;
    kind := 'finished';
    select case when t.hidden then null else t.status end into thread_status
      from fractal.threads t where t.thread_id = p_thread;
    return next;
    return;
  end if;
  if r.cancel_action = 'rollback' then
    perform fractal.rollback_run(r, 0);
    kind := 'removed';
    return next;
    return;
  end if;
  if p_state then perform fractal.write_state(p_thread, p_scope, p_values, p_interrupts, p_pending); end if;
  if p_events is not null then perform fractal.append_events(p_thread, p_events); end if;
  r.ended_at := fractal.now_ms();
  r.updated_at := r.ended_at;
  thread_status := fractal.close_run(r, p_status, p_error, p_scope, 0, r.ended_at);
  r.status := p_status;
  r.error := p_error;
  kind := 'finished';
  return next;
end $$;
`;
