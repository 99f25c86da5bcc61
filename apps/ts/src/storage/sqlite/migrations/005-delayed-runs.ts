/** A thread is busy with a run that waits for its time, from its creation on. */
export const DELAYED_RUNS = `
update threads set status = 'busy'
  where status <> 'busy' and exists (select 1 from runs r where r.thread = threads.id and r.status = 'pending');
`;
