import type { AuthScope } from "#core/identity/scope";
import type { JsonObject, Page, PageQuery } from "#schemas/common";
import type { Thread, ThreadStatus } from "#schemas/threads";

export interface NewThread {
  thread_id: string;
  metadata: JsonObject;
  ttl?: { strategy: "delete" | "keep_latest"; ttl_minutes: number } | undefined;
}

export interface ThreadFilter {
  ids?: string[] | undefined;
  /** Containment, as JSONB @>. */
  metadata?: JsonObject | undefined;
  values?: JsonObject | undefined;
  status?: ThreadStatus | undefined;
}

/** sort_by: thread_id, status, created_at (default, newest first), updated_at, state_updated_at. */
export interface ThreadQuery extends ThreadFilter, PageQuery {}

export interface ThreadRepository {
  /** Undefined when the id exists, also as somebody else's. */
  insert(scope: AuthScope, thread: NewThread): Promise<Thread | undefined>;
  /** Hidden threads of stateless runs look absent. */
  find(scope: AuthScope, threadId: string): Promise<Thread | undefined>;
  /** Scope of the thread's last run or state write ("" or "assistant:<id>"); undefined when it never had one. */
  lastScope(scope: AuthScope, threadId: string): Promise<string | undefined>;
  /** Metadata merges shallowly. */
  patch(
    scope: AuthScope,
    threadId: string,
    patch: { metadata?: JsonObject | undefined; ttl?: NewThread["ttl"] | null },
  ): Promise<Thread | undefined>;
  /** Deletes runs, checkpoints, writes, events with it. False when absent. */
  remove(scope: AuthScope, threadId: string): Promise<boolean>;
  search(scope: AuthScope, query: ThreadQuery): Promise<Page<Thread>>;
  count(scope: AuthScope, filter: ThreadFilter): Promise<number>;
  /**
   * New thread with all scopes' checkpoints, writes and blobs (without run ids and epochs), values and interrupts; a new
   * log; metadata copied plus thread_id. "busy" while a run is pending or running.
   */
  copy(scope: AuthScope, threadId: string, newId: string): Promise<Thread | "busy" | "no_thread">;
  /**
   * keep_latest: drops all but the newest checkpoint per scope, the ancestors that delta channels need, and what subgraphs
   * have kept for tasks of that newest checkpoint.
   */
  prune(scope: AuthScope, threadIds: string[], strategy: "delete" | "keep_latest"): Promise<number>;
}

/** A due thread that stays (pruned, or at work) is not due again before so long, ms, or a round would always find it again. */
export const LEAST_POSTPONE_MS = 60_000;

/** Keeps the file from growing without end. */
export interface Retention {
  /**
   * One bounded batch: events of ended runs older than `eventHours`, hidden threads whose grace is over, expired
   * threads and store items, blobs that nothing refers to. From the first piece on the whole log of a run looks absent,
   * and so does a thread that goes. Returns how many rows went or were passed over: with 0 nothing is left to look at.
   */
  sweep(limits: { eventHours: number; batch: number }): Promise<number>;
}
