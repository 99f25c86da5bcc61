import type { AssistantRepository } from "#core/assistants/repository";
import type { CheckpointRepository } from "#core/checkpoints/repository";
import type { StorageTotals } from "#core/gauges";
import type { LaneRepository, RunRepository } from "#core/runs/repository";
import type { LeaseKeeper, WorkerRepository } from "#core/runs/workers";
import type { Signals } from "#core/signals";
import type { StoreRepository } from "#core/store/repository";
import type { EventRepository } from "#core/streams/repository";
import type { Retention, ThreadRepository } from "#core/threads/repository";

/** One storage engine: every port over one database. SQLite and Postgres pass the same suites (tests/contract). */
export interface Storage extends AsyncDisposable {
  /** Shown in the banner and /info, without credentials: "sqlite .fractal/fractal.db". */
  readonly description: string;
  readonly assistants: AssistantRepository;
  readonly threads: ThreadRepository;
  readonly runs: RunRepository;
  readonly lanes: LaneRepository;
  readonly checkpoints: CheckpointRepository;
  readonly events: EventRepository;
  readonly store: StoreRepository;
  readonly retention: Retention;
  readonly workers: WorkerRepository;
  readonly keeper: LeaseKeeper;
  readonly signals: Signals;
  readonly timeline: Timeline;
  /** Whether other processes may work on the same database. */
  readonly shared: boolean;
  /** For metrics; counts rows, so it is asked now and then only. */
  totals(): Promise<StorageTotals>;
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
  /**
   * Rejects with RuntimeError unavailable while writes are refused. Known from the writes that were made anyway; only
   * where the last one failed, or was long ago, a tiny one is made.
   */
  writable(): Promise<void>;
}

/**
 * Which past the database has. A replica that takes the primary's place may lack the last commits: then the timeline is
 * another one, and what is missing need not have been taken away.
 */
export interface Timeline {
  /** How often it has changed under this process. */
  readonly number: number;
  /** Asks the database, and resolves with the number. Rejects with RuntimeError unavailable while it cannot be used. */
  confirm(): Promise<number>;
  /** Calls back when it has changed, before anything else is asked of the database. */
  onChange(listener: () => void): void;
}

/** Of a database that nothing can take the place of. */
export const ONE_TIMELINE: Timeline = { number: 0, confirm: async () => 0, onChange: () => undefined };

/** The storage cannot be used: raised while it opens, with a sentence for the person who started the server. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  /** What is wrong and what to do about it; no stack, no secret. */
  readonly detail: string;
  /** Another process has it, or the machine cannot serve it at present: not a mistake in the configuration. */
  readonly inUse: boolean;

  constructor(detail: string, options?: { cause?: unknown; inUse?: boolean }) {
    super(detail, options);
    this.detail = detail;
    this.inUse = options?.inUse === true;
  }
}
