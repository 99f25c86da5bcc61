import { CREATE_RUN } from "../functions/create-run.ts";

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

${CREATE_RUN}
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
