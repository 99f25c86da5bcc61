import { LeaseLostError } from "#core/errors";
import { type ProcessFault, RunTimeout, Shutdown } from "./abort.ts";
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
  #lost = false;
  #onLost: (() => void) | undefined;
  /** Whether it was told to stop; it is told once. */
  cancelled = false;
  /** Why handing it back is a strike; undefined: it is none. */
  blamed: ProcessFault | undefined;
  /** It may be what ends the process: it is not handed back, so that a sweep finds it with the others. */
  suspected = false;
  readonly #claimedAt = performance.now();
  #over = false;
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

  /** Since it was claimed. */
  get seconds(): number {
    return (performance.now() - this.#claimedAt) / 1_000;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the run is somebody else's now: nothing of this attempt may be shown or stored any more. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Called once when the run is lost, also if something else has aborted it before. */
  set onLost(callback: () => void) {
    this.#onLost = callback;
  }

  /** This process may not hold the run any longer. */
  lose(): void {
    this.abort(new LeaseLostError(this.run.thread_id, this.run.run_id));
  }

  /** The first reason stands, except that a lost run is lost. */
  abort(reason: Error): void {
    if (reason instanceof LeaseLostError && !this.#lost) {
      this.#lost = true;
      this.#onLost?.();
    }
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

  get over(): boolean {
    return this.#over;
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#resolveDone();
  }
}
