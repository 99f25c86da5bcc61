/** Searches list the threads that changed last first, unless they say otherwise. */
export const RECENT_THREADS = `
create index threads_recent on fractal.threads (tenant, owner, updated_at, seq) where not hidden;
`;
