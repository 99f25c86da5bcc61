/**
 * Makes the earliest pending run the head of its lane, which is freed before if `p_free`. True when there is one: the thread
 * is busy with it, also when its time has not come.
 */
export const PROMOTE = `
create or replace function fractal.promote(p_thread uuid, p_free boolean, p_bump integer) returns boolean language plpgsql as $$
declare
  v_now bigint := fractal.now_ms();
  v_waits boolean;
begin
  update fractal.lanes l set
    active = case when p_free then null else l.active end,
    active_seq = case when p_free then null else l.active_seq end,
    worker_id = case when p_free then null else l.worker_id end,
    writer_since = case when p_free then null else l.writer_since end,
    epoch = l.epoch + p_bump,
    head_seq = r.seq, head_at = greatest(r.run_at, r.not_before, r.quarantine_until),
    head_retry = coalesce(r.attempt > 0, false),
    head_pri = coalesce(r.priority, 0), head_vt = r.vt, head_graph = r.graph_id,
    ready = coalesce(greatest(r.run_at, r.not_before, r.quarantine_until) <= v_now, false),
    suspect_seq = case when r.quarantine is not null then r.seq end, suspect_group = r.quarantine,
    suspect_at = case when r.quarantine is not null then greatest(r.run_at, r.not_before, v_now) end
    from (select) one left join lateral (
      select x.seq, x.run_at, x.not_before, x.attempt, x.graph_id, x.priority, x.vt, x.quarantine, x.quarantine_until
        from fractal.runs x
        where x.thread_id = p_thread and x.status = 'pending' order by x.run_at, x.seq limit 1) r on true
    where l.thread_id = p_thread
    returning r.seq is not null into v_waits;
  return coalesce(v_waits, false);
end $$;
`;
