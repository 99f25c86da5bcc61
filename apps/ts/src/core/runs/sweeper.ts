import type { ClaimableGraphs } from "./claimable.ts";
import { concludeSwept } from "./conclude.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { SweptRun } from "./repository.ts";
import { UnservedRuns } from "./unserved.ts";

export interface SweeperLimits {
  /** How long a cancelled run may ignore its signal, ms. */
  cancelGraceMs: number;
  claimable: ClaimableGraphs;
  /** Between two sweeps, and between two audits, ms. */
  everyMs?: number;
  auditEveryMs?: number;
}

const EVERY_MS = 2_000;
const AUDIT_EVERY_MS = 30_000;
const BATCH = 100;
/** The worker of a deaf run takes its lane away itself; only when it does not, because its process hangs, a sweep does. */
const OWN_WORKER_FIRST_MS = 5_000;

/**
 * Gives runs whose worker is gone to others (at start only, where the process has the database to itself), and frees lanes
 * of this process's own state writes that could not be freed when these ended.
 */
export class Sweeper {
  readonly #env: RunEnvironment;
  readonly #limits: Required<SweeperLimits>;
  readonly #onSwept: () => void;
  readonly #unserved: UnservedRuns;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #auditAt = 0;
  #stopped = false;
  /** Told once per trouble. */
  #troubled = false;
  #sweeping: Promise<unknown> | undefined;

  /** `onSwept`: runs may have become due. */
  constructor(env: RunEnvironment, limits: SweeperLimits, onSwept: () => void) {
    this.#env = env;
    this.#limits = { everyMs: EVERY_MS, auditEveryMs: AUDIT_EVERY_MS, ...limits };
    this.#onSwept = onSwept;
    this.#unserved = new UnservedRuns(env, limits.claimable);
  }

  /** The first sweep, which rejects when it fails; the later ones try again. */
  async begin(): Promise<SweptRun[]> {
    const swept = await this.sweep();
    this.#auditAt = performance.now() + this.#limits.auditEveryMs;
    await this.#lookForUnserved();
    this.#arm();
    return swept;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  async sweep(): Promise<SweptRun[]> {
    const { storage } = this.#env;
    const all: SweptRun[] = [];
    for (;;) {
      const swept = await storage.runs.sweep({
        cancelGraceMs: this.#limits.cancelGraceMs + OWN_WORKER_FIRST_MS,
        batch: BATCH,
      });
      if (swept.length > 0) await this.#handOn(swept);
      all.push(...swept);
      if (swept.length < BATCH || this.#stopped) return all;
    }
  }

  async #handOn(swept: readonly SweptRun[]): Promise<void> {
    const { logger, observer, hints } = this.#env;
    const results = { requeued: 0, interrupted: 0, removed: 0, exhausted: 0, exonerated: 0 };
    for (const { run, result } of swept) {
      results[result]++;
      const { run_id, thread_id, attempt, quarantine, strikes, restarts } = run;
      if (result === "exonerated") logger.info({ run_id, thread_id, reason: result }, "run left quarantine");
      else logger.info({ run_id, thread_id, attempt, result }, "found a run without a worker");
      if (result !== "requeued" || quarantine === null) continue;
      logger.warn({ run_id, thread_id, quarantine, strikes, restarts }, "run quarantined");
    }
    observer.swept(results);
    this.#onSwept();
    hints.wake();
    for (const each of swept) await concludeSwept(this.#env, each);
    // For runs that came while a thread was brought up to date.
    this.#onSwept();
  }

  async #freeLost(): Promise<void> {
    const { storage, logger, hints, workerId } = this.#env;
    const worker = workerId();
    if (worker === undefined) return;
    const freed = await storage.lanes.freeLost(worker);
    if (freed.length === 0) return;
    for (const { threadId, epoch } of freed)
      logger.warn({ thread_id: threadId, epoch }, "lane of a lost state write freed");
    this.#onSwept();
    hints.wake();
  }

  async #lookForUnserved(): Promise<void> {
    if (await this.#unserved.look()) this.#onSwept();
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => this.#next(), jittered(this.#limits.everyMs));
    this.#timer.unref?.();
  }

  #next(): void {
    this.#sweeping = this.#round().finally(() => this.#arm());
  }

  async #round(): Promise<void> {
    const { storage, logger, observer } = this.#env;
    try {
      await this.#freeLost();
      // Embedded storage has no other workers.
      if (storage.shared) await this.sweep();
      this.#troubled = false;
      if (!storage.shared) return await this.#lookForUnserved();
      if (performance.now() < this.#auditAt) return;
      this.#auditAt = performance.now() + this.#limits.auditEveryMs;
      await this.#lookForUnserved();
      const repaired = await storage.runs.audit();
      if (repaired === 0) return;
      observer.repaired(repaired);
      logger.error({ lanes: repaired }, "lanes contradicted their runs and were mended: please report this");
    } catch (error) {
      if (!this.#troubled) logger.error({ err: error }, "could not look for runs without a worker; trying again");
      this.#troubled = true;
    }
  }
}

/** +-20 %, so that processes do not look in step. */
export function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
