import type { Fence } from "#core/runs/fence";
import type { EventRow } from "#core/runs/repository";
import type { RunEvent } from "./events.ts";
import type { RunFeed } from "./feed.ts";

const FLUSH_MS = 20;
const FLUSH_BYTES = 64 * 1024;
/** Events that mark a step: what came before them must be durable soon. */
const STEP_MODES = new Set(["values", "updates", "checkpoints"]);

export interface EmitterDeps {
  feed: RunFeed;
  fence: Fence;
  /** Whether the whole log of this run is kept, or only its lifecycle and result. */
  logged: boolean;
  /** Appends rows under the run's fence; resolves when they are durable, rejects with LeaseLostError. */
  write(rows: EventRow[]): Promise<void>;
  /** A log write that failed for good: the run must stop. */
  onFailure(error: unknown): void;
  /** Called at the first event of the graph itself, on a run whose log is kept. */
  onFirst?: (() => void) | undefined;
}

/** `shown` false: kept for those who ask after the end, already known to the present readers or not for them. */
export interface ClosingEvent {
  mode: string;
  data: string;
  shown: boolean;
}

/**
 * The executor's end of a feed: numbers the events of one attempt, shows them to the readers at once and writes the kept
 * ones to the log in small batches. Events may be seen before they are durable.
 */
export class RunEmitter {
  readonly #deps: EmitterDeps;
  #n = 0;
  #buffer: EventRow[] = [];
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** The run is about to be ended: nothing more is written but with its end. */
  #held = false;
  /** The latest write under way; the earlier ones are stored before it. */
  #writing: Promise<void> | undefined;

  constructor(deps: EmitterDeps) {
    this.#deps = deps;
  }

  /** Whether an event of the graph would be seen by anybody: spares its encoding where not. */
  get watched(): boolean {
    return this.#deps.logged || this.#deps.feed.readers > 0;
  }

  /** How the state of the run can be had from now on, for readers that were too slow for events that nothing keeps. */
  keepsState(present: () => string | undefined): void {
    this.#deps.feed.present = present;
  }

  /** A graph event. On a run whose log is not kept it reaches the present readers only. */
  emit(mode: string, ns: string, data: string): void {
    if (this.#closed) return;
    if (this.#deps.logged) {
      this.#keep(mode, ns, data);
      // The metadata of the attempt had number 0.
      if (this.#n === 2) this.#deps.onFirst?.();
    } else {
      this.#show(this.#event({ mode, ns, data }, null));
      // The few events that are kept hold the ring back until they are stored.
      if (this.#buffer.length > 0 && this.#deps.feed.full) this.#flushSoon(0);
    }
  }

  /** `metadata`: first of each attempt, kept for every run. */
  begin(data: string): void {
    if (this.#closed) return;
    this.#keep("metadata", "", data);
  }

  /**
   * Closing events, and whatever is not yet written: to be appended by the finishing transaction. `release`, called
   * after it has committed, shows those that readers have not seen in another form. Called again, it replaces them.
   */
  conclude(events: readonly ClosingEvent[]): { rows: EventRow[]; release: () => void } {
    this.#closed = true;
    clearTimeout(this.#timer);
    const closing = events.map(({ mode, data }, i) => this.#event({ mode, ns: "", data }, this.#n + i));
    return {
      rows: [...this.#buffer, ...closing.map(toRow)],
      release: () => {
        closing.forEach((event, i) => {
          if (events[i]?.shown) this.#show(event);
        });
      },
    };
  }

  /** Writes what is buffered; used before a run is handed back. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    const rows = this.#buffer;
    this.#buffer = [];
    this.#bytes = 0;
    const last = rows[rows.length - 1] as EventRow;
    const writing = this.#deps.write(rows);
    this.#writing = writing;
    try {
      await writing;
    } catch (error) {
      // Kept for the transaction that ends the run, so that the log has no hole.
      this.#buffer = [...rows, ...this.#buffer].sort((a, b) => a.n - b.n);
      throw error;
    } finally {
      if (this.#writing === writing) this.#writing = undefined;
    }
    this.#deps.feed.markDurable({ epoch: last.epoch, n: last.n });
  }

  /**
   * Before the run is ended: begins no further write, and resolves when none is under way. What is not written yet goes
   * with `conclude`: as a write of its own it could come after the end, and be refused.
   */
  async seal(): Promise<void> {
    this.#held = true;
    clearTimeout(this.#timer);
    while (this.#writing !== undefined) await this.#writing.catch(() => undefined);
  }

  #keep(mode: string, ns: string, data: string): void {
    const event = this.#event({ mode, ns, data }, this.#n++);
    this.#show(event);
    this.#buffer.push(toRow(event));
    this.#bytes += data.length;
    if (!this.#deps.logged) return;
    if (STEP_MODES.has(mode) || this.#bytes > FLUSH_BYTES) this.#flushSoon(0);
    else this.#flushSoon(FLUSH_MS);
  }

  #flushSoon(ms: number): void {
    if (this.#held) return;
    if (ms > 0) {
      this.#timer ??= setTimeout(() => this.#flushSoon(0), ms);
      return;
    }
    this.flush().catch((error) => this.#deps.onFailure(error));
  }

  #event({ mode, ns, data }: { mode: string; ns: string; data: string }, n: number | null): RunEvent {
    const { fence } = this.#deps;
    return { epoch: fence.epoch, n, runId: fence.runId, ns, mode, at: Date.now(), data };
  }

  #show(event: RunEvent): void {
    this.#deps.feed.append(event);
  }
}

function toRow(event: RunEvent): EventRow {
  return {
    epoch: event.epoch,
    n: event.n as number,
    run_id: event.runId,
    ns: event.ns,
    mode: event.mode,
    at: event.at,
    data: event.data,
  };
}
