import type { Logger } from "@fractal-agents/infra/logger";
import type { EventRow, RunFailure } from "#core/runs/repository";
import type { Signals } from "#core/signals";
import type { Timeline } from "#core/storage";
import { compareIds, type EventId } from "./events.ts";
import type { RunFeed } from "./feed.ts";
import type { FeedHub } from "./hub.ts";
import type { EventRepository, RunNews } from "./repository.ts";

/** How a run ended, for whoever reads or waits: JSON text of the wait body, and the failure it was given up with. */
export interface RunEnd {
  body: string;
  error: RunFailure | null;
}

export interface Followed {
  thread_id: string;
  run_id: string;
  /** Where the log is read from, when the feed holds nothing yet. */
  after: EventId;
  /** The durable log itself: news may be silent for a while about what only the database has. */
  stored(after: EventId, limit: number): Promise<EventRow[]>;
  /** Asked once the run is over and all of its log is in the feed. Undefined: the run is gone, and nobody can say how. */
  ended(): Promise<RunEnd | undefined>;
}

export interface FollowerDeps {
  events: Pick<EventRepository, "news">;
  signals: Signals;
  hub: FeedHub;
  logger: Logger;
  timeline?: Pick<Timeline, "onChange">;
}

/** Between two looks at everything that is followed, ms: while hints arrive, and while they do not. */
export interface FollowerPace {
  hintedMs: number;
  unhintedMs: number;
  /** How long a feed is kept that nobody reads. */
  idleMs: number;
  /** How long the log may be out of reach before readers are sent elsewhere: for them this process is as good as dead. */
  deafMs: number;
}

const PACE: FollowerPace = { hintedMs: 1_000, unhintedMs: 250, idleMs: 5_000, deafMs: 30_000 };
const RUNS = 200;
const ROWS = 500;

interface Entry extends Followed {
  feed: RunFeed;
  last: EventId;
  /** The log itself says how the run ended. */
  told: boolean;
  /** performance.now() since when nobody reads it. */
  idleSince: number;
  caughtUp: PromiseWithResolvers<void>;
}

/**
 * Fills the feeds of runs that other processes execute from the durable log, all of them with one query at a time: soon
 * after a hint, and every now and then without one. Rows are appended in their order, none twice; a feed whose run is
 * over gets its end and leaves the hub.
 */
export class Follower {
  readonly #deps: FollowerDeps;
  readonly #pace: FollowerPace;
  readonly #entries = new Map<string, Entry>();
  readonly #due = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #closed = false;
  /**
   * performance.now() when the first look began that did not succeed; undefined while they do. Told once per trouble: it is
   * looked several times a second.
   */
  #troubledSince: number | undefined;
  readonly #unsubscribe: () => void;

