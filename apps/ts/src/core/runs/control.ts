import { RunTimeout, Shutdown } from "./abort.ts";
import type { Fence } from "./fence.ts";
import type { RunRecord } from "./repository.ts";

/** What the executor lends to langgraph for cooperative drain; absent in copies that are too old for it. */
interface Drainable {
  requestDrain(reason: string): void;
}

/** The handles on one running attempt: abort it, ask it to yield at the next superstep, end it at its deadline. */
export class RunHandle {
  readonly run: RunRecord;
  readonly fence: Fence;
  readonly #controller = new AbortController();
  readonly #deadline: ReturnType<typeof setTimeout>;
  /** Set by the executor; a drain asked for earlier reaches it then. */
  #drainable: Drainable | undefined;
  #draining: string | undefined;
  /** Resolves when the attempt is over in every respect. */
  readonly done: Promise<void>;
  readonly #resolveDone: () => void;

  constructor(run: RunRecord, timeoutSeconds: number) {
    this.run = run;
    this.fence = { threadId: run.thread_id, runId: run.run_id, epoch: run.epoch };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolveDone = resolve;
    // Ends the attempt, so it need not keep the process alive by itself.
    this.#deadline = setTimeout(() => this.abort(new RunTimeout(timeoutSeconds)), timeoutSeconds * 1000);
    this.#deadline.unref?.();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first reason stands. */
  abort(reason: Error): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
  }

  /** Yields at the next superstep; a graph that cannot is aborted by the caller's deadline. */
  drain(reason: string): void {
    this.#draining = reason;
    this.#drainable?.requestDrain(reason);
  }

  shutdown(): void {
    this.abort(new Shutdown());
  }

  attach(drainable: Drainable): void {
    this.#drainable = drainable;
    if (this.#draining !== undefined) drainable.requestDrain(this.#draining);
  }

  close(): void {
    clearTimeout(this.#deadline);
    this.#resolveDone();
  }
}
