import { LIMITS, type RingLimits, RunFeed } from "./feed.ts";

/** Bytes of all rings of a process together: where there are many, each holds less, and the log tells the rest. */
const BUDGET = 256 * 1024 * 1024;

/**
 * The feeds of this process, by run. A feed exists while its run is queued or running here, or somebody reads it; what
 * came before or after is in the durable log.
 */
export class FeedHub {
  readonly #feeds = new Map<string, RunFeed>();
  readonly #threads = new Map<string, Set<(feed: RunFeed) => void>>();
  /** The process drains: a feed that is suspended now goes on elsewhere, and its readers are to come back. */
  closing = false;
  readonly #limits: RingLimits;

  constructor(budget = BUDGET) {
    const feeds = this.#feeds;
    this.#limits = {
      events: LIMITS.events,
      get bytes() {
        return Math.min(LIMITS.bytes, budget / Math.max(1, feeds.size));
      },
    };
  }

  /** The feed of a run that is about to be executed or read; `newRun`: that is about to be created. */
  open(runId: string, newRun = false): RunFeed {
    let feed = this.#feeds.get(runId);
    if (feed === undefined) {
      feed = new RunFeed(runId, newRun, this.#limits);
      this.#feeds.set(runId, feed);
    }
    return feed;
  }

  find(runId: string): RunFeed | undefined {
    return this.#feeds.get(runId);
  }

  /** Forgets a feed whose run is over or never came to be; readers that hold it go on reading it. */
  drop(runId: string): void {
    this.#feeds.delete(runId);
  }

  /** Tells the thread's watchers that an attempt of a run begins. */
  announce(threadId: string, feed: RunFeed): void {
    for (const listener of this.#threads.get(threadId) ?? []) listener(feed);
  }

  watchThread(threadId: string, listener: (feed: RunFeed) => void): () => void {
    const listeners = this.#threads.get(threadId) ?? new Set();
    listeners.add(listener);
    this.#threads.set(threadId, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#threads.delete(threadId);
    };
  }

  /** Closes every open stream without `end`: the clients reconnect (drain). */
  suspendAll(): void {
    this.closing = true;
    for (const feed of this.#feeds.values()) feed.suspend();
  }

  get size(): number {
    return this.#feeds.size;
  }
}
