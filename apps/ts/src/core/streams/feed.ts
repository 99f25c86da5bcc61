import { compareIds, type EventId, type RunEvent } from "./events.ts";

/** What a finished run leaves to those who waited for it: JSON text of the `wait` body. */
export interface RunResult {
  body: string;
}

/** Size of the ring: it may be exceeded by what the log does not hold yet. Bytes are characters of JSON. */
export interface RingLimits {
  events: number;
  bytes: number;
}

export const LIMITS: RingLimits = { events: 2048, bytes: 4 * 1024 * 1024 };

/**
 * The live events of one run in this process: appended by the executor, or by the follower of its log; read by any number of readers that each hold
 * only a position. Old events leave the ring when it is full; a reader that is behind takes them from the durable log.
 *
 *   waiting --begin--> running --finish--> ended
 *                        |  ^                ^
 *                 suspend|  |begin           |(reader arrives late: the log answers)
 *                        v  |
 *                     suspended (drain, lost lease: streams close without `end`, clients come back)
 */
export class RunFeed {
  readonly runId: string;
  readonly #waiters = new Set<() => void>();
  #events: RunEvent[] = [];
  #base = 0;
  #bytes = 0;
  #forgotten = 0;
  #state: "open" | "ended" | "suspended" = "open";
  #result: RunResult | undefined;
  #scheduled = false;
  /** Highest id that the log is known to hold; events up to it may leave the ring. */
  #durable: EventId | undefined;
  readers = 0;
  /** Those who only wait for the end. */
  waiting = 0;
  /** Whether an attempt of this process writes it. */
  executing = false;
  /** Of the latest attempt that this process writes or wrote; 0: there was none. */
  epoch = 0;
  /** Whether it is filled from the log, behind an executor elsewhere. */
  followed = false;

  /** JSON text of the state after the latest step of the attempt that writes it here; undefined when there is none yet. */
  present: (() => string | undefined) | undefined;

  /** Opened before its run existed, so that nothing of the run is older than the ring. */
  readonly #fromBirth: boolean;

  readonly #limits: RingLimits;

  constructor(runId: string, fromBirth = false, limits: RingLimits = LIMITS) {
    this.runId = runId;
    this.#fromBirth = fromBirth;
    this.#limits = limits;
  }

  /** Whether the ring still holds everything that was ever said of the run. */
  get whole(): boolean {
    return this.#fromBirth && this.#base === 0;
  }

  get state(): "open" | "ended" | "suspended" {
    return this.#state;
  }

  get result(): RunResult | undefined {
    return this.#result;
  }

  /** Position of the next event to come. */
  get end(): number {
    return this.#base + this.#events.length;
  }

  /** Position of the oldest event still here. */
  get start(): number {
    return this.#base;
  }

  /** Position after the last event that has left the ring and that no log holds. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** First kept event of the ring that has an id, and its position. */
  get firstId(): EventId | undefined {
    const first = this.#events.find((event) => event.n !== null);
    return first && { epoch: first.epoch, n: first.n as number };
  }

  /** Last event of the ring that has an id. */
  get lastId(): EventId | undefined {
    const last = this.#events.findLast((event) => event.n !== null);
    return last && { epoch: last.epoch, n: last.n as number };
  }

  /** Nothing follows the end: what a run that lost its lane still says is not for anybody. */
  append(event: RunEvent): void {
    if (this.#state === "ended") return;
    this.#events.push(event);
    this.#bytes += event.data.length;
    if (this.full) this.#trim();
    this.#wakeSoon();
  }

  /** Whether the ring holds more than it should: what is not durable cannot leave it. */
  get full(): boolean {
    return this.#events.length > this.#limits.events || this.#bytes > this.#limits.bytes;
  }

  markDurable(id: EventId): void {
    this.#durable = id;
  }

  /** Events from a position on; fewer than asked when the ring no longer holds them (see `start`). */
  slice(position: number): RunEvent[] {
    return this.#events.slice(Math.max(0, position - this.#base));
  }

  /** Position of the first event after an id; undefined when older events may have left the ring. */
  positionAfter(id: EventId): number | undefined {
    const index = this.#events.findIndex(
      (event) => event.n !== null && compareIds({ epoch: event.epoch, n: event.n }, id) > 0,
    );
    const first = this.firstId;
    const covered = first !== undefined && compareIds(first, id) <= 0;
    if (!covered) return undefined;
    return index < 0 ? this.end : this.#base + index;
  }

  finish(result: RunResult): void {
    this.#state = "ended";
    this.#result = result;
    this.#wake();
  }

  suspend(): void {
    this.#state = "suspended";
    this.#wake();
  }

  reopen(): void {
    if (this.#state === "suspended") this.#state = "open";
  }

  /** Calls back once at the next change; the returned function forgets the wait. */
  onChange(wake: () => void): () => void {
    this.#waiters.add(wake);
    return () => void this.#waiters.delete(wake);
  }

  /** Readers are woken once per turn of the loop, so that a burst of tokens is one write to each socket. */
  #wakeSoon(): void {
    if (this.#scheduled || this.#waiters.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#wake();
    });
  }

  #wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Drops the older half as far as the log holds it; what has no id was for live eyes only. */
  #trim(): void {
    const half = this.#events.length >> 1;
    let drop = 0;
    while (drop < half) {
      const event = this.#events[drop] as RunEvent;
      if (event.n !== null) {
        if (this.#durable === undefined || compareIds({ epoch: event.epoch, n: event.n }, this.#durable) > 0) break;
      } else this.#forgotten = this.#base + drop + 1;
      this.#bytes -= event.data.length;
      drop++;
    }
    if (drop > 0) {
      this.#events = this.#events.slice(drop);
      this.#base += drop;
    }
  }
}
