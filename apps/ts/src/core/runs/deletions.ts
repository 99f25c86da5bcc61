import { LRUCache } from "lru-cache";
import type { Signals } from "#core/signals";
import type { NewThread } from "#core/threads/repository";
import type { Thread } from "#schemas/threads";
import type { Hints } from "./hints.ts";
import type { RunFailure } from "./repository.ts";

/** What readers and waiters of a run are told whose thread was deleted. */
export const THREAD_DELETED: RunFailure = { error: "ThreadDeleted", message: "The thread of the run was deleted" };
export const RUN_DELETED: RunFailure = { error: "RunDeleted", message: "The run was deleted" };

/**
 * Marks a thread whose deletion has begun: no request can ask for a time to live of nothing. Whoever ends a run there sees
 * it, and if the deletion breaks off, retention completes it as soon as the thread is at rest.
 */
export const GOING: NonNullable<NewThread["ttl"]> = { strategy: "delete", ttl_minutes: 0 };

export function isGoing(thread: Thread | undefined): boolean {
  return thread?.ttl?.ttl_minutes === 0;
}

/** Ids that are remembered: a reader asks within seconds. */
const MOST = 10_000;

/**
 * Threads and runs that were deleted lately, by this process or, as far as hints arrive, by another one. Tells a run that
 * was deleted from one that was rolled back, and from one that the database has lost.
 */
export class Deletions {
  readonly #ids = new LRUCache<string, true>({ max: MOST });
  readonly #hints: Hints;

  constructor(signals: Signals, hints: Hints) {
    this.#hints = hints;
    signals.subscribe((hint) => {
      if (hint.kind === "deleted") this.#ids.set(hint.id, true);
    });
  }

  /** Before the thread or the run goes. */
  add(id: string): void {
    this.#ids.set(id, true);
    this.#hints.deleted(id);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
