import { LeaseLostError, RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { StoreRepository } from "#core/store/repository";
import {
  admitted,
  boundedFilter,
  endOfRange,
  type ItemRow,
  keyOf,
  literalHead,
  pathOf,
  toItem,
  WORTH_MS,
  WORTH_SHARE,
} from "../common/store-items.ts";
import { mustFit } from "./answer-size.ts";
import { asJsonb, NOW, required, Where } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { addFilter } from "./store-filters.ts";

interface Row extends ItemRow {
  /** Whether a refresh lets it live enough longer to be worth a write. */
  due: boolean;
}

const TTL_MS = "round(i.ttl_minutes * 60000)::bigint";
const DUE =
  `coalesce(${NOW} + ${TTL_MS} - i.expires_at >= ` +
  `least(${WORTH_MS}, i.ttl_minutes * 60000 * ${WORTH_SHARE}), false)`;
const COLUMNS = `i.namespace, i.key, i.created_at, i.updated_at, i.value, ${DUE} as due`;
const LIVE = `(i.expires_at is null or i.expires_at > ${NOW})`;
const VALUE = asJsonb("i.value");
const LABELS = "string_to_array(left(i.namespace, -1), '.')";

/** What the auth handler's conditions are about: the item's value with its namespace and key. */
function documentOf(value: string): string {
  return `(${value} || jsonb_build_object('namespace', ${LABELS}, 'key', i.key))`;
}

/** Conflicts with whoever takes the lane away: what is put is put before that, or refused. */
function fenceOf(first: number): string {
  return (
    `fence as materialized (select from fractal.lanes where thread_id = $${first} and active = $${first + 1} ` +
    `and epoch = $${first + 2} for share)`
  );
}

function putText(fenced: boolean): string {
  return (
    `${fenced ? `with ${fenceOf(7)} ` : ""}` +
    "insert into fractal.store_items as i (tenant, owner, namespace, key, ttl_minutes, expires_at, created_at, updated_at, value) " +
    "select $1, $2, $3, $4, $6::float8, at + round($6::float8 * 60000)::bigint, at, at, $5::json " +
    `from fractal.now_ms() at ${fenced ? "where exists (select from fence) " : ""}` +
    "on conflict (tenant, owner, namespace, key) do update set ttl_minutes = excluded.ttl_minutes, " +
    "expires_at = excluded.expires_at, value = excluded.value, " +
    "updated_at = greatest(excluded.updated_at, i.updated_at + 1), " +
    "created_at = case when i.expires_at <= excluded.created_at then excluded.created_at else i.created_at end " +
    "returning key"
  );
}

const PUT = putText(false);
const PUT_FENCED = putText(true);

const GET = `select ${COLUMNS} from fractal.store_items i where i.tenant = $1 and i.owner = $2 and i.namespace = $3 and i.key = $4 and ${LIVE}`;

/** $3 and $4: the items. One that somebody is writing is left alone: it lives longer by that, or is gone. */
const REFRESH = `
with due as (
  select i.tenant, i.owner, i.namespace, i.key from fractal.store_items i
  join unnest($3::text[], $4::text[]) as q (namespace, key) using (namespace, key)
  where i.tenant = $1 and i.owner = $2 and ${LIVE} and ${DUE} for update of i skip locked)
update fractal.store_items i set expires_at = ${NOW} + ${TTL_MS} from due
where (i.tenant, i.owner, i.namespace, i.key) = (due.tenant, due.owner, due.namespace, due.key)`;

const REMOVE =
  "delete from fractal.store_items i where i.tenant = $1 and i.owner = $2 and i.namespace = $3 and i.key = $4 and " +
  `${LIVE} and ${documentOf(VALUE)} @> $5::jsonb`;
const REMOVE_FENCED = `with ${fenceOf(6)}, gone as (${REMOVE} and exists (select from fence)) select 1 as held from fence`;

/** $3: path of the literal labels before the first "*"; $4 and $5: labels or "*"; $6: depth or null. */
const namespacesText = (below: string) => `
select distinct labels[1:least($6::bigint, cardinality(labels))::integer] collate "C" as labels from (
  select ${LABELS} as labels from (
    select distinct i.namespace from fractal.store_items i where i.tenant = $1 and i.owner = $2 and ${LIVE} and ${below}) i) n
where cardinality(labels) >= greatest(cardinality($4::text[]), cardinality($5::text[]))
  and not exists (select from unnest($4::text[]) with ordinality p (label, i)
    where p.label <> '*' and p.label <> labels[p.i::integer])
  and not exists (select from unnest($5::text[]) with ordinality s (label, i)
    where s.label <> '*' and s.label <> labels[cardinality(labels) - cardinality($5) + s.i::integer])
order by 1 limit $7 offset $8`;
const NAMESPACES = namespacesText("$3::text = ''");
const NAMESPACES_BELOW = namespacesText("i.namespace >= $3 and i.namespace < left($3, -1) || '/'");

export function postgresStore(database: Database): StoreRepository {
  async function refresh(scope: AuthScope, rows: readonly Row[]): Promise<void> {
    const due = rows.filter((row) => row.due);
    if (due.length === 0) return;
    const places = [due.map(({ namespace }) => namespace), due.map(({ key }) => key)];
    await database.rows(REFRESH, [scope.tenant, scope.owner, ...places]);
  }

  return {
    put: async (scope, item, fence) => {
      if (item.namespace.length === 0) throw new RuntimeError("bad_request", "Namespace cannot be empty");
      const path = pathOf(item.namespace);
      if (!admitted(scope, item)) {
        throw new RuntimeError("forbidden", `Not allowed to write ${item.namespace.join(".")}/${item.key}`);
      }
      const params = [scope.tenant, scope.owner, path, keyOf(item.key), JSON.stringify(item.value), item.ttl];
      if (fence === undefined) await database.rows(PUT, params);
      else {
        const [done] = await database.rows(PUT_FENCED, [...params, ...fenceParams(fence)]);
        if (done === undefined) throw new LeaseLostError(fence.threadId, fence.runId);
      }
    },

    get: async (scope, { namespace, key, refresh: asked }) => {
      const row = await database.row<Row>(GET, [scope.tenant, scope.owner, pathOf(namespace), keyOf(key)]);
      const item = row && toItem(row);
      if (item === undefined || !admitted(scope, item)) return undefined;
      if (asked === true) await refresh(scope, [row as Row]);
      return item;
    },

    remove: async (scope, { namespace, key }, fence) => {
      const params = [scope.tenant, scope.owner, pathOf(namespace), keyOf(key), required(scope.filters)];
      if (fence === undefined) await database.rows(REMOVE, params);
      else {
        const [held] = await database.rows(REMOVE_FENCED, [...params, ...fenceParams(fence)]);
        if (held === undefined) throw new LeaseLostError(fence.threadId, fence.runId);
      }
    },

    search: async (scope, query) => {
      const where = new Where(["i.tenant = $1", "i.owner = $2", LIVE], [scope.tenant, scope.owner]);
      if (query.namespace_prefix.length > 0) {
        const path = pathOf(query.namespace_prefix);
        where.and(path, (p) => `i.namespace >= ${p}`).and(endOfRange(path), (p) => `i.namespace < ${p}`);
      }
      where.and(scope.filters && required(scope.filters), (p) => `${documentOf("d.value")} @> ${p}::jsonb`);
      addFilter(where, "d.value", boundedFilter(query.filter));
      // "offset 0" keeps the value from being parsed once per condition.
      const exact = query.filter !== undefined || scope.filters !== undefined;
      const parsed = exact ? `, lateral (select ${VALUE} as value offset 0) d` : "";
      const page =
        `from fractal.store_items i${parsed} where ${where.text} order by i.updated_at desc, i.seq desc ` +
        `limit ${where.add(query.limit)} offset ${where.add(query.offset)}`;
      const text = `select ${COLUMNS} ${page}`;
      const weighed = `select octet_length(i.value::text) as bytes ${page}`;
      await mustFit(database, { text: weighed, params: where.params, limit: query.limit }, query.max_bytes);
      const rows = await database.rows<Row>(text, where.params, { built: true });
      if (query.refresh === true) await refresh(scope, rows);
      return rows.map(toItem);
    },

    namespaces: async (scope, query) => {
      const { prefix = [], suffix = [] } = query;
      const head = pathOf(literalHead(prefix));
      const rows = await database.rows<{ labels: string[] }>(head === "" ? NAMESPACES : NAMESPACES_BELOW, [
        scope.tenant,
        scope.owner,
        head,
        prefix,
        suffix,
        query.max_depth ?? null,
        query.limit,
        query.offset,
      ]);
      return rows.map((row) => row.labels);
    },
  };
}

function fenceParams(fence: Fence): unknown[] {
  return [uuid(fence.threadId), uuid(fence.runId), fence.epoch];
}
