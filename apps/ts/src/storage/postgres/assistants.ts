import {
  type AssistantFilter,
  type AssistantPatch,
  type AssistantRepository,
  SYSTEM_OWNER,
} from "#core/assistants/repository";
import type { AuthScope } from "#core/identity/scope";
import { type AssistantRow, toAssistant } from "../common/assistant-rows.ts";
import { likeText } from "../common/json-filters.ts";
import { mustFit } from "./answer-size.ts";
import { jsonb, NOW, pageOf, required, Where } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";

const COLUMNS =
  "a.assistant_id, a.graph_id, a.name, a.description, a.version, a.created_at, a.updated_at, a.config, a.context, a.metadata";

/** Conditions on `fractal.assistants a`; the first four parameters are those of `paramsOf`. */
const READABLE = `a.assistant_id = $1 and (a.owner = '${SYSTEM_OWNER}' or (a.tenant = $2 and a.owner = $3 and a.metadata @> $4::jsonb))`;
const WRITABLE = `a.assistant_id = $1 and a.owner = $3 and (a.owner = '${SYSTEM_OWNER}' or (a.tenant = $2 and a.metadata @> $4::jsonb))`;

const SORT: Record<string, string> = {
  assistant_id: "a.assistant_id",
  // By code points, as everywhere, whatever the language of the database.
  graph_id: 'a.graph_id collate "C"',
  name: 'a.name collate "C"',
  created_at: "a.created_at",
  updated_at: "a.updated_at",
};

const INSERT = `
with made as (
  insert into fractal.assistants (assistant_id, tenant, owner, graph_id, name, description, version, created_at, updated_at,
      config, context, metadata)
    select $1, $2, $3, $5, $6, $7, 1, at, at, $8::json, $9::json, $4::jsonb from fractal.now_ms() at
    on conflict (assistant_id) do nothing returning *)
insert into fractal.assistant_versions (assistant_id, version, graph_id, name, description, created_at, config, context, metadata)
  select assistant_id, version, graph_id, name, description, created_at, config, context, metadata from made
  returning assistant_id`;

/** The lock makes updates of one assistant take their numbers one after the other; UPDATE then reads what it left. */
const LOCK = `select a.assistant_id from fractal.assistants a where ${WRITABLE} for update`;

/** $4: whether the description changes, to $5; null: the field stays. */
const UPDATE = `
with changed as (
  update fractal.assistants a set graph_id = coalesce($2, a.graph_id), name = coalesce($3, a.name),
    description = case when $4::boolean then $5 else a.description end, config = coalesce($6::json, a.config),
    context = coalesce($7::json, a.context), metadata = a.metadata || $8::jsonb,
    version = 1 + greatest(a.version,
      (select max(v.version) from fractal.assistant_versions v where v.assistant_id = a.assistant_id)),
    updated_at = greatest(${NOW}, a.updated_at + 1)
  where a.assistant_id = $1 returning ${COLUMNS}),
kept as (
  insert into fractal.assistant_versions (assistant_id, version, graph_id, name, description, created_at, config, context, metadata)
    select assistant_id, version, graph_id, name, description, fractal.now_ms(), config, context, metadata from changed)
select * from changed`;

const SET_LATEST = `
update fractal.assistants a set graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
    context = v.context, metadata = v.metadata, version = v.version, updated_at = greatest(${NOW}, a.updated_at + 1)
  from fractal.assistant_versions v
  where ${WRITABLE} and v.assistant_id = a.assistant_id and v.version = $5::bigint returning ${COLUMNS}`;

/** What an answer has of a row, as SQL. */
function bytesOf(alias: string): string {
  const texts = ["config", "context", "metadata"].map(
    (column) => `coalesce(octet_length(${alias}.${column}::text), 0)`,
  );
  return texts.join(" + ");
}

/** One row without a version where the assistant is there and the page is empty. */
const VERSIONS = `
select a.assistant_id, v.* from fractal.assistants a left join lateral (
  select v.graph_id, v.name, v.description, v.version, v.created_at, v.created_at as updated_at, v.config, v.context, v.metadata
  from fractal.assistant_versions v where v.assistant_id = a.assistant_id and v.metadata @> $5::jsonb
  order by v.version desc limit $6 offset $7) v on true
where ${READABLE} order by v.version desc`;

/** Threads deleted per statement. */
const THREADS_AT_ONCE = 50;
const PURGE_THREADS =
  "with owned as materialized (select t.thread_id from fractal.threads t where t.tenant = $1 and t.owner = $2 " +
  `and t.metadata @> $3::jsonb and t.metadata @> $4::jsonb order by t.thread_id limit ${THREADS_AT_ONCE}) ` +
  "select fractal.purge_thread(thread_id) as done from owned";

