import { CREATE_RUN } from "../functions/create-run.ts";
import { PROMOTE } from "../functions/promote.ts";
import { SETTLE } from "../functions/settle.ts";

/** A thread is busy with a run that waits for its time, from its creation on. */
export const DELAYED_RUNS: string = `
${PROMOTE}
${SETTLE}
${CREATE_RUN}
update fractal.threads t set status = 'busy'
  where status <> 'busy' and exists (select from fractal.runs r where r.thread_id = t.thread_id and r.status = 'pending');
`;
