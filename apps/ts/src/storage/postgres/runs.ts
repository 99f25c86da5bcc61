import { RuntimeError } from "#core/errors";
import type { RunCounts } from "#core/gauges";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import { POLICY } from "#core/runs/policy";
import type { RunRepository, SweptRun } from "#core/runs/repository";
import { allowed } from "../common/json-filters.ts";
import { mustFit } from "./answer-size.ts";
import { type Database, uuid } from "./database.ts";
import { isConnectionFailure } from "./failures.ts";
import { type RunRow, runColumns, toRun } from "./run-rows.ts";
import { createRun, creations } from "./runs-create.ts";
import { finishes } from "./runs-finish.ts";
import { removeRunsOfAssistant } from "./runs-of-assistant.ts";

const SWEEP_BATCH = 100;
const RULES = JSON.stringify(POLICY);

const RUN = runColumns("r");
const COMPOSITE = runColumns("(r)");
const SEEN =
  `select ${RUN}, t.metadata as thread_metadata from fractal.runs r join fractal.threads t using (thread_id) ` +
  "where r.tenant = $1 and r.owner = $2 ";

/** The same rows, measured. */
const BYTES = SEEN.replace(
  /^select .* from fractal\.runs/,
  "select octet_length(r.metadata::text) + octet_length(r.kwargs::text) as bytes from fractal.runs",
);

type SeenRow = RunRow & { thread_metadata: string };
type CancelRow = RunRow & { result: "ended" | "removed" | "signalled" };
type SweptRow = RunRow & { result: SweptRun["result"] };