export function postgresAssistants(database: Database): AssistantRepository {
  async function removeThreadsOf(scope: AuthScope, assistantId: string): Promise<void> {
    const params = [scope.tenant, scope.owner, jsonb({ assistant_id: assistantId }), required(scope.filters)];
    for (let found = THREADS_AT_ONCE; found === THREADS_AT_ONCE; ) {
      found = (await database.rows(PURGE_THREADS, params)).length;
    }
  }

  return {
    insert: async (scope, assistant) => {
      const row = await database.row(
        INSERT,
        [
          uuid(assistant.assistant_id),
          scope.tenant,
          scope.owner,
          jsonb(assistant.metadata),
          assistant.graph_id,
          assistant.name,
          assistant.description,
          JSON.stringify(assistant.config),
          JSON.stringify(assistant.context),
        ],
        { once: true },
      );
      return row !== undefined;
    },

    find: async (scope, assistantId) => {
      const text = `select ${COLUMNS} from fractal.assistants a where ${READABLE}`;
      const row = await database.row<AssistantRow>(text, paramsOf(scope, assistantId));
      return row && toAssistant(row);
    },

    update: (scope, assistantId, patch) =>
      database.transaction(async (transaction) => {
        const [seen] = await transaction.rows(LOCK, paramsOf(scope, assistantId));
        if (seen === undefined) return undefined;
        const [row] = await transaction.rows<AssistantRow>(UPDATE, [uuid(assistantId), ...patchParams(patch)]);
        return row && toAssistant(row);
      }),

    remove: async (scope, assistantId, deleteThreads) => {
      const params = paramsOf(scope, assistantId);
      if (deleteThreads) {
        // Threads first: what breaks off in between can be asked for again.
        const seen = await database.row(`select from fractal.assistants a where ${WRITABLE}`, params);
        if (seen === undefined) return false;
        await removeThreadsOf(scope, assistantId);
      }
      const text = `delete from fractal.assistants a where ${WRITABLE} returning a.assistant_id`;
      const row = await database.row(text, params, { once: true });
      // And what came while they went.
      if (row !== undefined && deleteThreads) await removeThreadsOf(scope, assistantId);
      return row !== undefined;
    },

    search: async (scope, query) => {
      const direction = query.sort_order === "asc" ? "asc" : "desc";
      const order = `${SORT[query.sort_by ?? "created_at"] ?? "a.created_at"} ${direction}, a.seq ${direction}`;
      const where = whereOf(scope, query);
      const { limit, max_bytes: most } = query;
      const page =
        `from fractal.assistants a where ${where.text} order by ${order} ` +
        `limit ${where.add(limit + 1)} offset ${where.add(query.offset)}`;
      await mustFit(database, { text: `select ${bytesOf("a")} as bytes ${page}`, params: where.params, limit }, most);
      const text = `select ${COLUMNS} ${page}`;
      return pageOf(await database.rows<AssistantRow>(text, where.params, { built: true }), query.limit, toAssistant);
    },

    count: async (scope, filter) => {
      const where = whereOf(scope, filter);
      const text = `select count(*) as total from fractal.assistants a where ${where.text}`;
      return (await database.row<{ total: number }>(text, where.params, { built: true }))?.total ?? 0;
    },

    versions: async (scope, assistantId, query) => {
      const { limit, max_bytes: most } = query;
      const params = [...paramsOf(scope, assistantId), jsonb(query.metadata ?? {}), limit, query.offset];
      await mustFit(database, { text: `select ${bytesOf("v")} as bytes from (${VERSIONS}) v`, params, limit }, most);
      const rows = await database.rows<AssistantRow | { version: null }>(VERSIONS, params);
      if (rows.length === 0) return undefined;
      return rows.filter((row): row is AssistantRow => row.version !== null).map(toAssistant);
    },

    setLatest: async (scope, assistantId, version) => {
      const row = await database.row<AssistantRow>(SET_LATEST, [...paramsOf(scope, assistantId), version]);
      return row && toAssistant(row);
    },
  };
}

function paramsOf(scope: AuthScope, assistantId: string): [string | null, string, string, string] {
  return [uuid(assistantId), scope.tenant, scope.owner, required(scope.filters)];
}

function patchParams(patch: AssistantPatch): unknown[] {
  return [
    patch.graph_id ?? null,
    patch.name ?? null,
    patch.description !== undefined,
    patch.description ?? null,
    patch.config === undefined ? null : JSON.stringify(patch.config),
    patch.context === undefined ? null : JSON.stringify(patch.context),
    jsonb(patch.metadata ?? {}),
  ];
}

function whereOf(scope: AuthScope, filter: AssistantFilter): Where {
  const { filters } = scope;
  const own = `a.tenant = $1 and a.owner = $2${filters === undefined ? "" : " and a.metadata @> $3::jsonb"}`;
  const params = [scope.tenant, scope.owner, ...(filters === undefined ? [] : [required(filters)])];
  return new Where([`(a.owner = '${SYSTEM_OWNER}' or (${own}))`], params)
    .and(filter.graph_id, (p) => `a.graph_id = ${p}`)
    .and(filter.name === undefined ? undefined : likeText(filter.name), (p) => String.raw`a.name ilike ${p} escape '\'`)
    .and(filter.metadata && jsonb(filter.metadata), (p) => `a.metadata @> ${p}::jsonb`);
}
