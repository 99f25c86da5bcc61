import type { RunCounts } from "#core/gauges";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { NewThread } from "#core/threads/repository";
import type { JsonObject, Page, PageQuery } from "#schemas/common";
import type { Durability, MultitaskStrategy, Run, RunStatus } from "#schemas/runs";
import type { Interrupt, Thread, ThreadStatus } from "#schemas/threads";

/** A run as stored: the wire shape plus what the engine needs. Times are the database's, ISO 8601. */
export interface RunRecord extends Run {
  tenant: string;
  owner: string;
  graph_id: string;
  /** Content hash of the graph (or FRACTAL_REVISION) when the run was created. */
  revision: string | null;
  /** Creation order on the thread; a requeued run keeps it. */
  seq: number;
  /** When the run is due (created_at + after_seconds). */
  run_at: string;
  /** Earliest claim after a crash (backoff); does not change the order. */
  not_before: string | null;
  attempt: number;
  max_attempts: number;
  /** Epoch of the lane in the current or last attempt; 0 before the first. */
  epoch: number;
  /** Epoch of the first attempt, 0 before it. A released run gets its attempt back, but not this: it has run before. */
  first_epoch: number;
  /** How often it was alone when its process died, or is known to have ended it: at most `max_attempts`. */
  strikes: number;
  /** How often it began anew as one of several suspects, or by a failure of infrastructure, and was not exonerated. */
  restarts: number;
  /** Of a suspect: the crash, and the half of its runs that it belongs to ("<id>/1"). */
  quarantine: string | null;
  cancel_action: "interrupt" | "rollback" | null;
  durability: Durability;
  /** Created on no thread of the user's: its thread is hidden, and deleted at the end unless on_completion is keep. */
  stateless: boolean;
  on_completion: "delete" | "keep";
  /** Whether all events are kept in the log (created by a stream call or stream_resumable). */
  logged: boolean;
  error: RunFailure | null;
  started_at: string | null;
  ended_at: string | null;
}

/** What the client is told of a failure: class name and message. */
export interface RunFailure {
  error: string;
  message: string;
}

export interface NewRun {
  run_id: string;
  thread_id: string;
  assistant_id: string;
  graph_id: string;
  revision: string | null;
  /** Of the run; the thread's metadata lies below it and `base_metadata` below both. */
  metadata: JsonObject;
  base_metadata?: JsonObject;
  kwargs: JsonObject;
  multitask_strategy: MultitaskStrategy;
  durability: Durability;
  stateless: boolean;
  on_completion: "delete" | "keep";
  logged: boolean;
  after_seconds: number;
  max_attempts: number;
  /** Same key, same tenant: the earlier run is returned instead of a second one. */
  idempotency_key: string | null;
  /** Who waits for it: 1 a client that is connected, 0 nobody, -1 bulk work. Orders what is due; 0 when absent. */
  priority?: -1 | 0 | 1;
  /** How far the tenant is ahead of its share, ms: within a priority, due runs are ordered by creation time plus this. */
  ahead_ms?: number;
  /**
   * What to do when the thread row is missing: refuse, or make it with this metadata (if_not_exists=create, stateless).
   * The thread's metadata also gets graph_id and assistant_id of its latest run, in the same transaction.
   */
  if_not_exists: "reject" | "create";
  thread_metadata: JsonObject;
  /** Time to live of a thread that is made. */
  thread_ttl?: NewThread["ttl"];
}

/** Decided in one transaction under the lane lock. */
export type CreateOutcome =
  /** `cancelled`: running runs that got a cancel_action; `ended`: pending runs that were interrupted; `removed`: rolled back; `claimed`: it runs already, for the claim's worker. */
  | { kind: "created"; run: RunRecord; claimed: boolean; cancelled: string[]; ended: string[]; removed: string[] }
  /** The idempotency key was seen before. */
  | { kind: "replayed"; run: RunRecord }
  /** Strategy reject and an inflight run. */
  | { kind: "busy" }
  | { kind: "no_thread" };

export interface ClaimRequest {
  worker_id: string;
  slots: number;
  /** Graphs this worker has loaded; others' runs are never taken. */
  graphs: readonly string[];
}

