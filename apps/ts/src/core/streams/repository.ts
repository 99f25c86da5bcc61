import type { AuthScope } from "#core/identity/scope";
import type { EventRow } from "#core/runs/repository";

/** What has become of a run since a position in its log. */
export interface RunNews {
  run_id: string;
  /** Ended, or no longer there. */
  over: boolean;
  /** In (epoch, n) order. */
  rows: EventRow[];
  /** Whether more rows follow than were given. */
  more: boolean;
}

/** Reads of the durable event log; appends go through the fenced group commit and the finishing transaction. */
export interface EventRepository {
  /**
   * Events after the cursor in (epoch, n) order; of one run, or of the whole thread when run_id is undefined; of these
   * modes only, when given. At most `limit`, and no more than it takes to have `bytes` characters of JSON: a caller that
   * has neither has met the end.
   */
  read(
    scope: AuthScope,
    query: {
      thread_id: string;
      run_id?: string | undefined;
      after?: { epoch: number; n: number } | undefined;
      modes?: readonly string[] | undefined;
      limit: number;
      bytes?: number | undefined;
    },
  ): Promise<EventRow[]>;
  /**
   * News of many runs at once, for readers of runs that other processes execute. Every run asked for is answered. Whoever
   * asks has seen to it that its readers may see the runs. `limit`: rows per run.
   */
  news(
    runs: readonly { thread_id: string; run_id: string; after: { epoch: number; n: number } }[],
    limit: number,
  ): Promise<RunNews[]>;
}
