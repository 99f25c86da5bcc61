import { Worker as Thread } from "node:worker_threads";

/** Shared with the thread: how often the main thread has come round, and how long it may stand still, ms. */
export const CELLS = { pulse: 0, limitMs: 1 } as const;

export interface WatchdogData {
  cells: SharedArrayBuffer;
  /** As configured; `limitMs` may be below it. */
  stallMs: number;
  /** The supervisor's process; undefined where there is none. */
  parent: number | undefined;
}

/** In the package this module is part of a chunk, and the thread is a file of its own beside the chunks' folder. */
const THREAD = import.meta.url.endsWith(".ts") ? "./watchdog-thread.ts" : "../watchdog-thread.js";
const PULSE_MS = 500;

/**
 * Ends this process by SIGKILL when user code blocks its event loop for too long, which no timer and no signal handler of
 * the event loop itself could do. A process that was suspended, or a machine that was, is not blocked.
 */
export class Watchdog {
  readonly #cells = new Int32Array(new SharedArrayBuffer(8));
  readonly #thread: Thread;
  readonly #pulse: ReturnType<typeof setInterval>;

  /** @param options.supervised The process also ends, sooner, when it is blocked and its parent process is gone. */
  constructor({ stallMs, supervised }: { stallMs: number; supervised: boolean }) {
    this.limit(stallMs);
    const cells = this.#cells.buffer as SharedArrayBuffer;
    const data: WatchdogData = { cells, stallMs, parent: supervised ? process.ppid : undefined };
    this.#thread = new Thread(new URL(THREAD, import.meta.url), { workerData: data });
    this.#thread.unref();
    this.#pulse = setInterval(() => Atomics.add(this.#cells, CELLS.pulse, 1), PULSE_MS);
    this.#pulse.unref();
  }

  /** From now on the event loop must not stand still for longer than this. */
  limit(ms: number): void {
    Atomics.store(this.#cells, CELLS.limitMs, ms);
  }

  async close(): Promise<void> {
    clearInterval(this.#pulse);
    await this.#thread.terminate();
  }
}
