import { LRUCache } from "lru-cache";
import type { Signals } from "#core/signals";
import type { NewThread } from "#core/threads/repository";
import type { Thread } from "#schemas/threads";
import type { Hints } from "./hints.ts";
import type { RunFailure } from "./repository.ts";

/** Error for the readers and waiters of a run whose thread was deleted. */
export const THREAD_DELETED: RunFailure = { error: "ThreadDeleted", message: "The thread of the run was deleted" };
export const RUN_DELETED: RunFailure = { error: "RunDeleted", message: "The run was deleted" };

/**
 * Marks a thread whose deletion has begun; no request can set a time to live of zero. The code that ends a run of the thread
 * sees the mark. If the process dies, retention completes the deletion once the thread is idle.
 */
export const GOING: NonNullable<NewThread["ttl"]> = { strategy: "delete", ttl_minutes: 0 };

export function isGoing(thread: Thread | undefined): boolean {
  return thread?.ttl?.ttl_minutes === 0;
}

/** Ids kept; readers ask within seconds. */
const MOST = 10_000;

/**
 * Recently deleted threads and runs, of this process and, if the hint arrived, of others. Distinguishes a deleted run from
 * one that was rolled back and from one that the database has lost.
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
