import type { AuthScope } from "#core/identity/scope";
import type { NewThread, ThreadFilter, ThreadQuery, ThreadRepository } from "#core/threads/repository";
import type { Page } from "#schemas/common";
import type { Thread } from "#schemas/threads";
import { mustFit } from "./answer-size.ts";
import { asJsonb, jsonb, NOW, pageOf, required, Where } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { copyThread } from "./thread-copy.ts";
import { insertions } from "./thread-insert.ts";
import { pruneUnlessHeld } from "./thread-prune.ts";
import { IN_SCOPE, loadThread, SEEN, seenParams, THREAD_COLUMNS, type ThreadRow, toThread } from "./thread-rows.ts";

const SORT: Record<string, string> = {
  thread_id: "t.thread_id",
  status: "t.status",
  created_at: "t.created_at",
  updated_at: "t.updated_at",
  state_updated_at: "t.state_updated_at",
};

/** Of a thread with its values. */
const BYTES =
  'octet_length(t.metadata::text) + coalesce((select octet_length(s."values"::text) from fractal.thread_states s ' +
  "where s.thread_id = t.thread_id and s.scope = t.scope), 0)";

const FIND = `select ${THREAD_COLUMNS} from fractal.threads t where ${SEEN}`;

/** $5: metadata or null; $6: whether the time to live changes, to $7 and $8. */
const PATCH =
  "update fractal.threads t set metadata = case when $5::jsonb is null then t.metadata else t.metadata || $5::jsonb end, " +
  "ttl_strategy = case when $6::boolean then $7 else t.ttl_strategy end, " +
  "ttl_minutes = case when $6 then $8::float8 else t.ttl_minutes end, " +
  `expires_at = case when $6 then ${NOW} + round($8::float8 * 60000)::bigint else t.expires_at end, ` +
  `updated_at = greatest(${NOW}, t.updated_at + 1) where ${SEEN} returning ${THREAD_COLUMNS}`;

const RIPEN =
  "select fractal.ripen() where (select min(head_at) from fractal.lanes where not ready and head_seq is not null) " +
  `<= ${NOW}`;

export function postgresThreads(database: Database): ThreadRepository {
  const inserts = insertions(database);

  return {
    insert: (scope, thread) => inserts.submit({ scope, thread }),

    find: async (scope, threadId) => {
      const row = await database.row<ThreadRow>(FIND, seenParams(scope, threadId));
      return row && toThread(row);
    },

    lastScope: async (scope, threadId) => {
      const row = await database.row<{ scope: string | null }>(
        `select t.scope from fractal.threads t where ${SEEN}`,
        seenParams(scope, threadId),
      );
      return row?.scope ?? undefined;
    },

    patch: async (scope, threadId, patch) => {
      const row = await database.row<ThreadRow>(PATCH, [
        ...seenParams(scope, threadId),
        patch.metadata === undefined ? null : jsonb(patch.metadata),
        ...ttlParams(patch.ttl),
      ]);
      return row && toThread(row);
    },

    remove: async (scope, threadId) => {
      // The function takes the lane first; what is written under its fence before that goes with the thread.
      const row = await database.row<{ done: boolean }>(
        `select fractal.purge_thread(t.thread_id) as done from fractal.threads t where ${IN_SCOPE}`,
        seenParams(scope, threadId),
        { once: true },
      );
      return row?.done === true;
    },

    search: (scope, query) => search(database, scope, query),

    count: async (scope, filter) => {
      if (filter.status !== undefined) await database.rows(RIPEN);
      const { from, where } = scanOf(scope, filter);
      const row = await database.row<{ total: number }>(
        `select count(*) as total from ${from} where ${where.text}`,
        where.params,
        { built: true },
      );
      return row?.total ?? 0;
    },

    copy: (scope, threadId, newId) =>
      database.transaction(async (transaction) => {
        const outcome = await copyThread(transaction, scope, { threadId, newId });
        return outcome === "copied" ? loadThread(transaction, newId) : outcome;
      }),

    prune: async (scope, threadIds, strategy) => {
      let pruned = 0;
      for (const threadId of new Set(threadIds)) {
        if (await pruneUnlessHeld(database, scope, { threadId, strategy })) pruned++;
      }
      return pruned;
    },
  };
}

async function search(database: Database, scope: AuthScope, query: ThreadQuery): Promise<Page<Thread>> {
  const { status, sort_by: sortBy = "updated_at", limit, offset, max_bytes: most } = query;
  if (status !== undefined || sortBy === "status") await database.rows(RIPEN);
  const { from, where } = scanOf(scope, query);
  const direction = query.sort_order === "asc" ? "asc" : "desc";
  const order = `${SORT[sortBy] ?? "t.updated_at"} ${direction}, t.seq ${direction}`;
  // The page first: values and interrupts are looked up for its rows alone.
  const page =
    `select t.* from ${from} where ${where.text} order by ${order} ` +
    `limit ${where.add(limit + 1)} offset ${where.add(offset)}`;
  const weighed = `select ${BYTES} as bytes from (${page}) t order by ${order}`;
  await mustFit(database, { text: weighed, params: where.params, limit }, most);
  const rows = await database.rows<ThreadRow>(
    `select ${THREAD_COLUMNS} from (${page}) t order by ${order}`,
    where.params,
    { built: true },
  );
  return pageOf(rows, limit, toThread);
}

function scanOf(scope: AuthScope, filter: ThreadFilter): { from: string; where: Where } {
  const { ids, metadata, status, values } = filter;
  const where = new Where(["t.tenant = $1", "t.owner = $2", "not t.hidden"], [scope.tenant, scope.owner])
    .and(ids?.map(uuid), (p) => `t.thread_id = any(${p}::uuid[])`)
    .and(status, (p) => `t.status = ${p}`)
    .and(metadata && jsonb(metadata), (p) => `t.metadata @> ${p}::jsonb`)
    .and(scope.filters && required(scope.filters), (p) => `t.metadata @> ${p}::jsonb`);
  if (values === undefined) return { from: "fractal.threads t", where };
  where.and(jsonb(values), (p) => `${asJsonb('s."values"')} @> ${p}::jsonb`);
  return {
    from: "fractal.threads t join fractal.thread_states s on s.thread_id = t.thread_id and s.scope = t.scope",
    where,
  };
}

function ttlParams(ttl: NewThread["ttl"] | null): [boolean, string | null, number | null] {
  return [ttl !== undefined, ttl?.strategy ?? null, ttl?.ttl_minutes ?? null];
}
