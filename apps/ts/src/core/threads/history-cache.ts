import { LRUCache } from "lru-cache";
import type { StoredCheckpoint } from "#core/checkpoints/repository";
import type { Place } from "./state-place.ts";

/** Characters of keys and JSON kept; a page of 100 checkpoints of a long conversation is about half a million. */
const MAX_SIZE = 32 * 1024 * 1024;
/** A conversation that nobody has read for so long, ms, is no longer worth its memory. */
const UNREAD_MS = 3 * 60_000;

/**
 * JSON texts of past states. A checkpoint never changes once it stands, only its pending writes may grow, and making its
 * state (tasks, their ids, values) is most of what a history request costs; clients ask for the same history again and
 * again. The key holds everything that the state is made of, so a stale entry is never found, only never used again.
 */
export class HistoryCache {
  readonly #texts = new LRUCache<string, string>({
    maxSize: MAX_SIZE,
    sizeCalculation: (text, key) => text.length + key.length,
    ttl: UNREAD_MS,
    ttlResolution: 1_000,
    updateAgeOnGet: true,
  });
  #purged = performance.now();

  get(key: string): string | undefined {
    return this.#texts.get(key);
  }

  set(key: string, text: string): void {
    this.#texts.set(key, text);
    if (performance.now() - this.#purged < UNREAD_MS / 3) return;
    this.#purged = performance.now();
    this.#texts.purgeStale();
  }
}

/** Rows come from a scoped query, so whoever can name the key may see the state. */
export function historyKey(stored: StoredCheckpoint, place: Place): string {
  const { row, writes } = stored;
  const { assistant } = place;
  let key = `${place.graphId} ${assistant?.assistant_id ?? ""} ${assistant?.version ?? ""} ${row.thread_id} ${row.checkpoint_ns} ${row.checkpoint_id} ${row.epoch} ${row.checkpoint.length} ${row.metadata.length}`;
  for (const { task_id, idx, epoch, value } of writes) key += ` ${task_id} ${idx} ${epoch} ${value.bytes.length}`;
  return key;
}