/** How a run ended, written with thread, values cache and lane release in one transaction. */
export interface RunOutcome {
  status: Exclude<RunStatus, "pending" | "running">;
  error: RunFailure | null;
  /** Checkpoint scope of the run ("" or "assistant:<id>"); becomes the scope of the thread's values. */
  scope: string;
  /**
   * State of the run's scope after it: JSON text of the values (undefined: no checkpoint was made, keep the old ones),
   * its pending interrupts by task id, and whether something is left to do (`next` non-empty).
   */
  state: { values: string | undefined; interrupts: Record<string, Interrupt[]>; pending: boolean } | undefined;
  /** Last rows of the run's log (final values of an unlogged run, error, end), appended in the same transaction. */
  events: EventRow[];
}

export interface EventRow {
  epoch: number;
  /** Position within the epoch, from 0, without holes. */
  n: number;
  run_id: string | null;
  /** Namespace segments joined by "|"; "" is the root. */
  ns: string;
  mode: string;
  /** Unix ms. */
  at: number;
  /** JSON text of the event's data. */
  data: string;
}

export interface RunQuery extends PageQuery {
  status?: RunStatus | undefined;
}

export type FinishResult =
  | { kind: "finished"; run: RunRecord; thread_status: ThreadStatus | null }
  /** rollback: the run, its checkpoints, writes and events are gone. */
  | { kind: "removed" }
  /** The lane has moved on; nothing was written. */
  | { kind: "fenced" };

export interface SweepLimits {
  cancelGraceMs?: number | undefined;
  batch?: number | undefined;
}

/**
 * What a sweep decided of a run whose worker is gone. "exonerated": of one whose worker is there, or that waits; others
 * died without it.
 */
export interface SweptRun {
  run: RunRecord;
  result: "requeued" | "interrupted" | "removed" | "exhausted" | "exonerated";
}

/** Why an attempt that failed is tried again. "fault": it is known to end its process; "outage": nothing of its own. */
export type RetryCause = "fault" | "outage";

/** Due runs of one graph that nobody has claimed yet. */
export interface WaitingRuns {
  graph_id: string;
  runs: number;
  /** Of the oldest: since it is due. */
  oldest_ms: number;
}

export interface Outlook {
  /** Until the next pending run becomes due or its backoff ends; undefined when none waits. */
  due_in_ms: number | undefined;
  /** How long the first of the suspects has waited; negative while its backoff lasts; undefined when none waits. */
  suspects_wait_ms: number | undefined;
}

/**
 * The queue: the runs table through one lane row per thread (lock, queue entry and fencing epoch in one). Each method is
 * one transaction that locks the lane first. Terminal states are final. Times are the database's own.
 */
