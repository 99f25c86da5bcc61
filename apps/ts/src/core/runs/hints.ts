import type { Signals } from "#core/signals";

/** Tells the other processes what they may want to know at once; silent while there are none. */
export class Hints {
  #processes: number;
  readonly #signals: Signals;
  readonly #shared: boolean;
  readonly #always: boolean;

  /** `always`: somebody listens for certain, whatever the beats say (a process that executes nothing itself). */
  constructor(signals: Signals, how: { shared: boolean; always: boolean }) {
    this.#signals = signals;
    this.#shared = how.shared;
    this.#always = how.always;
    this.#processes = how.shared ? 2 : 1;
  }

  /** Live processes on the database, as the last beat said; until then there may be others. */
  get processes(): number {
    return this.#processes;
  }

  set processes(count: number) {
    this.#processes = count;
    this.#signals.expect?.(count);
  }

  /** This process is there: the others need not wait for their next beat to know. */
  join(): void {
    if (this.#shared) this.#signals.publish({ kind: "wake" });
  }

  /** Another process has said something. */
  heard(): void {
    this.processes = Math.max(2, this.processes);
  }

  /** A run may be due that this process does not take. */
  wake(): void {
    if (this.#heard) this.#signals.publish({ kind: "wake" });
  }

  cancel(runId: string, action: "interrupt" | "rollback"): void {
    if (this.#heard) this.#signals.publish({ kind: "cancel", run_id: runId, action });
  }

  /** The log of a run has grown, or the run is over; after the commit. */
  log(runId: string): void {
    if (this.#heard) this.#signals.publish({ kind: "log", run_id: runId });
  }

  /** A thread or a run is about to be deleted: its readers elsewhere are to know why it is gone. */
  deleted(id: string): void {
    if (this.#heard) this.#signals.publish({ kind: "deleted", id });
  }

  get #heard(): boolean {
    return this.#shared && (this.#always || this.processes > 1);
  }
}
