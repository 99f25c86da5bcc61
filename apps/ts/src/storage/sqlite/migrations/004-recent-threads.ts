/** Searches list the threads that changed last first, unless they say otherwise. */
export const RECENT_THREADS = `
create index threads_recent on threads (tenant, owner, updated_at, id) where hidden = 0;
`;
