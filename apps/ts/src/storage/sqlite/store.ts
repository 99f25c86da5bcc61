import { LeaseLostError, RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { StoreItem, StoreQuery, StoreRepository } from "#core/store/repository";
import type { JsonObject } from "#schemas/common";
import { passes } from "../common/json-filters.ts";
import { iso, parseObject } from "../common/run-rows.ts";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { isHolder } from "./lane-state.ts";
import { pageOf } from "./pages.ts";

interface Row {
  id: number;
  namespace: string;
  key: string;
  created_at: number;
  updated_at: number;
  value: string;
}

const COLUMNS = "id, namespace, key, created_at, updated_at, value";

export function sqliteStore(connection: Connection): StoreRepository {
  /** The item if it is there, not expired, and within the conditions of the caller's auth handler. */
  function seen(scope: AuthScope, namespace: string[], key: string): Row | undefined {
    const row = connection
      .sql(
        `select ${COLUMNS} from store_items where tenant = ? and owner = ? and namespace = ? and key = ? ` +
          "and (expires_at is null or expires_at > ?)",
      )
      .get<Row>(scope.tenant, scope.owner, pathOf(namespace), key, connection.now());
    return row !== undefined && admitted(scope, toItem(row)) ? row : undefined;
  }

  /** What a run puts after it has lost its lane is refused. */
  function mustHold(fence: Fence | undefined): void {
    if (fence === undefined || isHolder(connection, fence)) return;
    throw new LeaseLostError(fence.threadId, fence.runId);
  }

  return {
    put: async (scope, item, fence) =>
      connection.write(() => {
        mustHold(fence);
        if (item.namespace.length === 0) throw new RuntimeError("bad_request", "Namespace cannot be empty");
        const now = connection.now();
        const at = iso(now);
        if (!admitted(scope, { ...item, created_at: at, updated_at: at })) {
          throw new RuntimeError("forbidden", `Not allowed to write ${item.namespace.join(".")}/${item.key}`);
        }
        const expiresAt = item.ttl === null ? null : now + Math.round(item.ttl * 60_000);
        connection
          .sql(
            "insert into store_items (tenant, owner, namespace, key, ttl_minutes, expires_at, created_at, updated_at, value) " +
              "values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (tenant, owner, namespace, key) do update set " +
              "ttl_minutes = excluded.ttl_minutes, expires_at = excluded.expires_at, value = excluded.value, " +
              "updated_at = max(excluded.updated_at, updated_at + 1), " +
              "created_at = case when expires_at <= excluded.created_at then excluded.created_at else created_at end",
          )
          .run(
            scope.tenant,
            scope.owner,
            pathOf(item.namespace),
            item.key,
            item.ttl,
            expiresAt,
            now,
            now,
            JSON.stringify(item.value),
          );
      }),

    get: async (scope, namespace, key) =>
      connection.read(() => {
        const row = seen(scope, namespace, key);
        return row && toItem(row);
      }),

    remove: async (scope, item, fence) =>
      connection.write(() => {
        mustHold(fence);
        const row = seen(scope, item.namespace, item.key);
        if (row !== undefined) connection.sql("delete from store_items where id = ?").run(row.id);
      }),

    search: async (scope, query) => connection.read(() => searchItems(connection, scope, query)),

    namespaces: async (scope, query) =>
      connection.read(() => {
        const where = below(connection, scope, literalHead(query.prefix ?? []));
        const paths = connection
          .sql(`select distinct namespace from store_items where ${where.sql.join(" and ")}`)
          .all<{ namespace: string }>(...where.params)
          .map((row) => labelsOf(row.namespace))
          .filter((labels) => startsWith(labels, query.prefix ?? []) && endsWith(labels, query.suffix ?? []));
        const depth = query.max_depth;
        const cut = depth === undefined ? paths : paths.map((labels) => labels.slice(0, depth));
        const distinct = new Map(cut.map((labels) => [pathOf(labels), labels]));
        return [...distinct.values()].sort(byLabels).slice(query.offset, query.offset + query.limit);
      }),
  };
}

function searchItems(connection: Connection, scope: AuthScope, query: StoreQuery): StoreItem[] {
  const { filter } = query;
  const exact = filter !== undefined || scope.filters !== undefined;
  const page = pageOf<Row>(
    connection,
    {
      select: `select ${exact ? COLUMNS : "id"} from store_items`,
      where: below(connection, scope, query.namespace_prefix),
      order: "updated_at desc, id desc",
      match: exact ? (row) => admitted(scope, toItem(row)) && satisfies(parseObject(row.value), filter) : undefined,
    },
    query,
  );
  const load = connection.sql(`select ${COLUMNS} from store_items where id = ?`);
  return page.items.map((id) => toItem(load.get<Row>(id) as Row));
}

/** Items of the scope under a literal prefix of labels that have not expired. */
function below(connection: Connection, scope: AuthScope, prefix: string[]): Conditions {
  const where: Conditions = {
    sql: ["tenant = ?", "owner = ?", "(expires_at is null or expires_at > ?)"],
    params: [scope.tenant, scope.owner, connection.now()],
  };
  if (prefix.length > 0) {
    const path = pathOf(prefix);
    // "/" follows "." in code order, so the range is exactly the texts that begin with the path.
    where.sql.push("namespace >= ?", "namespace < ?");
    where.params.push(path, `${path.slice(0, -1)}/`);
  }
  return where;
}

/** Labels, each followed by a dot: a dot cannot occur in a label, and the end makes prefixes whole labels. */
function pathOf(labels: string[]): string {
  for (const label of labels) {
    if (label === "" || label.includes(".")) {
      throw new RuntimeError(
        "invalid",
        `Namespace labels cannot be empty or contain periods. Received: ${labels.join(".")}`,
      );
    }
  }
  return labels.map((label) => `${label}.`).join("");
}

function labelsOf(path: string): string[] {
  return path.split(".").slice(0, -1);
}

function literalHead(prefix: string[]): string[] {
  const wild = prefix.indexOf("*");
  return wild < 0 ? prefix : prefix.slice(0, wild);
}

function startsWith(labels: string[], prefix: string[]): boolean {
  return prefix.length <= labels.length && prefix.every((label, i) => label === "*" || label === labels[i]);
}

function endsWith(labels: string[], suffix: string[]): boolean {
  const from = labels.length - suffix.length;
  return from >= 0 && suffix.every((label, i) => label === "*" || label === labels[from + i]);
}

function byLabels(a: string[], b: string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [left, right] = [a[i] as string, b[i] as string];
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

/** The auth handler's conditions, over the item's value with its namespace and key. */
function admitted(scope: AuthScope, item: StoreItem): boolean {
  return (
    scope.filters === undefined || passes(scope.filters, { ...item.value, namespace: item.namespace, key: item.key })
  );
}

/** LangGraph's comparison per key: the value itself, or an object of operators. */
function satisfies(value: JsonObject, filter: JsonObject | undefined): boolean {
  return Object.entries(filter ?? {}).every(([key, wanted]) => {
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    if (!isOperators(wanted)) return equal(found, wanted);
    return Object.entries(wanted).every(([operator, operand]) => compare(operator, found, operand));
  });
}

function isOperators(wanted: unknown): wanted is JsonObject {
  return (
    typeof wanted === "object" &&
    wanted !== null &&
    !Array.isArray(wanted) &&
    Object.keys(wanted).some((key) => key.startsWith("$"))
  );
}

function compare(operator: string, found: unknown, operand: unknown): boolean {
  switch (operator) {
    case "$eq":
      return equal(found, operand);
    case "$ne":
      return !equal(found, operand);
    case "$gt":
      return order(found, operand) > 0;
    case "$gte":
      return order(found, operand) >= 0;
    case "$lt":
      return order(found, operand) < 0;
    case "$lte":
      return order(found, operand) <= 0;
    default:
      throw new RuntimeError(
        "invalid",
        `Unknown filter operator ${operator}; known are $eq, $ne, $gt, $gte, $lt, $lte`,
      );
  }
}

/** NaN, which no comparison accepts, where the two have no common order. */
function order(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (a === null || a === undefined || b === null || b === undefined) return Number.NaN;
  return Number(a) - Number(b);
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && a !== null && canonical(a) === canonical(b));
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function toItem(row: Row): StoreItem {
  return {
    namespace: labelsOf(row.namespace),
    key: row.key,
    value: parseObject(row.value),
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}
