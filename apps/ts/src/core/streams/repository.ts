import type { AuthScope } from "#core/identity/scope";
import type { EventRow } from "#core/runs/repository";

/** Reads of the durable event log; appends go through the fenced group commit and the finishing transaction. */
export interface EventRepository {
  /**
   * Events after the cursor in (epoch, n) order; of one run, or of the whole thread when run_id is undefined; of these
   * modes only, when given.
   */
  read(
    scope: AuthScope,
    query: {
      thread_id: string;
      run_id?: string | undefined;
      after?: { epoch: number; n: number } | undefined;
      modes?: readonly string[] | undefined;
      limit: number;
    },
  ): Promise<EventRow[]>;
}
