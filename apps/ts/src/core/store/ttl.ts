/** How long items of the store live: `store.ttl` of a project. */
export interface StoreTtl {
  /** Minutes, for an item that is put without a time to live of its own; null: for ever. */
  minutes: number | null;
  /** Whether a read that does not say (`refresh_ttl`) lets the time to live of what it finds begin anew. */
  refreshOnRead: boolean;
}

export const NO_TTL: StoreTtl = { minutes: null, refreshOnRead: true };
