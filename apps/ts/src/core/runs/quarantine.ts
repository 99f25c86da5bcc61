import type { Logger } from "@fractal-agents/infra/logger";
import type { RunHandle } from "./control.ts";
import { observationMs, QUARANTINE } from "./policy.ts";
import type { Outlook, RunRecord } from "./repository.ts";

/** Between two looks while suspects wait for this process. */
const POLL_MS = 100;

export interface QuarantineDeps {
  logger: Logger;
  /** Something has changed: the worker looks for work. */
  onChange(): void;
}

/**
 * What one process does to find the run that ends processes (policy.ts): suspects are executed by a process that executes
 * nothing else, and have it to themselves for a while.
 *
 *   open --suspects wait, nothing runs here--> observing --all have ended, or survived--> open
 *   open --suspects wait for long--> holding (takes nothing, asks its runs to yield, hands them back) --> observing
 */
export class Quarantine {
  readonly #deps: QuarantineDeps;
  readonly #waitMs: { hold: number; yield: number; handBack: number };
  readonly #observed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #until = 0;
  /** Whether the observed runs have lived long enough: their marks are to be cleared. */
  survived = false;
  /** Whether suspects may be waiting. */
  #wanted = true;
  /** Nothing begins here before it was looked for suspects; nor while they are claimed. */
  #closed = true;
  /** Another half may be waiting, and this process has just shown that it is free to try it. */
  #eager = false;
  #heldSince: number | undefined;

  constructor(deps: QuarantineDeps) {
    this.#deps = deps;
    // Processes do not all stop at once.
    const factor = 1 + Math.random() * 0.5;
    const { hold, yield: ask, handBack } = QUARANTINE.waitMs;
    this.#waitMs = { hold: hold * factor, yield: ask * factor, handBack: handBack * factor };
  }

  /** Whether other runs may begin here. */
  get open(): boolean {
    return !this.#closed && this.#observed.size === 0 && this.#heldSince === undefined;
  }

  expect(): void {
    this.#wanted = true;
  }

  /** Claims suspects for an idle process; `observe` then reports each of them. */
  async claim(claim: () => Promise<number>): Promise<void> {
    this.#closed = true;
    try {
      if (this.#wanted && this.#observed.size === 0 && (await claim()) === 0) this.#wanted = false;
    } finally {
      this.#closed = false;
    }
  }

  /** A suspect begins: it is observed, and others that began with it. */
  observe(run: RunRecord): void {
    if (this.#observed.size === 0) this.#until = 0;
    this.#observed.add(run.run_id);
    this.#heldSince = undefined;
    const until = performance.now() + observationMs(run.restarts);
    if (until <= this.#until) return;
    this.#until = until;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.survived = true;
      this.#deps.onChange();
    }, until - performance.now());
    this.#timer.unref?.();
  }

  /** A run has ended here, or is lost. */
  ended(runId: string): void {
    if (this.#observed.delete(runId) && this.#observed.size === 0) this.#over({ runs: 0, reason: "ended" });
  }

  /** The marks of those that survived are cleared. */
  cleared(runs: number): void {
    this.#observed.clear();
    this.#over({ runs, reason: "survived" });
  }

  #over(how: { runs: number; reason: "ended" | "survived" }): void {
    clearTimeout(this.#timer);
    this.survived = false;
    this.#eager = true;
    this.#wanted = true;
    this.#deps.logger.info(how, "quarantine ended");
    this.#deps.onChange();
  }

  /**
   * Makes room for suspects that wait: at once in the only process, later in a busy one of several. Returns how long the
   * next look may take.
   */
  makeRoom({ suspects_wait_ms: waited }: Outlook, of: { handles: readonly RunHandle[]; only: boolean }): number {
    if (waited === undefined || waited < 0) {
      this.#wanted = false;
      this.#eager = false;
      this.#heldSince = undefined;
      return waited === undefined ? Number.POSITIVE_INFINITY : -waited;
    }
    this.#wanted = true;
    if (this.#observed.size > 0 || of.handles.length === 0) return POLL_MS;
    const eager = of.only || this.#eager;
    if (!eager && waited < this.#waitMs.hold) return Number.POSITIVE_INFINITY;
    const now = performance.now();
    if (this.#heldSince === undefined) {
      this.#heldSince = now;
      this.#deps.logger.info({ running: of.handles.length, waited_ms: waited }, "claims paused for quarantine");
    }
    const handBack = eager ? now - this.#heldSince >= QUARANTINE.eagerHandBackMs : waited >= this.#waitMs.handBack;
    if (handBack) for (const handle of of.handles) handle.shutdown();
    else if (eager || waited >= this.#waitMs.yield) for (const handle of of.handles) handle.drain("quarantine");
    return POLL_MS;
  }
}
