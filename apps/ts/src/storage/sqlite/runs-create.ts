import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { CreateOutcome, NewRun } from "#core/runs/repository";
import { allowed } from "../common/json-filters.ts";
import { iso, parseKept, type RunRow, SELECT_RUN, toRun } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";
import { endRun, type LaneRow, NEW_HEAD, promote, setHead } from "./lane-state.ts";
import { purgeRun } from "./purge.ts";
import { ttlOf } from "./thread-rows.ts";

interface ThreadLane {
  thread: number;
  tenant: string;
  owner: string;
  hidden: number;
  bound: number;
  status: string;
  metadata: string;
  /** Null when the thread never had a run: it has no lane yet. */
  epoch: number | null;
  active: string | null;
  active_seq: number | null;
  head_seq: number | null;
  head_at: number | null;
  head_retry: number | null;
}

/** `RunRepository.create` without the claim, inside a transaction. */
export function createRun(connection: Connection, scope: AuthScope, run: NewRun): CreateOutcome {
  const earlier = run.idempotency_key === null ? undefined : replayed(connection, scope, run.idempotency_key);
  if (earlier !== undefined) return { kind: "replayed", run: toRun(earlier) };

  const found = threadLane(connection, run.thread_id);
  if (found === undefined) {
    if (run.if_not_exists === "reject") return { kind: "no_thread" };
    const thread = insertThread(connection, scope, run);
    const record = insertRun(connection, scope, { run: layered(run, "{}"), thread, lane: undefined });
    return { kind: "created", run: record, claimed: false, ...NOBODY };
  }
  if (found.tenant !== scope.tenant || found.owner !== scope.owner || !allowed(scope, found.metadata)) {
    return { kind: "no_thread" };
  }
  if (found.hidden === 1) return { kind: "no_thread" };

  const displaced = applyStrategy(connection, run, found);
  if (displaced === "busy") return { kind: "busy" };
  touchThread(connection, run, found);
  // Ending the pending runs may have changed the head, and a thread without a lane gets one.
  const lane = displaced === NOBODY ? laneIn(found) : laneIn(threadLane(connection, run.thread_id) as ThreadLane);
  const record = insertRun(connection, scope, { run: layered(run, found.metadata), thread: found.thread, lane });
  return { kind: "created", run: record, claimed: false, ...displaced };
}

/** The run with its whole metadata: base < thread < its own. */
function layered(run: NewRun, threadMetadata: string): NewRun {
  return { ...run, metadata: { ...run.base_metadata, ...parseKept(threadMetadata), ...run.metadata } };
}

interface Displaced {
  cancelled: string[];
  ended: string[];
  removed: string[];
}

/** No run stood in the way. */
const NOBODY: Displaced = { cancelled: [], ended: [], removed: [] };

function replayed(connection: Connection, scope: AuthScope, key: string): RunRow | undefined {
  const row = connection
    .sql(`${SELECT_RUN}where r.tenant = ? and r.owner = ? and r.idempotency_key = ?`)
    .get<RunRow>(scope.tenant, scope.owner, key);
  if (row === undefined || scope.filters === undefined) return row;
  const thread = threadLane(connection, row.thread_id);
  if (thread !== undefined && allowed(scope, thread.metadata)) return row;
  throw new RuntimeError("conflict", "This idempotency key was used for another run");
}

function threadLane(connection: Connection, threadId: string): ThreadLane | undefined {
  return connection
    .sql(
      "select t.id as thread, t.tenant, t.owner, t.hidden, t.bound, t.status, t.metadata, l.epoch, l.active, " +
        "l.active_seq, l.head_seq, l.head_at, l.head_retry from threads t left join lanes l on l.thread = t.id " +
        "where t.thread_id = ?",
    )
    .get<ThreadLane>(threadId);
}

function laneIn(found: ThreadLane): LaneRow | undefined {
  return found.epoch === null ? undefined : (found as unknown as LaneRow);
}

/** Decides by the strategy what happens to the runs before this one. */
function applyStrategy(connection: Connection, run: NewRun, found: ThreadLane): Displaced | "busy" {
  const strategy = run.multitask_strategy;
  if (strategy === "enqueue") return NOBODY;
  const pending =
    found.head_seq === null && found.active === null
      ? []
      : connection
          .sql("select seq, run_id, thread from runs where thread = ? and status = 'pending' order by run_at, seq")
          .all<{ seq: number; run_id: string; thread: number }>(found.thread);
  if (found.active_seq === null && pending.length === 0) return NOBODY;
  if (strategy === "reject") return "busy";

  const displaced: Displaced = { cancelled: [], ended: [], removed: [] };
  for (const waiting of pending) {
    if (strategy === "rollback") {
      purgeRun(connection, waiting);
      displaced.removed.push(waiting.run_id);
    } else {
      endRun(connection, waiting.seq, { status: "interrupted", error: null });
      displaced.ended.push(waiting.run_id);
    }
  }
  if (found.active_seq !== null && found.active !== null) {
    signalCancel(connection, found.active_seq, strategy);
    displaced.cancelled.push(found.active);
  } else {
    promote(connection, found.thread);
  }
  return displaced;
}

/** Asks a running run to stop. A rollback overrides an interrupt, never the reverse. */
export function signalCancel(connection: Connection, seq: number, action: "interrupt" | "rollback"): void {
  connection
    .sql(
      "update runs set cancel_action = case when cancel_action = 'rollback' then 'rollback' else ?1 end, " +
        "cancel_at = coalesce(cancel_at, ?2), updated_at = ?2 where seq = ?3 and status = 'running'",
    )
    .run(action, connection.now(), seq);
}

