import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { ClaimRequest, CreateOutcome, RunRepository, WaitingRuns } from "#core/runs/repository";
import { allowed } from "../common/json-filters.ts";
import { type RunRow, SELECT_RUN, toRun } from "../common/run-rows.ts";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { endRun, promote, settle } from "./lane-state.ts";
import { loadPage, pageOf, type Scan } from "./pages.ts";
import { purgeRun } from "./purge.ts";
import { createAudit } from "./runs-audit.ts";
import { claimRun, claimRuns, nextDueIn } from "./runs-claim.ts";
import { createRun, signalCancel } from "./runs-create.ts";
import { finishRun, leaveStateless, STATELESS_GRACE_MS } from "./runs-finish.ts";
import { removeRunsOfAssistant } from "./runs-of-assistant.ts";
import { evictRun, releaseRun, retryRun } from "./runs-recover.ts";
import { claimSuspects, clearSuspects, suspectsWait } from "./runs-suspects.ts";
import { sweepRuns } from "./runs-sweep.ts";
import type { LiveWorkers } from "./workers.ts";

type Row = RunRow & { thread_metadata: string };

/** With the metadata of the thread, which the caller's conditions are about. */
const SELECT_SEEN = SELECT_RUN.replace(" from runs r", ", t.metadata as thread_metadata from runs r");

const WEIGH =
  "select r.seq as id, octet_length(r.metadata) + octet_length(k.kwargs) as bytes from runs r " +
  "join run_kwargs k on k.seq = r.seq where r.seq in (select value from json_each(?))";

