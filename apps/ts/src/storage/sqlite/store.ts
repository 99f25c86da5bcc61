import { LeaseLostError, RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { StoreQuery, StoreRepository } from "#core/store/repository";
import { parseKept } from "../common/run-rows.ts";
import {
  admitted,
  boundedFilter,
  endOfRange,
  type ItemRow,
  keyOf,
  labelsOf,
  literalHead,
  pathOf,
  toItem,
  WORTH_MS,
  WORTH_SHARE,
} from "../common/store-items.ts";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { isHolder } from "./lane-state.ts";
import { loadPage, pageOf, type Scan } from "./pages.ts";
import { compareTexts, satisfies } from "./store-filters.ts";

interface Row extends ItemRow {
  id: number;
  ttl_minutes: number | null;
  expires_at: number | null;
}

const COLUMNS = "id, namespace, key, ttl_minutes, expires_at, created_at, updated_at, value";

const WEIGH = "select id, octet_length(value) as bytes from store_items where id in (select value from json_each(?))";

export function sqliteStore(connection: Connection): StoreRepository {
  /** The item if it is there, not expired, and within the conditions of the caller's auth handler. */
  function seen(scope: AuthScope, namespace: string[], key: string): Row | undefined {
    const row = connection
      .sql(
        `select ${COLUMNS} from store_items where tenant = ? and owner = ? and namespace = ? and key = ? ` +
          "and (expires_at is null or expires_at > ?)",
      )
      .get<Row>(scope.tenant, scope.owner, pathOf(namespace), keyOf(key), connection.now());
    return row !== undefined && admitted(scope, toItem(row)) ? row : undefined;
  }

  /** The time to live of these items begins anew, of those that nobody has put or removed meanwhile. */
  async function refresh(rows: readonly Row[]): Promise<void> {
    const now = connection.now();
    const due = rows.filter((row) => isDue(row, now));
    if (due.length === 0) return;
    await connection.write(() => {
      for (const { id, ttl_minutes, expires_at } of due) {
        connection
          .sql("update store_items set expires_at = ? where id = ? and expires_at = ?")
          .run(expiry(now, ttl_minutes), id, expires_at);
      }
    });
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
        if (!admitted(scope, item)) {
          throw new RuntimeError("forbidden", `Not allowed to write ${item.namespace.join(".")}/${item.key}`);
        }
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
            keyOf(item.key),
            item.ttl,
            expiry(now, item.ttl),
            now,
            now,
            JSON.stringify(item.value),
          );
      }),

    get: async (scope, item) => {
      const row = await connection.read(() => seen(scope, item.namespace, item.key));
      if (row === undefined) return undefined;
      if (item.refresh === true) await refresh([row]);
      return toItem(row);
    },

    remove: async (scope, item, fence) =>
      connection.write(() => {
        mustHold(fence);
        const row = seen(scope, item.namespace, item.key);
        if (row !== undefined) connection.sql("delete from store_items where id = ?").run(row.id);
      }),

    search: async (scope, query) => {
      const rows = await searchItems(connection, scope, query);
      if (query.refresh === true) await refresh(rows);
      return rows.map(toItem);
    },

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

async function searchItems(connection: Connection, scope: AuthScope, query: StoreQuery): Promise<Row[]> {
  const filter = boundedFilter(query.filter);
  const exact = filter !== undefined || scope.filters !== undefined;
  const scan: Scan<Row> = {
    columns: COLUMNS,
    from: "store_items",
    where: below(connection, scope, query.namespace_prefix),
    weight: "octet_length(value)",
    order: { id: "id", by: "updated_at", direction: "desc" },
    match: exact ? (row) => admitted(scope, toItem(row)) && satisfies(parseKept(row.value), filter) : undefined,
  };
  const page = await pageOf(connection, scan, query);
  return loadPage(connection, page.items, {
    weigh: WEIGH,
    load: (id) => connection.sql(`select ${COLUMNS} from store_items where id = ?`).get<Row>(id),
    most: query.max_bytes,
  });
}

/** Items of the scope under a literal prefix of labels that have not expired. */
function below(connection: Connection, scope: AuthScope, prefix: string[]): Conditions {
  const where: Conditions = {
    sql: ["tenant = ?", "owner = ?", "(expires_at is null or expires_at > ?)"],
    params: [scope.tenant, scope.owner, connection.now()],
  };
  if (prefix.length > 0) {
    const path = pathOf(prefix);
    where.sql.push("namespace >= ?", "namespace < ?");
    where.params.push(path, endOfRange(path));
  }
  return where;
}

/** When an item is gone that lives for so long from now on. */
function expiry(now: number, minutes: number | null): number | null {
  return minutes === null ? null : now + Math.round(minutes * 60_000);
}

/** Whether a refresh lets an item live enough longer to be worth a write. */
function isDue(row: Row, now: number): boolean {
  const until = expiry(now, row.ttl_minutes);
  if (until === null || row.expires_at === null || row.expires_at <= now) return false;
  return until - row.expires_at >= Math.min(WORTH_MS, (row.ttl_minutes as number) * 60_000 * WORTH_SHARE);
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
    const order = compareTexts(a[i] as string, b[i] as string);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
