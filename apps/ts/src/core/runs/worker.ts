import { ProcessFault, RunCancelled, Shutdown } from "./abort.ts";
import { RunHandle } from "./control.ts";
import { inRun } from "./current-run.ts";
import { RunExecution } from "./execute.ts";
import { WorkerLease } from "./lease.ts";
import type { RunEnvironment } from "./prepare.ts";
import { Quarantine } from "./quarantine.ts";
import type { ClaimRequest, RunRecord } from "./repository.ts";
import { jittered } from "./sweeper.ts";
import { takeAway } from "./take-away.ts";
import { within } from "./within.ts";
import { secondsWaited, type WorkerIdentity, type WorkerLimits } from "./worker-options.ts";

/** Longest sleep between two looks at the queue; hints make it shorter, this is the net below them. */
const IDLE_POLL_MS = 1_000;
/** The same while hints do not arrive. */
const DEAF_POLL_MS = 250;
/** Most runs of one claim, so that several processes share a burst. */
const CLAIM_BATCH = 20;
/** Longer than any statement is waited for. */
const UNSURE_MS = 60_000;
/** A stop does not wait longer than this for a database that does not answer. */
const FAREWELL_MS = 1_000;

/**
 * Claims due runs and executes them. A run accepted by this process is claimed with its creation (`reserve`, `take`);
 * the end of a run looks for the next of its lane (`look`), and so do hints of other processes; a timer wakes for delayed
 * runs, backoffs and lost hints. Nothing is claimed without a lease.
 */
export class Worker {
  readonly #env: RunEnvironment;
  readonly #limits: WorkerLimits;
  readonly #lease: WorkerLease;
  readonly #onLease: (workerId: string | undefined) => void;
  readonly #handles = new Map<string, RunHandle>();
  /** Slots kept for runs that are being created. */
  #reserved = 0;
  readonly #quarantine: Quarantine;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  /** Whether a due run may be waiting only for a slot. */
  #short = false;
  #claiming = true;
  /**
   * performance.now() until which a claim may yet reach the database, or have reached it, although its answer did not come
   * back: it may sit in a pooler's queue, or in a socket, for longer than we wait for it.
   */
  #unsureUntil = 0;
  #troubled = false;
  /** Runs that were begun since this process asked what it holds. */
  #begun: Set<string> | undefined;
  /** Runs that were begun before the answer to their creation came: they may have ended when it does. */
  readonly #found = new Set<string>();
  /** Cancels that came while a claim was under way: the run may be in it, and nobody else would tell it. */
  readonly #early = new Map<string, "interrupt" | "rollback">();
  #onUnreserved: (() => void) | undefined;
  #unsubscribe: () => void = () => {};
  /** Of the runs that are executed here. */
  readonly runIds = () => [...this.#handles.keys()];

  constructor(env: RunEnvironment, limits: WorkerLimits, identity: WorkerIdentity) {
    this.#env = env;
    this.#limits = limits;
    this.#onLease = identity.onLease ?? (() => undefined);
    this.#quarantine = new Quarantine({ logger: env.logger, onChange: () => this.look() });
    this.#lease = new WorkerLease({
      keeper: env.storage.keeper,
      info: { ...identity.info, capacity: limits.slots },
      logger: env.logger,
      delay: env.delay,
      on: {
        beat: ({ cancels, processes }) => {
          env.hints.processes = processes;
          for (const { run_id, action } of cancels) this.cancel(run_id, action);
        },
        lost: () => {
          env.observer.leaseLost();
          this.#onLease(undefined);
          for (const handle of this.#handles.values()) handle.lose();
          env.follower.lose();
        },
        renewed: () => {
          this.#onLease(this.#lease.id);
          this.look();
        },
      },
    });
  }

  /** The worker's id under its present lease; undefined while it has none. */
  get id(): string | undefined {
    return this.#lease.id;
  }

  get running(): number {
    return this.#handles.size;
  }

  get slots(): number {
    return this.#limits.slots;
  }

