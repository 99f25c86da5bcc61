import { LeaseLostError, RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { StoreItem, StoreRepository } from "#core/store/repository";
import type { JsonObject } from "#schemas/common";
import { passes } from "../common/json-filters.ts";
import { iso, parseObject } from "../common/run-rows.ts";
import { asJsonb, NOW, required, Where } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { addFilter } from "./store-filters.ts";

interface Row {
  namespace: string;
  key: string;
  created_at: number;
  updated_at: number;
  value: string;
}

const COLUMNS = "i.namespace, i.key, i.created_at, i.updated_at, i.value";
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

    get: async (scope, namespace, key) => {
      const row = await database.row<Row>(GET, [scope.tenant, scope.owner, pathOf(namespace), keyOf(key)]);
      const item = row && toItem(row);
      return item !== undefined && admitted(scope, item) ? item : undefined;
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
        // "/" follows "." in code order, so the range is exactly the texts that begin with the path.
        where.and(path, (p) => `i.namespace >= ${p}`).and(`${path.slice(0, -1)}/`, (p) => `i.namespace < ${p}`);
      }
      where.and(scope.filters && required(scope.filters), (p) => `${documentOf("d.value")} @> ${p}::jsonb`);
      addFilter(where, "d.value", query.filter);
      // "offset 0" keeps the value from being parsed once per condition.
      const exact = query.filter !== undefined || scope.filters !== undefined;
      const parsed = exact ? `, lateral (select ${VALUE} as value offset 0) d` : "";
      const text =
        `select ${COLUMNS} from fractal.store_items i${parsed} where ${where.text} order by i.updated_at desc, i.seq desc ` +
        `limit ${where.add(query.limit)} offset ${where.add(query.offset)}`;
      return (await database.rows<Row>(text, where.params, { built: true })).map(toItem);
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

/** Labels, each followed by a dot: a dot cannot occur in a label, and the end makes prefixes whole labels. */
function pathOf(labels: string[]): string {
  for (const label of labels) {
    if (label === "" || label.includes(".") || label.includes("\0")) {
      throw new RuntimeError(
        "invalid",
        `Namespace labels cannot be empty or contain periods or NUL. Received: ${labels.join(".")}`,
      );
    }
  }
  return labels.map((label) => `${label}.`).join("");
}

function keyOf(key: string): string {
  if (key.includes("\0")) throw new RuntimeError("invalid", "The key of an item cannot contain NUL");
  return key;
}

function literalHead(prefix: string[]): string[] {
  const wild = prefix.indexOf("*");
  return wild < 0 ? prefix : prefix.slice(0, wild);
}

function admitted(scope: AuthScope, item: { namespace: string[]; key: string; value: JsonObject }): boolean {
  return (
    scope.filters === undefined || passes(scope.filters, { ...item.value, namespace: item.namespace, key: item.key })
  );
}

function toItem(row: Row): StoreItem {
  return {
    namespace: row.namespace.split(".").slice(0, -1),
    key: row.key,
    value: parseObject(row.value),
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}