  constructor(deps: FollowerDeps, pace: Partial<FollowerPace> = {}) {
    this.#deps = deps;
    this.#pace = { ...PACE, ...pace };
    // What has not come yet may never have been: nobody is to take a log that ends for the end of its run.
    deps.timeline?.onChange(() => this.lose());
    this.#unsubscribe = deps.signals.subscribe((hint) => {
      if (hint.kind === "log") this.look(hint.run_id);
    });
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Keeps a feed filled until its run is over, begins here, or nobody reads it. Resolves when it has come to where the
   * log was. Does nothing for a feed that an attempt of this process writes.
   */
  follow(feed: RunFeed, target: Followed): Promise<void> {
    const known = this.#entries.get(target.run_id);
    if (known?.feed === feed) return known.caughtUp.promise;
    if (this.#closed || feed.executing || feed.state !== "open") return Promise.resolve();
    if (known !== undefined) this.#forget(known);
    const entry: Entry = {
      ...target,
      feed,
      last: feed.lastId ?? target.after,
      told: false,
      idleSince: performance.now(),
      caughtUp: Promise.withResolvers(),
    };
    feed.followed = true;
    this.#entries.set(target.run_id, entry);
    this.look(target.run_id);
    return entry.caughtUp.promise;
  }

  /** Looks for news of a run soon; false when it is not followed. */
  look(runId: string): boolean {
    if (!this.#entries.has(runId)) return false;
    // Hints of one turn of the loop become one query.
    if (this.#due.size === 0 && !this.#asking) setImmediate(() => void this.#ask());
    this.#due.add(runId);
    return true;
  }

  /**
   * The run begins in this process. What earlier attempts left in the log is put into the feed first, so that no reader
   * misses it: the lane is this process's by now, so nothing can be added to those attempts any more.
   */
  async handOver(runId: string, epoch: number): Promise<void> {
    const entry = this.#entries.get(runId);
    if (entry === undefined) return;
    this.#forget(entry);
    try {
      for (let more = true; more; ) {
        const rows = await entry.stored(entry.last, ROWS);
        const earlier = rows.filter((row) => row.epoch < epoch);
        append(entry, earlier);
        more = rows.length === ROWS && earlier.length === ROWS;
      }
    } catch (error) {
      // Whoever calls tries again; nobody else fills the feed meanwhile.
      entry.feed.followed = true;
      this.#entries.set(runId, entry);
      throw error;
    }
  }

  /** The run begins in this process and has no log yet. */
  unfollow(runId: string): void {
    const entry = this.#entries.get(runId);
    if (entry !== undefined) this.#forget(entry);
  }

  /**
   * This process is cut off from the database, and may be so for long: whoever reads or waits here is to come back, at a
   * process that knows what has become of the run.
   */
  lose(): void {
    for (const entry of [...this.#entries.values()]) {
      // Whoever asks again gets another feed.
      this.#abandon(entry);
      entry.feed.suspend();
    }
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const entry of this.#entries.values()) this.#forget(entry);
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #forget(entry: Entry): void {
    entry.feed.followed = false;
    this.#entries.delete(entry.run_id);
    this.#due.delete(entry.run_id);
    entry.caughtUp.resolve();
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const began = performance.now();
    try {
      while (this.#due.size > 0) {
        const ids = [...this.#due].slice(0, RUNS);
        for (const id of ids) this.#due.delete(id);
        const entries = ids.flatMap((id) => this.#entries.get(id) ?? []);
        if (entries.length > 0) await this.#update(entries.filter(({ feed }) => !feed.executing));
        this.#troubledSince = undefined;
      }
    } catch (error) {
      this.#due.clear();
      if (this.#troubledSince === undefined) {
        this.#deps.logger.error({ err: error }, "the logs of followed runs could not be read; trying again");
      }
      this.#troubledSince ??= began;
      if (performance.now() - this.#troubledSince > this.#pace.deafMs) this.lose();
    } finally {
      this.#asking = false;
      this.#arm();
    }
  }

  async #update(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const answers = await this.#deps.events.news(entries.map(positionOf), ROWS);
    const news = new Map(answers.map((answer) => [answer.run_id, answer]));
    for (const entry of entries) {
      const answer = news.get(entry.run_id);
      // It may have begun here, or been given up, while the question was under way.
      if (answer !== undefined && this.#entries.get(entry.run_id) === entry) this.#take(entry, answer);
    }
  }

  #take(entry: Entry, { rows, more, over }: RunNews): void {
    append(entry, rows);
    if (more) {
      this.#due.add(entry.run_id);
      return;
    }
    if (over) void this.#end(entry);
    else entry.caughtUp.resolve();
  }

  async #end(entry: Entry): Promise<void> {
    const { feed, run_id } = entry;
    let end: RunEnd | undefined;
    try {
      end = await entry.ended();
    } catch (error) {
      this.#deps.logger.error({ run_id, err: error }, "the end of a followed run could not be read; trying again");
      return;
    }
    if (this.#entries.get(run_id) !== entry) return;
    if (end === undefined) {
      this.#abandon(entry);
      feed.suspend();
      return;
    }
    const { hub } = this.#deps;
    if (!entry.told) {
      // Its executor was lost, or the run was taken away from it: the log does not say so.
      const [mode, data] = end.error === null ? ["end", "null"] : ["error", JSON.stringify(end.error)];
      feed.append({ epoch: entry.last.epoch, n: null, runId: run_id, ns: "", mode, at: Date.now(), data });
    }
    feed.finish({ body: end.body });
    if (hub.find(run_id) === feed) hub.drop(run_id);
    this.#forget(entry);
  }

  /** The next look at everything, if there is anything. */
  #arm(): void {
    if (this.#timer !== undefined || this.#entries.size === 0) return;
    const { hintedMs, unhintedMs } = this.#pace;
    this.#timer = setTimeout(() => this.#lookAtAll(), this.#deps.signals.connected ? hintedMs : unhintedMs);
    this.#timer.unref?.();
  }

  #lookAtAll(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const entry of this.#entries.values()) {
      if (entry.feed.state !== "open") this.#forget(entry);
      else if (entry.feed.readers + entry.feed.waiting > 0) entry.idleSince = now;
      else if (now - entry.idleSince > this.#pace.idleMs) this.#abandon(entry);
    }
    for (const id of this.#entries.keys()) this.#due.add(id);
    if (!this.#asking) void this.#ask();
  }

  #abandon(entry: Entry): void {
    const { hub } = this.#deps;
    this.#forget(entry);
    if (hub.find(entry.run_id) === entry.feed) hub.drop(entry.run_id);
  }
}

function positionOf({ thread_id, run_id, last }: Entry) {
  return { thread_id, run_id, after: last };
}

function append(entry: Entry, rows: readonly EventRow[]): void {
  const { feed } = entry;
  for (const row of rows) {
    if (compareIds(row, entry.last) <= 0) continue;
    const { epoch, n, run_id, ns, mode, at, data } = row;
    entry.last = { epoch, n };
    if (mode === "end" || mode === "error") entry.told = true;
    // It may leave the ring at once: the log has it.
    feed.markDurable(entry.last);
    feed.append({ epoch, n, runId: run_id, ns, mode, at, data });
  }
}
