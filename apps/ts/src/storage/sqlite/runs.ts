import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { RunRepository } from "#core/runs/repository";
import type { Connection } from "./connection.ts";
import { allowed } from "./json-filters.ts";
import { endRun, promote, settle } from "./lane-state.ts";
import { purgeRun } from "./purge.ts";
import { type RunRow, SELECT_RUN, toRun } from "./rows.ts";
import { claimRun, claimRuns, nextDueIn, setBase } from "./runs-claim.ts";
import { createRun, signalCancel } from "./runs-create.ts";
import { finishRun, leaveStateless, STATELESS_GRACE_MS } from "./runs-finish.ts";
import { evictRun, releaseRun, retryRun, sweepRuns } from "./runs-recover.ts";

type Row = RunRow & { thread_metadata: string };

/** With the metadata of the thread, which the caller's conditions are about. */
const SELECT_SEEN = SELECT_RUN.replace(" from runs r", ", t.metadata as thread_metadata from runs r");

export function sqliteRuns(connection: Connection): RunRepository {
  function seen(scope: AuthScope, runId: string): Row | undefined {
    const row = connection
      .sql(`${SELECT_SEEN}where r.run_id = ? and r.tenant = ? and r.owner = ?`)
      .get<Row>(runId, scope.tenant, scope.owner);
    return row !== undefined && allowed(scope, row.thread_metadata) ? row : undefined;
  }

  return {
    create: async (scope, run) => connection.write(() => createRun(connection, scope, run)),
    claim: async (request) => (request.slots <= 0 ? [] : connection.write(() => claimRuns(connection, request))),
    claimRun: async (request, runId) => connection.write(() => claimRun(connection, request, runId)),
    nextDueIn: async () => connection.read(() => nextDueIn(connection)),
    setBase: async (fence, checkpointId) => connection.write(() => setBase(connection, fence, checkpointId)),
    finish: async (fence, outcome) => connection.write(() => finishRun(connection, fence, outcome)),
    release: async (fence) => connection.write(() => releaseRun(connection, fence)),
    retry: async (fence, failure) => connection.write(() => retryRun(connection, fence, failure)),
    sweep: async (alive) => connection.write(() => sweepRuns(connection, alive)),
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

    list: async (scope, threadId, query) =>
      connection.read(() => {
        const order = query.sort_order === "asc" ? "asc" : "desc";
        const rows = connection
          .sql(
            `${SELECT_SEEN}where t.thread_id = ? and r.tenant = ? and r.owner = ? and (?4 is null or r.status = ?4) ` +
              `order by r.seq ${order} limit ?5 offset ?6`,
          )
          .all<Row>(threadId, scope.tenant, scope.owner, query.status ?? null, query.limit + 1, query.offset)
          .filter((row) => allowed(scope, row.thread_metadata));
        return { items: rows.slice(0, query.limit).map(toRun), more: rows.length > query.limit };
      }),

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

    counts: async () =>
      connection.read(() => {
        const count = (status: "pending" | "running") =>
          connection.sql(`select count(*) as total from runs where status = '${status}'`).get<{ total: number }>()
            ?.total ?? 0;
        return { pending: count("pending"), running: count("running") };
      }),
  };

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
