/**
 * `RunRepository.create`, as it is now. Its arguments have not changed since the first schema, so it replaces itself: a
 * server of the release before calls this body too.
 */
export const CREATE_RUN = `
create or replace function fractal.create_run_v1(p json, p_metadata jsonb, p_base_metadata jsonb, p_kwargs json, p_worker text, p_graphs text[])
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
        values (n.thread_id, n.tenant, n.owner, n.stateless, 'busy', true,
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
      -- Unchanged where it says so already, so that no index has to follow.
      metadata = case when x.metadata @> jsonb_build_object('graph_id', n.graph_id, 'assistant_id', n.assistant_id)
        then x.metadata
        else x.metadata || jsonb_build_object('graph_id', n.graph_id, 'assistant_id', n.assistant_id) end,
      status = 'busy', updated_at = greatest(v_now, x.updated_at + 1)
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
  kind := 'created';
  -- The caller has just sent them.
  r.kwargs := null;
  return next;
end $$;
`;
