/**
 * The order of a thread's checkpoints is that of their writing, which `checkpoints.id` has kept from the first version on:
 * it grows with each insert, and an upsert leaves it. SQLite appends the row's id to each index entry, so this index finds
 * the newest checkpoint of a namespace with one look and reads a namespace in the order of writing.
 */
export const CHECKPOINT_ORDER = `
create index checkpoints_written on checkpoints (thread, ns);
`;
