/** Status of a thread after runs went away without having finished: busy with what runs or waits, else at rest. */
export const SETTLE = `
create or replace function fractal.settle(p_thread uuid) returns void language plpgsql as $$
begin
  if exists (select from fractal.runs where thread_id = p_thread and status = 'running')
    or exists (select from fractal.runs where thread_id = p_thread and status = 'pending')
  then
    perform fractal.set_thread_status(p_thread, 'busy');
  else
    perform fractal.set_thread_status(p_thread, fractal.resting_status(p_thread));
  end if;
end $$;
`;
