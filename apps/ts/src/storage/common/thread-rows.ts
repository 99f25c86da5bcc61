import type { JsonObject } from "#schemas/common";
import type { Interrupt, Thread, ThreadStatus } from "#schemas/threads";
import { iso, parseKept, parseObject } from "./run-rows.ts";

/** A thread as both engines read it: JSON as text, times in Unix ms. */
export interface ThreadRow {
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
}

/** @param interrupts Of each scope that has any: task ids are unique over scopes, so they can stand beside each other. */
export function toThread(row: ThreadRow, interrupts: readonly Record<string, Interrupt[]>[]): Thread {
  const thread: Thread = {
    thread_id: row.thread_id,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
    state_updated_at: iso(row.state_updated_at),
    metadata: parseKept(row.metadata),
    status: row.status,
    config: parseObject(row.config),
    values: row.values === null ? null : (JSON.parse(row.values) as unknown),
    interrupts: Object.assign({}, ...interrupts),
    error: row.error === null ? null : (JSON.parse(row.error) as JsonObject),
  };
  if (row.ttl_strategy !== null && row.ttl_minutes !== null && row.expires_at !== null) {
    thread.ttl = { strategy: row.ttl_strategy, ttl_minutes: row.ttl_minutes, expires_at: iso(row.expires_at) };
  }
  return thread;
}
