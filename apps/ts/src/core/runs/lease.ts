import { newId } from "@fractal-agents/infra/ids";
import type { Logger } from "@fractal-agents/infra/logger";
import type { Beat, Lease, LeaseKeeper, WorkerInfo } from "./workers.ts";

export interface LeaseDeps {
  keeper: LeaseKeeper;
  /** Of this process; it gets a fresh worker id with every lease. */
  info: Omit<WorkerInfo, "worker_id">;
  logger: Logger;
  delay(ms: number): Promise<void>;
  on: {
    beat(beat: Beat): void;
    /** The lease is over: nothing that was claimed under it is this process's any more. */
    lost(): void;
    /** There is a new lease after a lost one. */
    renewed(): void;
  };
}

const BACKOFF_MS = { first: 250, longest: 5_000 };

/**
 * Right of this process to hold runs. A lease that is lost is never taken up again: the process comes back as another
 * worker, so that what it held before cannot be mistaken for what it holds now.
 *
 *   none --begin--> kept --lost--> none (tries again until it ends) --renewed--> kept --end--> none
 */
export class WorkerLease {
  readonly #deps: LeaseDeps;
  #kept: { id: string; lease: Lease } | undefined;
  #ended = false;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
  }

  /** Undefined while there is no lease: then nothing may be claimed. */
  get id(): string | undefined {
    return this.#kept?.id;
  }

  /** Rejects when the worker cannot be registered. */
  async begin(): Promise<void> {
    await this.#keep();
  }

  /** The worker's last act. Never rejects. */
  async end(): Promise<void> {
    this.#ended = true;
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.lease.end();
  }

  async #keep(): Promise<void> {
    const { keeper, info, on } = this.#deps;
    const id = newId();
    let over = false;
    const lease = await keeper.keep(
      { ...info, worker_id: id },
      {
        beat: (beat) => {
          if (this.#kept?.id === id) on.beat(beat);
        },
        lost: () => {
          over = true;
          if (this.#kept?.id === id) this.#lose();
        },
      },
    );
    if (this.#ended || over) {
      await lease.end();
      if (over) throw new Error("The lease was over before it was known");
      return;
    }
    this.#kept = { id, lease };
  }

  #lose(): void {
    const { logger, on } = this.#deps;
    const kept = this.#kept;
    this.#kept = undefined;
    logger.error({ worker_id: kept?.id }, "this process lost its lease; others take over its runs");
    on.lost();
    void kept?.lease.end();
    void this.#comeBack();
  }

  async #comeBack(): Promise<void> {
    const { logger, on, delay } = this.#deps;
    for (let wait = BACKOFF_MS.first; !this.#ended; wait = Math.min(wait * 2, BACKOFF_MS.longest)) {
      try {
        await this.#keep();
        if (!this.#ended) on.renewed();
        return;
      } catch (error) {
        logger.error({ err: error }, "no new lease yet; trying again");
      }
      try {
        await delay(wait);
      } catch {
        // The process stops: nobody needs a lease any more.
        return;
      }
    }
  }
}
