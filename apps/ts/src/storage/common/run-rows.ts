import { parseStored } from "#core/exact-numbers";
import type { RunRecord } from "#core/runs/repository";
import type { JsonObject } from "#schemas/common";
import type { MultitaskStrategy, RunStatus } from "#schemas/runs";

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

/** JSON that code reads: its numbers are doubles. */
export function parseObject(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

/** JSON that clients get back as they sent it (metadata, store values): its numbers keep their value. */
export function parseKept(text: string): JsonObject {
  return parseStored(text) as JsonObject;
}

export interface RunRow {
  seq: number;
  run_id: string;
  thread: number;
  thread_id: string;
  tenant: string;
  owner: string;
  assistant_id: string;
  graph_id: string;
  revision: string | null;
  status: RunStatus;
  multitask_strategy: MultitaskStrategy;
  durability: RunRecord["durability"];
  on_completion: RunRecord["on_completion"];
  stateless: number;
  logged: number;
  run_at: number;
  not_before: number | null;
  attempt: number;
  max_attempts: number;
  epoch: number;
  first_epoch: number;
  strikes: number;
  restarts: number;
  quarantine: string | null;
  cancel_action: RunRecord["cancel_action"];
  created_at: number;
  updated_at: number;
  started_at: number | null;
  ended_at: number | null;
  metadata: string;
  error: string | null;
  kwargs: string;
}

/** Everything that `toRun` needs; follow with WHERE. */
export const SELECT_RUN =
  "select r.seq, r.run_id, r.thread, t.thread_id, r.tenant, r.owner, r.assistant_id, r.graph_id, r.revision, r.status, " +
  "r.multitask_strategy, r.durability, r.on_completion, r.stateless, r.logged, r.run_at, r.not_before, r.attempt, " +
  "r.max_attempts, r.epoch, r.first_epoch, r.strikes, r.restarts, r.quarantine, r.cancel_action, r.created_at, r.updated_at, " +
  "r.started_at, r.ended_at, r.metadata, r.error, k.kwargs " +
  "from runs r join threads t on t.id = r.thread join run_kwargs k on k.seq = r.seq ";

/** Above this many characters the kwargs of a run are parsed when somebody reads them, not on every status change. */
const LAZY_ABOVE = 8192;

export function toRun(row: Omit<RunRow, "thread">): RunRecord {
  const run: RunRecord = {
    run_id: row.run_id,
    thread_id: row.thread_id,
    assistant_id: row.assistant_id,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
    status: row.status,
    metadata: parseKept(row.metadata),
    kwargs: row.kwargs.length > LAZY_ABOVE ? {} : parseObject(row.kwargs),
    multitask_strategy: row.multitask_strategy,
    tenant: row.tenant,
    owner: row.owner,
    graph_id: row.graph_id,
    revision: row.revision,
    seq: row.seq,
    run_at: iso(row.run_at),
    not_before: isoOrNull(row.not_before),
    attempt: row.attempt,
    max_attempts: row.max_attempts,
    epoch: row.epoch,
    first_epoch: row.first_epoch,
    strikes: row.strikes,
    restarts: row.restarts,
    quarantine: row.quarantine,
    cancel_action: row.cancel_action,
    durability: row.durability,
    stateless: row.stateless === 1,
    on_completion: row.on_completion,
    logged: row.logged === 1,
    error: row.error === null ? null : (JSON.parse(row.error) as RunRecord["error"]),
    started_at: isoOrNull(row.started_at),
    ended_at: isoOrNull(row.ended_at),
  };
  if (row.kwargs.length > LAZY_ABOVE) parseOnRead(run, row.kwargs);
  return run;
}

/** An own, enumerable property: spreading or serialising the record reads it like any other. */
function parseOnRead(run: RunRecord, text: string): void {
  Object.defineProperty(run, "kwargs", {
    configurable: true,
    enumerable: true,
    get() {
      const value = parseObject(text);
      Object.defineProperty(run, "kwargs", { configurable: true, enumerable: true, writable: true, value });
      return value;
    },
  });
}

/** JSON text without NUL, which Postgres' jsonb and many clients refuse. */
export function withoutNul(json: string): string {
  if (!json.includes("\\u0000")) return json;
  // An escaped backslash before "u0000" is text, not a NUL: pairs of backslashes are skipped first.
  return json.replace(/\\(?:u0000|[\s\S])/g, (sequence) => (sequence === "\\u0000" ? "\\ufffd" : sequence));
}
