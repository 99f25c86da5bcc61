import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { ClaimRequest, CreateOutcome, NewRun } from "#core/runs/repository";
import { passes } from "../common/json-filters.ts";
import { parseObject } from "../common/run-rows.ts";
import { ALONE_MS, Batch, PATIENCE_MS } from "./batch.ts";
import { jsonb } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { codeOf, isConnectionFailure } from "./failures.ts";
import { type RunRow, runColumns, toRun } from "./run-rows.ts";

/** Many at once, in the order given; `i`: which one, from 1. JSON that is only kept travels as text (see runs-finish.ts). */
const CREATE =
  "with patience as materialized (select set_config('lock_timeout', $2::integer::text, true)) " +
  `select q.i::integer as i, c.kind, c.claimed, c.cancelled, c.ended, c.removed, ${runColumns("(c.r)")} ` +
  "from patience, lateral rows from (json_to_recordset(case when patience.set_config is not null then $1::json end) as (p json, metadata jsonb, base jsonb, kwargs text, worker text, graphs json)) " +
  "with ordinality as q (p, metadata, base, kwargs, worker, graphs, i), " +
  "lateral fractal.create_run_v1(q.p, q.metadata, q.base, q.kwargs::json, q.worker, " +
  "array(select json_array_elements_text(q.graphs))) c";

interface Answer extends RunRow {
  i: number;
  kind: CreateOutcome["kind"];
  claimed: boolean;
  cancelled: string[];
  ended: string[];
  removed: string[];
}

/** A run on its way: its JSON text for the statement, and what is needed if nobody knows whether it arrived. */
interface Call {
  text: string;
  runId: string;
  threadId: string;
  tenant: string;
  owner: string;
  worker: string | undefined;
}

export type Creations = Batch<Call, Answer>;

/** Runs that are created at the same time share a statement. */
export function creations(database: Database): Creations {
  const send = async (calls: readonly Call[], lockMs = PATIENCE_MS) => {
    const text = `[${calls.map(({ text }) => text).join(",")}]`;
    const how = { once: true, impatient: lockMs === PATIENCE_MS };
    const rows = await database.rows<Answer>(CREATE, [text, lockMs], how);
    return rows.sort((a, b) => a.i - b.i);
  };
  return new Batch({
    send,
    key: ({ threadId }) => threadId,
    alone: (call, failure) => createAlone(database, call, { send: (calls) => send(calls, ALONE_MS), failure }),
  });
}

/** `RunRepository.create`. */
export async function createRun(
  database: Database,
  creations: Creations,
  asked: { scope: AuthScope; run: NewRun; claim: ClaimRequest | undefined },
): Promise<CreateOutcome> {
  const { scope, run, claim } = asked;
  if (scope.filters !== undefined && !(await admitted(database, scope, run.thread_id))) return { kind: "no_thread" };
  const kwargs = JSON.stringify(run.kwargs);
  const answer = await creations.submit({
    text:
      `{"p":${jsonb(shape(scope, run))},"metadata":${jsonb(run.metadata)},"base":${jsonb(run.base_metadata ?? {})},` +
      `"kwargs":${JSON.stringify(kwargs)},"worker":${JSON.stringify(claim?.worker_id ?? null)},"graphs":${JSON.stringify(claim?.graphs ?? [])}}`,
    runId: run.run_id,
    threadId: run.thread_id.toLowerCase(),
    tenant: scope.tenant,
    owner: scope.owner,
    worker: claim?.worker_id,
  });
  if (answer.kind === "busy" || answer.kind === "no_thread") return { kind: answer.kind };
  // What was just sent does not come back.
  const record = toRun({ ...answer, kwargs: answer.kwargs ?? kwargs });
  if (answer.kind === "replayed") {
    if (scope.filters === undefined || (await admitted(database, scope, record.thread_id))) {
      return { kind: "replayed", run: record };
    }
    throw new RuntimeError("conflict", "This idempotency key was used for another run");
  }
  const { claimed, cancelled, ended, removed } = answer;
  return { kind: "created", run: record, claimed, cancelled, ended, removed };
}

/**
 * Sent again after a failure. If the connection was lost, nobody knows whether the run was accepted; if it was, its id is
 * taken, and the answer is the run as it stands (what its strategy displaced was displaced then).
 */
async function createAlone(
  database: Database,
  call: Call,
  how: { send(calls: readonly Call[]): Promise<Answer[]>; failure: unknown },
): Promise<Answer> {
  const unsure = isConnectionFailure(causeOf(how.failure));
  try {
    const [answer] = await how.send([call]);
    // What it met may be its own run: the first statement did take effect then.
    const met = unsure && answer?.kind !== "created" ? await standing(database, call) : undefined;
    return met ?? (answer as Answer);
  } catch (error) {
    if (codeOf(causeOf(error)) !== "FR409") throw error;
    const mine = unsure ? await standing(database, call) : undefined;
    if (mine !== undefined) return mine;
    throw new RuntimeError("conflict", `Run ${call.runId} already exists`, { cause: error });
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof RuntimeError ? error.cause : error;
}

async function standing(database: Database, asked: Call): Promise<Answer | undefined> {
  return database.row<Answer>(
    "select 1 as i, 'created' as kind, coalesce(r.status = 'running' and l.worker_id = $2, false) as claimed, " +
      "'{}'::uuid[] as cancelled, '{}'::uuid[] as ended, '{}'::uuid[] as removed, " +
      `${runColumns("r")} from fractal.runs r left join fractal.lanes l on l.active_seq = r.seq and ` +
      "l.thread_id = r.thread_id where r.run_id = $1 and r.tenant = $3 and r.owner = $4",
    [uuid(asked.runId), asked.worker ?? null, asked.tenant, asked.owner],
  );
}

function shape(scope: AuthScope, run: NewRun) {
  return {
    run_id: run.run_id,
    thread_id: run.thread_id,
    tenant: scope.tenant,
    owner: scope.owner,
    assistant_id: run.assistant_id,
    graph_id: run.graph_id,
    revision: run.revision,
    multitask_strategy: run.multitask_strategy,
    durability: run.durability,
    on_completion: run.on_completion,
    stateless: run.stateless,
    logged: run.logged,
    priority: run.priority ?? 0,
    ahead_ms: Math.round(run.ahead_ms ?? 0),
    delay_ms: Math.round(run.after_seconds * 1000),
    max_attempts: run.max_attempts,
    idempotency_key: run.idempotency_key,
    if_not_exists: run.if_not_exists,
    thread_metadata: run.thread_metadata,
    ttl_strategy: run.thread_ttl?.strategy ?? null,
    ttl_minutes: run.thread_ttl?.ttl_minutes ?? null,
  };
}

/** Whether the caller's conditions allow this thread, or there is none yet. */
async function admitted(database: Database, scope: AuthScope, threadId: string): Promise<boolean> {
  const row = await database.row<{ metadata: string }>("select metadata from fractal.threads where thread_id = $1", [
    uuid(threadId),
  ]);
  return row === undefined || passes(scope.filters, parseObject(row.metadata));
}
