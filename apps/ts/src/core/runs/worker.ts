import { newId } from "@fractal-agents/infra/ids";
import { RunCancelled } from "./abort.ts";
import { concludeSwept } from "./conclude.ts";
import { RunHandle } from "./control.ts";
import { inRun } from "./current-run.ts";
import { RunExecution } from "./execute.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { RunRecord, SweptRun } from "./repository.ts";

export interface WorkerLimits {
  /** Runs at once in this process. */
  slots: number;
  /** Deadline of one attempt, seconds. */
  timeoutSeconds: number;
  /** How long a cancelled run may ignore its signal before the lane is taken away, ms. */
  cancelGraceMs: number;
}

/** Longest sleep between two looks at the queue; hints make it shorter, this is the net below them. */
const IDLE_POLL_MS = 1000;

/**
 * Claims due runs and executes them. A run accepted by this process is claimed at once (`start`); the end of a run looks
 * for the next of its lane (`look`); a timer wakes for delayed runs and backoffs.
 */
export class Worker {
  readonly id = newId();
  readonly #env: RunEnvironment;
  readonly #limits: WorkerLimits;
  readonly #handles = new Map<string, RunHandle>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  /** Whether a due run may be waiting only for a slot. */
  #short = false;
  #claiming = true;

  constructor(env: RunEnvironment, limits: WorkerLimits) {
    this.#env = env;
    this.#limits = limits;
  }

  get running(): number {
    return this.#handles.size;
  }

  get slots(): number {
    return this.#limits.slots;
  }

  /** Takes over what earlier processes left behind, and looks for work. Call once. */
  async recover(): Promise<SweptRun[]> {
    const swept = await this.#env.storage.runs.sweep([this.id]);
    for (const { run, result } of swept) {
      this.#env.logger.info(
        { run_id: run.run_id, thread_id: run.thread_id, attempt: run.attempt, result },
        "found a run without a worker",
      );
    }
    this.look();
    for (const each of swept) await concludeSwept(this.#env, each);
    // For runs that came while a thread was brought up to date.
    this.look();
    return swept;
  }

  /**
   * Starts a run that was just accepted, when a slot is free and its lane idle; else it waits its turn. Never rejects:
   * the run is accepted, and what cannot be claimed now is found by the next look.
   */
  async start(run: RunRecord): Promise<void> {
    if (!this.#claiming) return;
    if (this.#free() <= 0) {
      this.#short = true;
      return;
    }
    try {
      const claimed = await this.#env.storage.runs.claimRun(this.#request(1), run.run_id);
      if (claimed !== undefined) return this.#execute(claimed);
    } catch (error) {
      this.#env.logger.error({ run_id: run.run_id, err: error }, "could not start an accepted run at once");
    }
    this.look();
  }

  /** Looks for due runs now, and arms the timer for the next that is not due yet. */
  look(): void {
    if (!this.#claiming) return;
    if (this.#looking !== undefined) {
      this.#again = true;
      return;
    }
    this.#looking = this.#claimAll().finally(() => {
      this.#looking = undefined;
      if (this.#again) {
        this.#again = false;
        this.look();
      }
    });
  }

  /** Aborts a running attempt of this process, and takes its lane away if it does not listen. */
  cancel(runId: string, action: "interrupt" | "rollback"): boolean {
    const handle = this.#handles.get(runId);
    if (handle === undefined) return false;
    handle.abort(new RunCancelled(action));
    const timer = setTimeout(() => void this.#evict(handle), this.#limits.cancelGraceMs);
    timer.unref?.();
    void handle.done.then(() => clearTimeout(timer));
    return true;
  }

  /** Resolves when the attempt that runs here is over; at once when none does. */
  ended(runId: string): Promise<void> {
    return this.#handles.get(runId)?.done ?? Promise.resolve();
  }

  /**
   * Stops claiming, lets running attempts yield at their next superstep, and hands back what is still running after
   * `graceMs`. No attempt is used.
   */
  async drain(reason: string, graceMs: number): Promise<void> {
    this.#claiming = false;
    clearTimeout(this.#timer);
    await this.#looking;
    const handles = [...this.#handles.values()];
    for (const handle of handles) handle.drain(reason);
    const all = Promise.all(handles.map((handle) => handle.done));
    const deadline = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      for (const handle of handles) handle.shutdown();
      deadline.resolve();
    }, graceMs);
    await Promise.race([all, deadline.promise]);
    clearTimeout(timer);
    await all;
  }

  #free(): number {
    return this.#limits.slots - this.#handles.size;
  }

  #request(slots: number) {
    const graphs = this.#env.graphs.list().filter((graph) => graph.error === undefined);
    return { worker_id: this.id, slots, graphs: graphs.map((graph) => graph.id) };
  }

  async #claimAll(): Promise<void> {
    clearTimeout(this.#timer);
    let wait = IDLE_POLL_MS;
    this.#short = false;
    try {
      while (this.#claiming && this.#free() > 0) {
        const claimed = await this.#env.storage.runs.claim(this.#request(this.#free()));
        for (const run of claimed) this.#execute(run);
        if (claimed.length === 0) break;
      }
      wait = Math.min((await this.#env.storage.runs.nextDueIn()) ?? IDLE_POLL_MS, IDLE_POLL_MS);
    } catch (error) {
      this.#env.logger.error({ err: error }, "could not look for work; trying again");
    }
    this.#short ||= this.#free() <= 0;
    // A full worker is woken by the end of a run; otherwise the timer is the net.
    if (this.#claiming && this.#free() > 0) {
      this.#timer = setTimeout(() => this.look(), Math.max(wait, 5));
      this.#timer.unref?.();
    }
  }

  #execute(run: RunRecord): void {
    const handle = new RunHandle(run, this.#limits.timeoutSeconds);
    this.#handles.set(run.run_id, handle);
    void inRun(run, () => new RunExecution(handle, this.#env).run())
      .catch((error) => {
        this.#env.logger.error({ run_id: run.run_id, err: error }, "the end of a run failed");
        return "lost" as const;
      })
      .then((end) => {
        if (this.#handles.get(run.run_id) === handle) this.#handles.delete(run.run_id);
        handle.close();
        // The usual end leaves nothing to claim; looking anyway would be a third of the queue's work.
        if (end !== "finished" || this.#short) this.look();
      });
  }

  /** The node ignores its signal: the lane goes on without it, and whatever it still writes is refused. */
  async #evict(handle: RunHandle): Promise<void> {
    try {
      const swept = await this.#env.storage.runs.evict(handle.fence);
      if (swept === undefined) return;
      this.#env.logger.warn({ run_id: handle.run.run_id }, "took the thread away from a run that ignored its cancel");
      this.#handles.delete(handle.run.run_id);
      this.look();
      await concludeSwept(this.#env, swept);
      this.look();
      // For whoever waits the run is over, whatever its code still does.
      handle.close();
    } catch (error) {
      this.#env.logger.error(
        { run_id: handle.run.run_id, err: error },
        "could not take the thread away from a cancelled run",
      );
    }
  }
}
