import type { AuthScope } from "#core/identity/scope";
import type { Interrupt, Thread } from "#schemas/threads";
import { type ThreadRow as Stored, toThread as threadOf } from "../common/thread-rows.ts";
import { NOW, required } from "./conditions.ts";
import { type Transaction, uuid } from "./database.ts";

export interface ThreadRow extends Stored {
  /** JSON array of the interrupts of all scopes that have any; null: none has. */
  interrupts: string | null;
}

/**
 * Select list for `toThread`, of `fractal.threads t`. A delayed run makes its thread busy when its time has come, though
 * nobody may have moved it yet.
 */
export const THREAD_COLUMNS =
  "t.thread_id, t.ttl_strategy, t.ttl_minutes, t.expires_at, t.state_updated_at, t.created_at, t.updated_at, t.metadata, " +
  "t.config, t.error, case when t.status <> 'busy' and exists (select from fractal.lanes l where l.thread_id = t.thread_id " +
  `and not l.ready and l.head_seq is not null and l.head_at <= ${NOW}) then 'busy' else t.status end as status, ` +
  '(select s."values" from fractal.thread_states s where s.thread_id = t.thread_id and s.scope = t.scope) as "values", ' +
  "(select json_agg(s.interrupts) from fractal.thread_states s where s.thread_id = t.thread_id and s.interrupted) as interrupts";

export const SELECT_THREAD = `select ${THREAD_COLUMNS} from fractal.threads t where t.thread_id = $1`;

/**
 * Condition on `fractal.threads t` that its first four parameters (`seenParams`) name a thread that the scope may see.
 * "Not distinct from" keeps the planner to the primary key: with "=", a plan made while the statistics are old may read
 * every thread of the owner.
 */
export const IN_SCOPE =
  "t.thread_id = $1 and t.tenant is not distinct from $2 and t.owner is not distinct from $3 and t.metadata @> $4::jsonb";
/** The thread of a stateless run is seen while the run waits or runs, and listed nowhere. */
export const SEEN = `${IN_SCOPE} and (not t.hidden or t.status = 'busy')`;

export function seenParams(scope: AuthScope, threadId: string): [string | null, string, string, string] {
  return [uuid(threadId), scope.tenant, scope.owner, required(scope.filters)];
}

/** A thread as the API shows it; the row must exist. */
export async function loadThread(source: Transaction, threadId: string): Promise<Thread> {
  const [row] = await source.rows<ThreadRow>(SELECT_THREAD, [uuid(threadId)]);
  if (row === undefined) throw new Error(`Thread ${threadId} is gone`);
  return toThread(row);
}

export function toThread(row: ThreadRow): Thread {
  return threadOf(row, row.interrupts === null ? [] : (JSON.parse(row.interrupts) as Record<string, Interrupt[]>[]));
}