export interface RunRepository {
  /**
   * Inserts a run by its strategy; sets the thread busy if the run is due. With `claim`, the new run is claimed in the
   * same transaction if it is the head of an idle lane, and due.
   */
  create(scope: AuthScope, run: NewRun, claim?: ClaimRequest): Promise<CreateOutcome>;
  /**
   * Takes due runs of idle lanes: status running, attempt + 1, epoch + 1. Order: attempt > 0 first, then priority, then
   * creation time plus `ahead_ms`. A worker whose lease is over or that drains gets none.
   */
  claim(request: ClaimRequest): Promise<RunRecord[]>;
  /**
   * Takes the due suspects of one half, for a worker that executes nothing else: its death shows that the
   * others are innocent. They keep their mark until `clearSuspects`.
   */
  claimSuspects(request: ClaimRequest): Promise<RunRecord[]>;
  /** What the worker holds is suspected no more; how many there were. What counts against them stays. */
  clearSuspects(workerId: string): Promise<number>;
  /** Takes this very run if it is the head of an idle lane and due; undefined otherwise. */
  claimRun(request: ClaimRequest, runId: string): Promise<RunRecord | undefined>;
  /** What the worker holds: for one that does not know whether a claim reached the database before its answer was lost. */
  held(workerId: string): Promise<RunRecord[]>;
  /** What a worker that has loaded these graphs has to expect. */
  outlook(graphs: readonly string[]): Promise<Outlook>;
  /** Due runs at the head of their lane, by graph; without those of the graphs named. */
  waitingFor(graphs: { except: readonly string[] }): Promise<WaitingRuns[]>;
  finish(fence: Fence, outcome: RunOutcome): Promise<FinishResult>;
  /**
   * Back to pending without using an attempt (drain, hot reload), or ended, if it was cancelled meanwhile. Undefined when
   * fenced.
   */
  release(fence: Fence): Promise<SweptRun | undefined>;
  /**
   * A failed attempt that may be tried again: pending with backoff, or error after too many. A fault is a strike, and the
   * run is quarantined by itself; an outage counts until the run makes progress.
   */
  retry(fence: Fence, failure: RunFailure, cause: RetryCause): Promise<SweptRun | undefined>;
  /**
   * Runs of workers whose lease is over: epoch + 1, back to pending as suspects (policy.ts), or ended. All runs of a worker
   * in one transaction; no further worker after `batch` of them. Also runs that were asked to stop longer than
   * `cancelGraceMs` ago, which end, and state writes whose worker is gone.
   */
  sweep(limits?: SweepLimits): Promise<SweptRun[]>;
  /**
   * Looks for lanes that contradict their runs, mends them and returns how many there were. None, unless the lane rules
   * are broken somewhere.
   */
  audit(): Promise<number>;
  /**
   * Pending: ended (interrupt) or deleted (rollback) at once, thread status recomputed. Running: cancel_action set
   * (rollback overrides interrupt, never the reverse). Terminal or absent: undefined.
   */
  cancel(
    scope: AuthScope,
    target: { thread_id?: string | undefined; run_id: string },
    action: "interrupt" | "rollback",
  ): Promise<{ run: RunRecord; result: "ended" | "removed" | "signalled" } | undefined>;
  /**
   * Takes the lane away from a run that ignores its cancel: epoch + 1, run ended by its cancel_action. The old code may
   * compute on but can write nothing. Undefined when the fence is already stale.
   */
  evict(fence: Fence): Promise<SweptRun | undefined>;
  find(scope: AuthScope, runId: string): Promise<RunRecord | undefined>;
  list(scope: AuthScope, threadId: string, query: RunQuery): Promise<Page<RunRecord>>;
  /** Pending and running runs, for bulk cancel; `thread_id` undefined means all threads in scope. */
  inflight(
    scope: AuthScope,
    query: { thread_id?: string | undefined; status: "pending" | "running" | "all" },
  ): Promise<RunRecord[]>;
  /** Deletes a terminal run with its checkpoints, writes and events. False when absent; conflict is the caller's to check. */
  remove(scope: AuthScope, runId: string): Promise<boolean>;
  /**
   * Deletes the records of an assistant's runs that are over, with their events, in pieces. Checkpoints stay: they are the
   * state of their threads. Returns how many runs there were.
   */
  removeOfAssistant(scope: AuthScope, assistantId: string): Promise<number>;
  /** For health and metrics. */
  counts(): Promise<RunCounts>;
}

/** What a state write leaves behind. */
export interface StateChange {
  scope: string;
  state: NonNullable<RunOutcome["state"]>;
  metadata: JsonObject;
  events: EventRow[];
  /** The failure of the thread's last run where it still stands; a write by a person ends it. */
  error?: RunFailure | null;
}

/** A state writer: its own id, and the worker whose lease it depends on (undefined: none at present). */
export interface StateWriter {
  writer_id: string;
  worker_id?: string | undefined;
}

/** A state write outside a run takes the lane like a run would, is fenced like one, and is taken over like one. */
export interface LaneRepository {
  /** Epoch + 1 and the lane held under `writer_id`; "busy" while a run is pending or running. */
  acquire(scope: AuthScope, threadId: string, writer: StateWriter): Promise<Fence | "busy" | "no_thread">;
  /** Writes the thread's new state and events and frees the lane, in one transaction. */
  complete(fence: Fence, change: StateChange): Promise<Thread | "fenced">;
  /** Frees the lane after a failed write. Once it was called, `freeLost` frees what it could not. */
  abandon(fence: Fence): Promise<void>;
  /**
   * Frees the lanes of state writes of this worker that are over: the answer to `acquire` was lost, or `abandon` failed.
   * Their worker lives on, so no sweep takes them.
   */
  freeLost(workerId: string): Promise<Fence[]>;
}
