import type { NewThread } from "#core/threads/repository";
import type { JsonObject } from "#schemas/common";
import type { Interrupt, Thread, ThreadStatus } from "#schemas/threads";
import { iso, parseObject } from "../common/run-rows.ts";
import type { Connection } from "./connection.ts";

interface ThreadRow {
  thread_id: string;
  status: ThreadStatus;
  ttl_strategy: "delete" | "keep_latest" | null;
  ttl_minutes: number | null;
  expires_at: number | null;
  state_updated_at: number;
  created_at: number;
  updated_at: number;
  metadata: string;
  config: string;
  error: string | null;
  values: string | null;
  /** JSON array of the interrupts texts of all scopes that have any. */
  interrupts: string;
}

const SELECT_THREAD =
  "select t.thread_id, t.status, t.ttl_strategy, t.ttl_minutes, t.expires_at, t.state_updated_at, t.created_at, " +
  't.updated_at, t.metadata, t.config, t.error, (select s."values" from thread_states s where s.thread = t.id ' +
  'and s.scope = t.scope) as "values", (select json_group_array(s.interrupts) from thread_states s ' +
  "where s.thread = t.id and s.interrupts <> '{}') as interrupts from threads t where t.id = ?";

/** A thread as the API shows it; the row must exist. */
export function loadThread(connection: Connection, thread: number): Thread {
  return toThread(connection.sql(SELECT_THREAD).get<ThreadRow>(thread) as ThreadRow);
}

function toThread(row: ThreadRow): Thread {
  const thread: Thread = {
    thread_id: row.thread_id,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
    state_updated_at: iso(row.state_updated_at),
    metadata: parseObject(row.metadata),
    status: row.status,
    config: parseObject(row.config),
    values: row.values === null ? null : (JSON.parse(row.values) as unknown),
    interrupts: mergeInterrupts(row.interrupts),
    error: row.error === null ? null : (JSON.parse(row.error) as JsonObject),
  };
  if (row.ttl_strategy !== null && row.ttl_minutes !== null && row.expires_at !== null) {
    thread.ttl = { strategy: row.ttl_strategy, ttl_minutes: row.ttl_minutes, expires_at: iso(row.expires_at) };
  }
  return thread;
}

/** Task ids are unique over scopes, so the maps of all scopes can stand beside each other. */
function mergeInterrupts(texts: string): Record<string, Interrupt[]> {
  if (texts === "[]") return {};
  const merged: Record<string, Interrupt[]> = {};
  for (const text of JSON.parse(texts) as string[]) {
    Object.assign(merged, JSON.parse(text) as Record<string, Interrupt[]>);
  }
  return merged;
}

/** As columns; all null for a thread that lives for ever. */
export function ttlOf(ttl: NewThread["ttl"], now: number) {
  if (ttl === undefined) return { strategy: null, minutes: null, expiresAt: null };
  return { strategy: ttl.strategy, minutes: ttl.ttl_minutes, expiresAt: now + Math.round(ttl.ttl_minutes * 60_000) };
}
