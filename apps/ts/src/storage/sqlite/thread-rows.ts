import type { NewThread } from "#core/threads/repository";
import type { Interrupt, Thread } from "#schemas/threads";
import { type ThreadRow, toThread } from "../common/thread-rows.ts";
import type { Connection } from "./connection.ts";

interface Row extends ThreadRow {
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
  const row = connection.sql(SELECT_THREAD).get<Row>(thread) as Row;
  const texts = row.interrupts === "[]" ? [] : (JSON.parse(row.interrupts) as string[]);
  return toThread(
    row,
    texts.map((text) => JSON.parse(text) as Record<string, Interrupt[]>),
  );
}

/** As columns; all null for a thread that lives for ever. */
export function ttlOf(ttl: NewThread["ttl"], now: number) {
  if (ttl === undefined) return { strategy: null, minutes: null, expiresAt: null };
  return { strategy: ttl.strategy, minutes: ttl.ttl_minutes, expiresAt: now + Math.round(ttl.ttl_minutes * 60_000) };
}