export function sqliteRuns(connection: Connection, workers: LiveWorkers): RunRepository {
  const audit = createAudit(connection);

  function seen(scope: AuthScope, runId: string): Row | undefined {
    const row = connection
      .sql(`${SELECT_SEEN}where r.run_id = ? and r.tenant = ? and r.owner = ?`)
      .get<Row>(runId, scope.tenant, scope.owner);
    return row !== undefined && allowed(scope, row.thread_metadata) ? row : undefined;
  }

  return {
    create: async (scope, run, claim) =>
      connection.write(() => {
        const outcome = createRun(connection, scope, run);
        return claim === undefined ? outcome : claimCreated(outcome, claim);
      }),
    claim: async (request) =>
      request.slots > 0 && workers.mayClaim(request.worker_id)
        ? connection.write(() => claimRuns(connection, request))
        : [],
    claimSuspects: async (request) =>
      request.slots > 0 && workers.mayClaim(request.worker_id)
        ? connection.write(() => claimSuspects(connection, request))
        : [],
    clearSuspects: async (workerId) => connection.write(() => clearSuspects(connection, workerId)),
    claimRun: async (request, runId) =>
      workers.mayClaim(request.worker_id) ? connection.write(() => claimRun(connection, request, runId)) : undefined,
    held: async (workerId) =>
      connection.read(() =>
        connection
          .sql(`${SELECT_RUN}join lanes l on l.thread = r.thread and l.active_seq = r.seq where l.worker = ?`)
          .all<RunRow>(workerId)
          .map(toRun),
      ),
    outlook: async (graphs) =>
      connection.read(() => ({
        due_in_ms: nextDueIn(connection),
        suspects_wait_ms: suspectsWait(connection, graphs),
      })),
    waitingFor: async ({ except }) =>
      connection.read(() => {
        const now = connection.now();
        return connection
          .sql(
            "select head_graph as graph_id, count(*) as runs, max(?1 - head_at) as oldest_ms from (" +
              "select head_graph, head_at from lanes where ready = 1 union all " +
              "select head_graph, head_at from lanes where ready = 0 and head_seq is not null and head_at <= ?1) " +
              "where head_graph not in (select value from json_each(?2)) group by head_graph order by head_graph",
          )
          .all<WaitingRuns>(now, JSON.stringify(except));
      }),
    finish: async (fence, outcome) => connection.write(() => finishRun(connection, fence, outcome)),
    release: async (fence) => connection.write(() => releaseRun(connection, fence)),
    retry: async (fence, failure, cause) => connection.write(() => retryRun(connection, fence, { failure, cause })),
    sweep: async (limits = {}) => connection.write(() => sweepRuns(connection, workers.ids(), limits)),
    audit: async () => connection.write(audit),
    evict: async (fence) => connection.write(() => evictRun(connection, fence)),

    cancel: async (scope, target, action) =>
      connection.write(() => {
        const row = seen(scope, target.run_id);
        if (row === undefined) return undefined;
        if (target.thread_id !== undefined && target.thread_id !== row.thread_id) return undefined;
        if (row.status === "running") {
          signalCancel(connection, row.seq, action);
          return { run: toRun(seen(scope, target.run_id) as Row), result: "signalled" as const };
        }
        if (row.status !== "pending") return undefined;
        endPending(row, action);
        if (action === "rollback") return { run: toRun(row), result: "removed" as const };
        return { run: toRun(seen(scope, target.run_id) as Row), result: "ended" as const };
      }),

    find: async (scope, runId) =>
      connection.read(() => {
        const row = seen(scope, runId);
        return row && toRun(row);
      }),

    list: async (scope, threadId, query) => {
      const where: Conditions = {
        sql: ["t.thread_id = ?", "r.tenant = ?", "r.owner = ?"],
        params: [threadId, scope.tenant, scope.owner],
      };
      if (query.status !== undefined) {
        where.sql.push("r.status = ?");
        where.params.push(query.status);
      }
      const scan: Scan<{ thread_metadata: string }> = {
        columns: "t.metadata as thread_metadata",
        from: "runs r join threads t on t.id = r.thread",
        where,
        weight: "octet_length(t.metadata)",
        order: { id: "r.seq", direction: query.sort_order === "asc" ? "asc" : "desc" },
        match: scope.filters === undefined ? undefined : (row) => allowed(scope, row.thread_metadata),
      };
      const page = await pageOf(connection, scan, query);
      const items = await loadPage(connection, page.items, {
        weigh: WEIGH,
        load: (seq) => {
          const row = connection.sql(`${SELECT_RUN}where r.seq = ?`).get<RunRow>(seq);
          return row && toRun(row);
        },
        most: query.max_bytes,
      });
      return { items, more: page.more };
    },

    inflight: async (scope, query) =>
      connection.read(() =>
        (query.status === "all" ? ["pending", "running"] : [query.status])
          .flatMap((status) =>
            connection
              .sql(
                `${SELECT_SEEN}where r.status = '${status === "pending" ? "pending" : "running"}' ` +
                  "and r.tenant = ? and r.owner = ? and (?3 is null or t.thread_id = ?3)",
              )
              .all<Row>(scope.tenant, scope.owner, query.thread_id ?? null),
          )
          .filter((row) => allowed(scope, row.thread_metadata))
          .sort((a, b) => a.seq - b.seq)
          .map(toRun),
      ),

    remove: async (scope, runId) =>
      connection.write(() => {
        const row = seen(scope, runId);
        if (row === undefined) return false;
        if (row.status === "pending" || row.status === "running") {
          throw new RuntimeError("conflict", `Run ${runId} is ${row.status}; cancel it before deleting it`);
        }
        purgeRun(connection, row);
        return true;
      }),

    removeOfAssistant: (scope, assistantId) => removeRunsOfAssistant(connection, scope, assistantId),

    counts: async () =>
      connection.read(() => {
        const count = (status: "pending" | "running") =>
          connection.sql(`select count(*) as total from runs where status = '${status}'`).get<{ total: number }>()
            ?.total ?? 0;
        return { pending: count("pending"), running: count("running"), quarantined: quarantined(), ...ready() };
      }),
  };

  function claimCreated(outcome: CreateOutcome, request: ClaimRequest): CreateOutcome {
    if (outcome.kind !== "created" || !workers.mayClaim(request.worker_id)) return outcome;
    const run = claimRun(connection, request, outcome.run.run_id);
    return run === undefined ? outcome : { ...outcome, run, claimed: true };
  }

  function quarantined(): number {
    const found = connection
      .sql("select count(*) as total from runs where quarantine is not null and status in ('pending', 'running')")
      .get<{ total: number }>();
    return found?.total ?? 0;
  }

  /** Heads whose time has come, noticed (`ready`) or not: a lane that is held has no head. */
  function ready(): { ready: number; oldest_ms: number } {
    const now = connection.now();
    const found = connection
      .sql(
        "select count(*) as ready, min(head_at) as oldest from (select head_at from lanes where ready = 1 union all " +
          "select head_at from lanes where ready = 0 and head_seq is not null and head_at <= ?)",
      )
      .get<{ ready: number; oldest: number | null }>(now);
    return { ready: found?.ready ?? 0, oldest_ms: found?.oldest == null ? 0 : Math.max(0, now - found.oldest) };
  }

  /** Ends a pending run at once: interrupted, or deleted. The rest of its lane moves up. */
  function endPending(row: RunRow, action: "interrupt" | "rollback"): void {
    if (action === "rollback") purgeRun(connection, row);
    else endRun(connection, row.seq, { status: "interrupted", error: null });
    const lane = connection.sql("select active from lanes where thread = ?").get<{ active: string | null }>(row.thread);
    if (lane?.active === null) promote(connection, row.thread);
    settle(connection, row.thread);
    if (row.stateless === 1) leaveStateless(connection, row, action === "rollback" ? 0 : STATELESS_GRACE_MS);
  }
}