function insertThread(connection: Connection, scope: AuthScope, run: NewRun): number {
  const now = connection.now();
  const metadata = { ...run.thread_metadata, graph_id: run.graph_id, assistant_id: run.assistant_id };
  const { strategy, minutes, expiresAt } = ttlOf(run.thread_ttl, now);
  const row = connection
    .sql(
      "insert into threads (thread_id, tenant, owner, hidden, status, bound, ttl_strategy, ttl_minutes, expires_at, " +
        "state_updated_at, created_at, updated_at, metadata) values (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?) returning id",
    )
    .get<{ id: number }>(
      run.thread_id,
      scope.tenant,
      scope.owner,
      run.stateless ? 1 : 0,
      "busy",
      strategy,
      minutes,
      expiresAt,
      now,
      now,
      now,
      JSON.stringify(metadata),
    );
  return (row as { id: number }).id;
}

/** The thread is busy from now on; its metadata name graph and assistant of its latest run. */
function touchThread(connection: Connection, run: NewRun, found: ThreadLane): void {
  const known = parseKept(found.metadata);
  if (found.bound === 0 || known.graph_id !== run.graph_id || known.assistant_id !== run.assistant_id) {
    const metadata = { ...known, graph_id: run.graph_id, assistant_id: run.assistant_id };
    connection
      .sql("update threads set bound = 1, metadata = ? where id = ?")
      .run(JSON.stringify(metadata), found.thread);
  }
  connection
    .sql("update threads set status = 'busy', updated_at = max(?, updated_at + 1) where id = ?")
    .run(connection.now(), found.thread);
}

function insertRun(
  connection: Connection,
  scope: AuthScope,
  target: { run: NewRun; thread: number; lane: LaneRow | undefined },
) {
  const { run, thread, lane } = target;
  const now = connection.now();
  const runAt = now + Math.round(run.after_seconds * 1000);
  const priority = run.priority ?? 0;
  const vt = now + Math.round(run.ahead_ms ?? 0);
  const inserted = connection
    .sql(
      "insert into runs (run_id, thread, tenant, owner, assistant_id, graph_id, revision, status, multitask_strategy, " +
        "durability, on_completion, stateless, logged, priority, vt, run_at, max_attempts, idempotency_key, created_at, " +
        "updated_at, metadata) values (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (run_id) do nothing returning seq",
    )
    .get<{ seq: number }>(
      run.run_id,
      thread,
      scope.tenant,
      scope.owner,
      run.assistant_id,
      run.graph_id,
      run.revision,
      run.multitask_strategy,
      run.durability,
      run.on_completion,
      run.stateless ? 1 : 0,
      run.logged ? 1 : 0,
      priority,
      vt,
      runAt,
      run.max_attempts,
      run.idempotency_key,
      now,
      now,
      JSON.stringify(run.metadata),
    );
  if (inserted === undefined) throw new RuntimeError("conflict", `Run ${run.run_id} already exists`);
  const { seq } = inserted;
  connection.sql("insert into run_kwargs (seq, kwargs) values (?, ?)").run(seq, JSON.stringify(run.kwargs));
  const head = { ...NEW_HEAD, seq, run_at: runAt, graph_id: run.graph_id, priority, vt };
  queue(connection, { thread, lane }, head);
  return recordOf(scope, run, { seq, now, runAt });
}

/** Puts a new run into its lane: as head if the lane is idle and nothing stands before it. */
function queue(
  connection: Connection,
  target: { thread: number; lane: LaneRow | undefined },
  head: Parameters<typeof setHead>[2],
): void {
  const { thread, lane } = target;
  if (lane === undefined) {
    const ready = head.run_at <= connection.now() ? 1 : 0;
    connection
      .sql(
        "insert into lanes (thread, epoch, head_seq, head_at, head_pri, head_vt, head_graph, ready) " +
          "values (?, 0, ?, ?, ?, ?, ?, ?)",
      )
      .run(thread, head.seq, head.run_at, head.priority, head.vt, head.graph_id, ready);
    return;
  }
  if (lane.active !== null) return;
  const first = lane.head_seq === null || (lane.head_retry === 0 && head.run_at < (lane.head_at as number));
  if (first) setHead(connection, thread, head);
}

/** The record as `find` would give it, without reading it back. */
function recordOf(scope: AuthScope, run: NewRun, at: { seq: number; now: number; runAt: number }) {
  const created = iso(at.now);
  return {
    run_id: run.run_id,
    thread_id: run.thread_id,
    assistant_id: run.assistant_id,
    created_at: created,
    updated_at: created,
    status: "pending" as const,
    metadata: run.metadata,
    kwargs: run.kwargs,
    multitask_strategy: run.multitask_strategy,
    tenant: scope.tenant,
    owner: scope.owner,
    graph_id: run.graph_id,
    revision: run.revision,
    seq: at.seq,
    run_at: iso(at.runAt),
    not_before: null,
    attempt: 0,
    max_attempts: run.max_attempts,
    epoch: 0,
    first_epoch: 0,
    strikes: 0,
    restarts: 0,
    quarantine: null,
    cancel_action: null,
    durability: run.durability,
    stateless: run.stateless,
    on_completion: run.on_completion,
    logged: run.logged,
    error: null,
    started_at: null,
    ended_at: null,
  };
}