export function postgresRuns(database: Database): RunRepository {
  const created = creations(database);
  const endings = finishes(database);

  async function seen(scope: AuthScope, runId: string): Promise<RunRow | undefined> {
    const row = await database.row<SeenRow>(`${SEEN}and r.run_id = $3`, [scope.tenant, scope.owner, uuid(runId)]);
    return row !== undefined && allowed(scope, row.thread_metadata) ? row : undefined;
  }

  async function swept(call: string, params: readonly unknown[], how?: { once: true }): Promise<SweptRun[]> {
    const rows = await database.rows<SweptRow>(`select result, ${COMPOSITE} from fractal.${call}`, params, how);
    return rows.map((row) => ({ run: toRun(row), result: row.result }));
  }

  /** What became of a run whose lane is given up. The answer may be lost after it was decided: then the run itself tells. */
  async function decided(fence: Fence, call: string, params: readonly unknown[]): Promise<SweptRun | undefined> {
    try {
      return (await swept(call, params, { once: true }))[0];
    } catch (error) {
      if (!isLostAnswer(error)) throw error;
      const [now] = await swept(call, params);
      if (now !== undefined) return now;
      const text = `select ${RUN} from fractal.runs r where r.run_id = $1 and r.epoch = $2`;
      const row = await database.row<RunRow>(text, [uuid(fence.runId), fence.epoch]);
      const result = row && DECIDED[row.status];
      return row && result && { run: toRun(row), result };
    }
  }

  return {
    create: (scope, run, claim) => createRun(database, created, { scope, run, claim }),

    claim: async ({ worker_id, slots, graphs }) => {
      if (slots <= 0) return [];
      const text = `select ${RUN} from fractal.claim_v1($1, $2, $3) r`;
      return (await database.rows<RunRow>(text, [worker_id, slots, graphs], { once: true })).map(toRun);
    },

    claimRun: async ({ worker_id, graphs }, runId) => {
      const text = `select ${RUN} from fractal.claim_run_v1($1, $2, $3) r`;
      const row = await database.row<RunRow>(text, [worker_id, uuid(runId), graphs], { once: true });
      return row && toRun(row);
    },

    held: async (workerId) => {
      const text =
        `select ${RUN} from fractal.lanes l join fractal.runs r on r.seq = l.active_seq ` +
        "where l.worker_id = $1 and r.status = 'running'";
      return (await database.rows<RunRow>(text, [workerId])).map(toRun);
    },

    claimSuspects: async ({ worker_id, slots, graphs }) => {
      if (slots <= 0) return [];
      const text = `select ${RUN} from fractal.claim_suspects_v1($1, $2, $3) r`;
      return (await database.rows<RunRow>(text, [worker_id, slots, graphs], { once: true })).map(toRun);
    },

    clearSuspects: async (workerId) =>
      (await database.row<{ cleared: number }>("select fractal.clear_suspects_v1($1) as cleared", [workerId]))
        ?.cleared ?? 0,

    outlook: async (graphs) => {
      const row = await database.row<{ due: number | null; waited: number | null }>(
        "select min(head_at) - fractal.now_ms() as due, (select fractal.now_ms() - min(suspect_at) from fractal.lanes " +
          "where suspect_seq = head_seq and not ready and head_graph = any ($1)) as waited " +
          "from fractal.lanes where not ready and head_seq is not null",
        [graphs],
      );
      return {
        due_in_ms: row?.due == null ? undefined : Math.max(0, row.due),
        suspects_wait_ms: row?.waited ?? undefined,
      };
    },

    waitingFor: ({ except }) =>
      database.rows(
        "select head_graph as graph_id, count(*) as runs, max(fractal.now_ms() - head_at) as oldest_ms from (" +
          "select head_graph, head_at from fractal.lanes where ready union all " +
          "select head_graph, head_at from fractal.lanes " +
          "where not ready and head_seq is not null and head_at <= (select fractal.now_ms())) h " +
          "where head_graph <> all ($1) group by head_graph order by head_graph",
        [except],
      ),

    finish: (fence, outcome) => endings.submit({ fence, outcome }),

    release: (fence) => decided(fence, "release_v1($1, $2, $3)", of(fence)),

    retry: (fence, failure, cause) => {
      const why = withoutNulText(`${failure.error}: ${failure.message}`);
      return decided(fence, "retry_v2($1, $2, $3, $4, $5, $6)", [...of(fence), cause === "fault", why, RULES]);
    },

    sweep: (limits = {}) =>
      swept("sweep_v2($1, $2, $3)", [limits.cancelGraceMs ?? null, limits.batch ?? SWEEP_BATCH, RULES]),

    audit: async () =>
      (await database.row<{ repaired: number }>("select fractal.audit_v2() as repaired"))?.repaired ?? 0,

    cancel: async (scope, target, action) => {
      if (scope.filters !== undefined && (await seen(scope, target.run_id)) === undefined) return undefined;
      const { thread_id, run_id } = target;
      // A thread that cannot exist must not be taken for "any thread".
      if (thread_id !== undefined && uuid(thread_id) === null) return undefined;
      const params = [uuid(run_id), thread_id ?? null, action, scope.tenant, scope.owner];
      const text = `select result, ${COMPOSITE} from fractal.cancel_v1($1, $2, $3, $4, $5)`;
      // If the answer is lost, a run that is gone cannot say that it was there.
      const before = action === "rollback" ? await seen(scope, run_id) : undefined;
      let row: CancelRow | undefined;
      try {
        row = await database.row<CancelRow>(text, params, { once: true });
      } catch (error) {
        if (!isLostAnswer(error)) throw error;
        row = await database.row<CancelRow>(text, params);
        // The first call may have ended it.
        const now = row === undefined ? await seen(scope, run_id) : undefined;
        if (now?.status === "interrupted") return { run: toRun(now), result: "ended" };
        if (row === undefined && now === undefined && before !== undefined)
          return { run: toRun(before), result: "removed" };
      }
      return row && { run: toRun(row), result: row.result };
    },

    evict: (fence) => decided(fence, "evict_v1($1, $2, $3)", of(fence)),

    find: async (scope, runId) => {
      const row = await seen(scope, runId);
      return row && toRun(row);
    },

    list: async (scope, threadId, query) => {
      const order = query.sort_order === "asc" ? "asc" : "desc";
      const { limit, max_bytes: most } = query;
      const page = `and r.thread_id = $3 and ($4::text is null or r.status = $4) order by r.seq ${order} limit $5 offset $6`;
      const params = [scope.tenant, scope.owner, uuid(threadId), query.status ?? null, limit + 1, query.offset];
      await mustFit(database, { text: `${BYTES}${page}`, params, limit }, most);
      const rows = await database.rows<SeenRow>(`${SEEN}${page}`, params);
      const visible = rows.filter((row) => allowed(scope, row.thread_metadata));
      return { items: visible.slice(0, query.limit).map(toRun), more: visible.length > query.limit };
    },

    inflight: async (scope, query) => {
      const wanted = query.status === "all" ? ["pending", "running"] : [query.status];
      const thread = query.thread_id === undefined ? null : uuid(query.thread_id);
      if (query.thread_id !== undefined && thread === null) return [];
      const rows = await database.rows<SeenRow>(
        `${SEEN}and r.status = any ($3) and r.status in ('pending', 'running') ` +
          "and ($4::uuid is null or r.thread_id = $4) order by r.seq",
        [scope.tenant, scope.owner, wanted, thread],
      );
      return rows.filter((row) => allowed(scope, row.thread_metadata)).map(toRun);
    },

    remove: async (scope, runId) => {
      const row = await seen(scope, runId);
      if (row === undefined) return false;
      if (row.status === "pending" || row.status === "running") {
        throw new RuntimeError("conflict", `Run ${runId} is ${row.status}; cancel it before deleting it`);
      }
      // A finished run stays finished. The lane keeps out who deletes the thread, and who clears the mark of its garbage.
      await database.transaction(async (transaction) => {
        await transaction.rows("select from fractal.lanes where thread_id = $1 for update", [row.thread_id]);
        await transaction.rows("select fractal.purge_run(r) from fractal.runs r where r.seq = $1", [row.seq]);
      });
      return true;
    },

    removeOfAssistant: (scope, assistantId) => removeRunsOfAssistant(database, scope, assistantId),

    counts: async () => {
      const row = await database.row<RunCounts>(
        "select (select count(*) from fractal.runs where status = 'pending') as pending, " +
          "(select count(*) from fractal.runs where quarantine is not null and status in ('pending', 'running')) as quarantined, " +
          "(select count(*) from fractal.runs where status = 'running') as running, count(*) as ready, " +
          "coalesce(greatest(fractal.now_ms() - min(h.head_at), 0), 0) as oldest_ms from (" +
          "select head_at from fractal.lanes where ready union all select head_at from fractal.lanes " +
          "where not ready and head_seq is not null and head_at <= (select fractal.now_ms())) h",
      );
      return row ?? { pending: 0, running: 0, ready: 0, oldest_ms: 0, quarantined: 0 };
    },
  };
}

/** By its status: what was decided of a run that is no longer held. */
const DECIDED: Partial<Record<string, SweptRun["result"]>> = {
  pending: "requeued",
  interrupted: "interrupted",
  error: "exhausted",
};

/** Whether the statement took effect is unknown. */
function isLostAnswer(error: unknown): boolean {
  return error instanceof RuntimeError && isConnectionFailure(error.cause);
}

function of(fence: Fence): [string | null, string | null, number] {
  return [uuid(fence.threadId), uuid(fence.runId), fence.epoch];
}

/** Plain text: Postgres stores no NUL. */
function withoutNulText(text: string): string {
  return text.replaceAll("\u0000", "\ufffd");
}
