import type { AssistantRepository } from "#core/assistants/repository";
import type { CheckpointRepository } from "#core/checkpoints/repository";
import type { LaneRepository, RunRepository } from "#core/runs/repository";
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
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
}
