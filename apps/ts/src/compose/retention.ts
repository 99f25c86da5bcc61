import type { Logger } from "@fractal-agents/infra/logger";

const EVERY_MS = 60_000;

export interface RetentionDeps {
  /** One bounded batch; with 0 nothing is left to do in this round. */
  sweep(): Promise<number>;
  logger: Pick<Logger, "error">;
  /** Pause between two rounds. */
  everyMs?: number | undefined;
}

/** Clears away what is past its time, in small batches so that no request waits for it. */
export class RetentionTimer {
  readonly #deps: RetentionDeps;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#sweeping = this.#sweep().finally(() => {
        if (!this.#stopped) this.start();
      });
    }, this.#deps.everyMs ?? EVERY_MS);
    this.#timer.unref();
  }

  /** Ends after the batch under way: the storage is closed next. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      while (!this.#stopped && (await this.#deps.sweep()) > 0) await nextTurn();
    } catch (error) {
      // Nothing is lost by it; the next round tries again.
      this.#deps.logger.error({ err: error }, "could not clear away what is past its time");
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