  /** Takes a lease: from then on it claims what it is told to look for. Rejects when there is none to be had. */
  async begin(): Promise<void> {
    await this.#lease.begin();
    this.#onLease(this.#lease.id);
    this.#unsubscribe = this.#env.storage.signals.subscribe((hint) => {
      this.#env.hints.heard();
      if (hint.kind === "wake") this.look();
      else if (hint.kind === "cancel") this.cancel(hint.run_id, hint.action);
    });
    this.#env.hints.join();
  }

  /**
   * Keeps a slot for a run that is about to be created, so that runs created at the same time cannot take more than there
   * are; undefined when none is free. Every reservation is ended by `take`.
   */
  reserve(): ClaimRequest | undefined {
    if (!this.#claiming || this.#lease.id === undefined) return undefined;
    if (this.#free() <= 0 || !this.#quarantine.open) {
      this.#short = true;
      return undefined;
    }
    this.#reserved++;
    return this.#request(this.#lease.id, 1);
  }

  /**
   * Ends a reservation: with the run that was claimed for it, or without one. "unsure": nobody knows, because the answer
   * was lost.
   */
  take(claim: ClaimRequest, run: RunRecord | "unsure" | undefined): void {
    const known = typeof run === "object" && this.#found.has(run.run_id);
    const begins = !known && typeof run === "object" && claim.worker_id === this.#lease.id;
    if (begins) this.#execute(run);
    this.#unreserve(1);
    if (run === "unsure") this.#unsureUntil = performance.now() + UNSURE_MS;
    // It waits its turn, or others do for the slot.
    if (!begins && !known) this.look();
  }

  /** Looks for due runs now, and arms the timer for the next that is not due yet. */
  look(): void {
    if (!this.#claiming || this.#lease.id === undefined || this.#limits.slots === 0) return;
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

  /** The same after runs were taken back: suspects may be among them. */
  lookForSuspects(): void {
    this.#quarantine.expect();
    this.look();
  }

  /**
   * Aborts a running attempt of this process, and takes its lane away if it does not listen. False when the run is not
   * executed here. Told again, it does nothing more.
   */
  cancel(runId: string, action: "interrupt" | "rollback"): boolean {
    const handle = this.#handles.get(runId);
    if (handle === undefined && this.#reserved > 0) this.#early.set(runId, action);
    if (handle === undefined || handle.lost) return false;
    if (handle.cancelled) return true;
    handle.cancelled = true;
    handle.abort(new RunCancelled(action));
    return true;
  }

  /**
   * The process goes down because of an exception of this run, or of one that is not known: then of any that runs here.
   * Who is known gets a strike if it does not end before the process does. Otherwise all are suspects, as after a crash.
   */
  blame(runId: string | undefined, error: unknown): void {
    const known = runId === undefined ? undefined : this.#handles.get(runId);
    if (known !== undefined) known.blamed = new ProcessFault(error);
    else for (const handle of this.#handles.values()) handle.suspected = true;
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
    this.#env.hub.closing = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
    // A database that does not answer must not keep the runs from being asked to yield.
    await within(FAREWELL_MS, this.#looking ?? Promise.resolve());
    await this.#sayGoodbye();
    await within(FAREWELL_MS, this.#unreserved());
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
    if (handles.length > 0) this.#env.hints.wake();
  }

  /** The last act, after everything that lives by the lease. */
  leave(): Promise<void> {
    return within(FAREWELL_MS, this.#lease.end());
  }

  /** The database must not give this worker anything more, not even by a claim that is under way. */
  async #sayGoodbye(): Promise<void> {
    const { storage, logger } = this.#env;
    if (this.#lease.id === undefined) return;
    const told = storage.workers.drain(this.#lease.id).catch((error) => {
      logger.warn({ err: error }, "could not tell the database that this process drains");
    });
    await within(FAREWELL_MS, told);
  }

  /** Slots that were kept are free, or taken by runs that are known by now. */
  #unreserve(slots: number): void {
    this.#reserved -= slots;
    if (this.#reserved > 0) return;
    // No claim is under way: who was not in one is not here.
    this.#early.clear();
    this.#found.clear();
    this.#onUnreserved?.();
  }

  /** Resolves when every run that was to be created with a slot of this process is known. */
  #unreserved(): Promise<void> {
    if (this.#reserved === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onUnreserved = resolve;
    });
  }

  #free(): number {
    return this.#limits.slots - this.#handles.size - this.#reserved;
  }

  #request(workerId: string, slots: number): ClaimRequest {
    return { worker_id: workerId, slots, graphs: this.#limits.claimable.list() };
  }

  async #claimAll(): Promise<void> {
    clearTimeout(this.#timer);
    const { storage, logger } = this.#env;
    const longest = this.#longestSleep();
    let wait = longest;
    this.#short = false;
    try {
      if (performance.now() < this.#unsureUntil) await this.#takeHeld();
      await this.#trySuspects();
      while (this.#claiming && this.#quarantine.open && this.#free() > 0) {
        const id = this.#lease.id;
        if (id === undefined) return;
        const claimed = await this.#claim(id, Math.min(this.#free(), CLAIM_BATCH));
        if (this.#lease.id !== id) return;
        if (claimed === 0) break;
      }
      const outlook = await storage.runs.outlook(this.#limits.claimable.list());
      const of = { handles: [...this.#handles.values()], only: this.#env.hints.processes === 1 };
      wait = Math.min(outlook.due_in_ms ?? longest, longest, this.#quarantine.makeRoom(outlook, of));
      if (this.#troubled) logger.info({}, "looking for work again");
      this.#troubled = false;
    } catch (error) {
      this.#unsureUntil = performance.now() + UNSURE_MS;
      // Once per trouble: it is looked for several times a second.
      if (!this.#troubled) logger.error({ err: error }, "could not look for work; trying again");
      this.#troubled = true;
    }
    // A run that was created during the claim found no slot.
    const free = this.#free() > 0 && this.#quarantine.open;
    if (this.#short && free) this.#again = true;
    this.#short ||= !free;
    // The end of a run wakes as well; also a full worker has to know whether suspects wait.
    if (this.#claiming) {
      this.#timer = setTimeout(() => this.look(), Math.max(free || !this.#quarantine.open ? wait : longest, 5));
      this.#timer.unref?.();
    }
  }

  /** Begins with suspects when nothing runs here, after those that it has observed. */
  async #trySuspects(): Promise<void> {
    const id = this.#lease.id;
    if (id === undefined || !this.#claiming) return;
    if (this.#quarantine.survived) this.#quarantine.cleared(await this.#env.storage.runs.clearSuspects(id));
    const isIdle = this.#handles.size === 0 && this.#reserved === 0;
    await this.#quarantine.claim(async () => (isIdle ? this.#claim(id, this.#limits.slots, "claimSuspects") : 1));
  }

  /** How many runs it got, and began. Slots that it asks for are not given to runs that are created meanwhile. */
  async #claim(id: string, slots: number, how: "claim" | "claimSuspects" = "claim"): Promise<number> {
    this.#reserved += slots;
    try {
      const claimed = await this.#env.storage.runs[how](this.#request(id, slots));
      // What was claimed under a lease that is over is found by a sweep.
      if (this.#lease.id === id) for (const run of claimed) this.#execute(run);
      return claimed.length;
    } finally {
      this.#unreserve(slots);
    }
  }

  /** Begins what this worker holds without knowing: its lease is good, so nobody else would ever take it. */
  async #takeHeld(): Promise<void> {
    const id = this.#lease.id;
    if (id === undefined) return;
    const begun = new Set(this.#handles.keys());
    this.#begun = begun;
    try {
      const held = await this.#env.storage.runs.held(id);
      if (this.#lease.id !== id) return;
      // One that was begun here meanwhile may have ended since the database was asked.
      for (const run of held) {
        if (begun.has(run.run_id)) continue;
        if (this.#reserved > 0) this.#found.add(run.run_id);
        this.#execute(run);
      }
    } finally {
      this.#begun = undefined;
    }
  }

  #longestSleep(): number {
    const { shared, signals } = this.#env.storage;
    if (!shared) return IDLE_POLL_MS;
    return jittered(signals.connected ? IDLE_POLL_MS : DEAF_POLL_MS);
  }

  #execute(run: RunRecord): void {
    const known = this.#handles.get(run.run_id);
    if (known !== undefined && known.fence.epoch >= run.epoch) return;
    this.#begun?.add(run.run_id);
    const handle = new RunHandle(run, this.#limits.timeoutSeconds);
    this.#handles.set(run.run_id, handle);
    if (run.quarantine !== null) this.#quarantine.observe(run);
    handle.signal.addEventListener("abort", () => this.#insist(handle));
    const early = this.#early.get(run.run_id);
    if (early !== undefined) this.cancel(run.run_id, early);
    const { graph_id, attempt } = run;
    this.#env.observer.claimed({ graph_id, attempt, waited: secondsWaited(run) });
    void inRun(run, () => new RunExecution(handle, this.#env).run())
      .catch((error) => {
        this.#env.logger.error({ run_id: run.run_id, err: error }, "the end of a run failed");
        return "lost" as const;
      })
      .then((end) => {
        this.#drop(handle);
        handle.close();
        // The usual end leaves nothing to claim; looking anyway would be a third of the queue's work.
        if (end !== "finished" || this.#short) this.look();
        if (end === "retried" || (end === "handed_on" && (!this.#claiming || this.#free() <= 0)))
          this.#env.hints.wake();
      });
  }

  /** Its slot is free. A later attempt of the run may stand in its place. */
  #drop(handle: RunHandle): void {
    const { run_id } = handle.run;
    if (this.#handles.get(run_id) !== handle) return;
    this.#handles.delete(run_id);
    this.#quarantine.ended(run_id);
  }

  /** Whatever told the attempt to stop: code that does not listen costs neither its slot nor the end of the process. */
  #insist(handle: RunHandle): void {
    const patience = handle.signal.reason instanceof Shutdown ? FAREWELL_MS : this.#limits.cancelGraceMs;
    const freed = () => {
      this.#drop(handle);
      this.look();
    };
    const timer = setTimeout(() => void takeAway(this.#env, handle, freed), patience);
    timer.unref?.();
    void handle.done.then(() => clearTimeout(timer));
  }
}
