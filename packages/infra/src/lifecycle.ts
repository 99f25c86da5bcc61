import type { Logger } from "./logger.ts";

/** One thing that is started and stopped. Both may be left out. */
export interface Part {
  readonly name: string;
  start?(): Promise<void> | void;
  /** `signal` aborts at the deadline, in `leftMs`: what is not finished then must let go at once. */
  stop?(signal: AbortSignal, leftMs: number): Promise<void> | void;
}

export interface LifecycleOptions {
  /** Milliseconds for all stops together. */
  graceMs: number;
  logger: Logger;
}

/** After the deadline a part has this long to obey its signal before it is left behind. */
const LET_GO_MS = 1_000;

/**
 * Starts parts in order and stops them in reverse under one deadline, so that what was started last (taking requests)
 * ends first and what everything stands on (storage) ends last.
 *
 *     new -> starting -> started -> stopping -> stopped
 *              \____________________/   a start that fails stops what had started, then rejects
 */
export class Lifecycle {
  readonly #graceMs: number;
  readonly #logger: Logger;
  readonly #parts: Part[] = [];
  readonly #started: Part[] = [];
  #starting: Promise<void> = Promise.resolve();
  #stopping: Promise<boolean> | undefined;

  constructor(options: LifecycleOptions) {
    this.#graceMs = options.graceMs;
    this.#logger = options.logger;
  }

  /** Adds a part after those added before. A part of something already running has no `start`. */
  add(part: Part): this {
    this.#parts.push(part);
    return this;
  }

  /** Starts the parts that were added since the last call. Rejects with the first error, everything stopped again. */
  async start(): Promise<void> {
    for (const part of this.#parts.splice(0)) {
      if (this.#stopping !== undefined) return;
      this.#starting = this.#startPart(part);
      try {
        await this.#starting;
      } catch (error) {
        await this.stop();
        throw error;
      }
    }
  }

  async #startPart(part: Part): Promise<void> {
    await part.start?.();
    this.#started.push(part);
  }

  /**
   * Idempotent. Never rejects: true when every part stopped cleanly and in time, what went wrong is logged.
   * @param graceMs For this stop instead of the usual grace.
   */
  stop(graceMs = this.#graceMs): Promise<boolean> {
    this.#stopping ??= this.#stopAll(graceMs);
    return this.#stopping;
  }

  async #stopAll(graceMs: number): Promise<boolean> {
    const controller = new AbortController();
    const endsAt = performance.now() + graceMs;
    const deadline = setTimeout(() => controller.abort(new Error("the time to stop is over")), graceMs);
    let clean = true;
    try {
      // A stop that comes in the middle of a start waits for that one part, or it would be left running.
      await this.#starting.catch(() => undefined);
      for (let part = this.#started.pop(); part !== undefined; part = this.#started.pop()) {
        try {
          if (!(await finishes(part, { signal: controller.signal, endsAt }))) {
            clean = false;
            this.#logger.error({ part: part.name, grace_ms: graceMs }, `${part.name} did not stop in time`);
          }
        } catch (error) {
          clean = false;
          this.#logger.error({ part: part.name, err: error }, `${part.name} failed to stop`);
        }
      }
    } finally {
      clearTimeout(deadline);
    }
    return clean;
  }
}

/** False when the part still had not stopped a moment after its signal. */
async function finishes(part: Part, { signal, endsAt }: { signal: AbortSignal; endsAt: number }): Promise<boolean> {
  if (part.stop === undefined) return true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { promise: abandoned, resolve } = Promise.withResolvers<false>();
  const onAbort = () => {
    timer = setTimeout(() => resolve(false), LET_GO_MS);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    const stopped = Promise.resolve(part.stop(signal, Math.max(0, endsAt - performance.now()))).then(
      () => true as const,
    );
    return await Promise.race([stopped, abandoned]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  }
}
