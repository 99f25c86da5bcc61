import { Worker as Thread } from "node:worker_threads";
import type { Logger } from "@fractal-agents/infra/logger";
import type { Beat, Lease, LeaseKeeper, WorkerInfo } from "#core/runs/workers";

export interface KeeperData {
  url: string;
  settings: boolean;
  worker: WorkerInfo;
  ttlMs: number;
}

export type FromKeeper =
  | { kind: "registered" }
  | { kind: "failed"; message: string; code: string | undefined }
  | { kind: "beat"; beat: Beat }
  | { kind: "trouble"; message: string }
  | { kind: "lost" };

export interface KeeperOptions {
  url: string;
  /** Whether the connection brings settings of its own (DatabaseOptions). */
  settings: boolean;
  ttlMs: number;
  logger: Pick<Logger, "warn" | "info">;
  /** Finds out whether the database has another past by now: what is registered then is registered in that one. */
  confirm(): Promise<unknown>;
}

export interface PostgresKeeper extends LeaseKeeper {
  /** Of the lease that is kept; undefined while there is none. */
  readonly workerId: string | undefined;
  /** The lease is good for nothing: the database has another past than the one that it was taken in. */
  lose(): void;
}

/** In the package this module is part of a chunk, and the thread is a file of its own beside the chunks' folder. */
const THREAD = import.meta.url.endsWith(".ts") ? "./keeper-thread.ts" : "../keeper-thread.js";
/** How long the end of a lease may take; after that it runs out by itself. */
const END_MS = 2_000;

/** One thread per lease: it registers the worker, beats for it, and says when the lease is lost. */
export function postgresKeeper(options: KeeperOptions): PostgresKeeper {
  let kept: KeptLease | undefined;
  return {
    get workerId() {
      return kept?.workerId;
    },
    lose: () => kept?.lose(),
    keep: async (worker, on) => {
      await options.confirm();
      kept = new KeptLease(options, worker, on);
      return kept.begun;
    },
  };
}

type Listener = Parameters<LeaseKeeper["keep"]>[1];

class KeptLease implements Lease {
  /** Resolves with this lease when the worker is registered. */
  readonly begun: Promise<Lease>;
  readonly #options: KeeperOptions;
  readonly #on: Listener;
  readonly #thread: Thread;
  readonly #gone: Promise<void>;
  readonly #workerId: string;
  #registered = false;
  #over = false;
  #troubled = false;

  constructor(options: KeeperOptions, worker: WorkerInfo, on: Listener) {
    this.#options = options;
    this.#workerId = worker.worker_id;
    this.#on = on;
    const { url, settings, ttlMs } = options;
    const data: KeeperData = { url, settings, ttlMs, worker };
    this.#thread = new Thread(new URL(THREAD, import.meta.url), { workerData: data });
    this.#gone = new Promise((done) => this.#thread.once("exit", () => done()));
    const { promise, resolve, reject } = Promise.withResolvers<Lease>();
    this.begun = promise;
    this.#thread.on("message", (message: FromKeeper) => {
      if (message.kind === "registered") {
        this.#registered = true;
        resolve(this);
      } else if (message.kind === "failed") reject(notTaken(message));
      else this.#hear(message);
    });
    // Without the thread nobody beats: the lease is as good as lost.
    this.#thread.on("error", (error) => {
      options.logger.warn({ err: error }, "the thread that keeps the lease has failed");
      reject(error);
      this.lose();
    });
    void this.#gone.then(() => {
      reject(new Error("The thread that keeps the lease has ended"));
      this.lose();
    });
  }

  get workerId(): string | undefined {
    return this.#registered && !this.#over ? this.#workerId : undefined;
  }

  async end(): Promise<void> {
    this.#over = true;
    this.#thread.postMessage("end");
    await Promise.race([this.#gone, timeout(END_MS)]);
    await this.#thread.terminate();
  }

  #hear(message: Exclude<FromKeeper, { kind: "registered" | "failed" }>): void {
    const { logger } = this.#options;
    if (message.kind === "lost") this.lose();
    else if (message.kind === "trouble") {
      if (!this.#troubled) logger.warn({ reason: message.message }, "the lease could not be prolonged; trying again");
      this.#troubled = true;
    } else if (!this.#over) {
      if (this.#troubled) logger.info({}, "the lease is prolonged again");
      this.#troubled = false;
      this.#on.beat(message.beat);
    }
  }

  lose(): void {
    if (this.#over) return;
    this.#over = true;
    this.#on.lost();
  }
}

/** With the code of the database, which says what to do about it: an error loses it on its way between threads. */
function notTaken({ message, code }: { message: string; code: string | undefined }): Error {
  return Object.assign(new Error(`The lease could not be taken: ${message}`), code !== undefined && { code });
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref?.());
}
