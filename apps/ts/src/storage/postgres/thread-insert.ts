import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { NewThread } from "#core/threads/repository";
import type { Thread } from "#schemas/threads";
import { Batch } from "./batch.ts";
import { jsonb } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { isConnectionFailure } from "./failures.ts";
import { SELECT_THREAD, type ThreadRow, toThread } from "./thread-rows.ts";

/** Each with its lane: whoever writes to a thread locks that first, and nobody has to make it. */
const INSERT =
  "with made as (insert into fractal.threads as t (thread_id, tenant, owner, hidden, status, bound, ttl_strategy, ttl_minutes, expires_at, " +
  "state_updated_at, created_at, updated_at, metadata) select q.id, q.tenant, q.owner, false, 'idle', false, q.strategy, " +
  "q.minutes, at + round(q.minutes * 60000)::bigint, at, at, at, q.metadata from fractal.now_ms() at, " +
  "json_to_recordset($1) as q (id uuid, tenant text, owner text, strategy text, minutes float8, metadata jsonb) " +
  "on conflict (thread_id) do nothing returning t.thread_id, t.ttl_strategy, t.ttl_minutes, t.expires_at, " +
  't.state_updated_at, t.created_at, t.updated_at, t.metadata, t.config, t.error, t.status, null as "values", ' +
  "null as interrupts), lane as (insert into fractal.lanes (thread_id) select thread_id from made) select * from made";

interface Call {
  scope: AuthScope;
  thread: NewThread;
}

/** `ThreadRepository.insert`: threads that are made at the same time share a statement. */
export function insertions(database: Database): Batch<Call, Thread | undefined> {
  const send = async (calls: readonly Call[]) => {
    const rows = await database.rows<ThreadRow>(INSERT, [jsonb(calls.map(shape))], { once: true });
    const made = new Map(rows.map((row) => [row.thread_id, row]));
    return calls.map(({ thread }) => {
      const id = thread.thread_id.toLowerCase();
      const row = made.get(id);
      // Of two with one id the first is made.
      made.delete(id);
      return row && toThread(row);
    });
  };
  return new Batch({
    send,
    key: ({ thread }) => thread.thread_id.toLowerCase(),
    alone: async (call, failure) => {
      const [made] = await send([call]);
      const unsure = failure instanceof RuntimeError && isConnectionFailure(failure.cause);
      return made ?? (unsure ? ownOf(database, call) : undefined);
    },
  });
}

/** The thread that is there, if it is as this call would have made it: then its first statement did. */
async function ownOf(database: Database, call: Call): Promise<Thread | undefined> {
  const { scope, thread } = call;
  const row = await database.row<ThreadRow>(
    `${SELECT_THREAD} and t.tenant = $2 and t.owner = $3 and t.metadata = $4::jsonb and t.created_at = t.updated_at`,
    [uuid(thread.thread_id), scope.tenant, scope.owner, jsonb(thread.metadata)],
  );
  return row && toThread(row);
}

function shape({ scope, thread }: Call) {
  return {
    id: uuid(thread.thread_id),
    tenant: scope.tenant,
    owner: scope.owner,
    strategy: thread.ttl?.strategy ?? null,
    minutes: thread.ttl?.ttl_minutes ?? null,
    metadata: thread.metadata,
  };
}
