import type { AuthScope } from "#core/identity/scope";
import type { NewThread, ThreadFilter, ThreadRepository } from "#core/threads/repository";
import type { Thread } from "#schemas/threads";
import { allowed, contains, passes } from "../common/json-filters.ts";
import { parseKept } from "../common/run-rows.ts";
import { type Conditions, prefilter } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { isHeld, ripenForRead } from "./lane-state.ts";
import { countOf, loadPage, pageOf, type Scan } from "./pages.ts";
import { purgeThread } from "./purge.ts";
import { copyThread } from "./thread-copy.ts";
import { pruneThread } from "./thread-prune.ts";
import { loadThread, ttlOf } from "./thread-rows.ts";

interface Row {
  id: number;
  metadata: string;
}

interface ScanRow extends Row {
  values: string | null;
}

const SORT: Record<string, string> = {
  thread_id: "t.thread_id",
  status: "t.status",
  created_at: "t.created_at",
  updated_at: "t.updated_at",
  state_updated_at: "t.state_updated_at",
};

const WEIGH =
  'select t.id, octet_length(t.metadata) + coalesce(octet_length(s."values"), 0) as bytes from json_each(?) i ' +
  "cross join threads t on t.id = i.value left join thread_states s on s.thread = t.id and s.scope = t.scope";

export function sqliteThreads(connection: Connection): ThreadRepository {
  /** The thread of a stateless run is seen while the run waits or runs, and listed nowhere. */
  function seen(scope: AuthScope, threadId: string, condition = "(hidden = 0 or status = 'busy')"): Row | undefined {
    const row = connection
      .sql(`select id, metadata from threads where thread_id = ? and tenant = ? and owner = ? and ${condition}`)
      .get<Row>(threadId, scope.tenant, scope.owner);
    return row !== undefined && allowed(scope, row.metadata) ? row : undefined;
  }

  function scanOf(scope: AuthScope, filter: ThreadFilter, order: Scan<ScanRow>["order"]): Scan<ScanRow> {
    const where: Conditions = {
      sql: ["t.tenant = ?", "t.owner = ?", "t.hidden = 0"],
      params: [scope.tenant, scope.owner],
    };
    const { ids, metadata, status, values } = filter;
    if (ids !== undefined) {
      where.sql.push("t.thread_id in (select value from json_each(?))");
      where.params.push(JSON.stringify(ids));
    }
    if (status !== undefined) {
      where.sql.push("t.status = ?");
      where.params.push(status);
    }
    const narrow: Conditions = { sql: [], params: [] };
    prefilter(narrow, "t.metadata", metadata);
    const match = (row: ScanRow) => matches(scope, filter, row);
    if (values === undefined) {
      const exact = metadata !== undefined || scope.filters !== undefined;
      return {
        columns: 't.metadata, null as "values"',
        from: "threads t",
        where,
        narrow,
        weight: "octet_length(t.metadata)",
        order,
        match: exact ? match : undefined,
      };
    }
    prefilter(narrow, 's."values"', values);
    return {
      columns: 't.metadata, s."values"',
      from: "threads t join thread_states s on s.thread = t.id and s.scope = t.scope",
      where,
      narrow,
      weight: 'octet_length(t.metadata) + coalesce(octet_length(s."values"), 0)',
      order,
      match,
    };
  }

  /** It may go between two pieces of a page. */
  function isThere(id: number): boolean {
    return connection.sql("select 1 as found from threads where id = ?").get(id) !== undefined;
  }

  return {
    insert: async (scope, thread) => connection.write(() => insertThread(connection, scope, thread)),

    find: async (scope, threadId) =>
      connection.read(() => {
        ripenForRead(connection);
        const row = seen(scope, threadId);
        return row && loadThread(connection, row.id);
      }),

    lastScope: async (scope, threadId) =>
      connection.read(() => {
        const row = seen(scope, threadId);
        if (row === undefined) return undefined;
        return (
          connection.sql("select scope from threads where id = ?").get<{ scope: string | null }>(row.id)?.scope ??
          undefined
        );
      }),

    patch: async (scope, threadId, patch) =>
      connection.write(() => {
        const row = seen(scope, threadId);
        if (row === undefined) return undefined;
        if (patch.metadata !== undefined) {
          const metadata = JSON.stringify({ ...parseKept(row.metadata), ...patch.metadata });
          connection.sql("update threads set metadata = ? where id = ?").run(metadata, row.id);
        }
        const now = connection.now();
        if (patch.ttl !== undefined) {
          const { strategy, minutes, expiresAt } = ttlOf(patch.ttl ?? undefined, now);
          connection
            .sql("update threads set ttl_strategy = ?, ttl_minutes = ?, expires_at = ? where id = ?")
            .run(strategy, minutes, expiresAt, row.id);
        }
        connection.sql("update threads set updated_at = max(?, updated_at + 1) where id = ?").run(now, row.id);
        return loadThread(connection, row.id);
      }),

    remove: async (scope, threadId) =>
      connection.write(() => {
        const row = seen(scope, threadId, "true");
        if (row === undefined) return false;
        purgeThread(connection, row.id);
        return true;
      }),

    search: async (scope, query) => {
      await connection.read(() => ripenForRead(connection));
      const direction = query.sort_order === "asc" ? "asc" : "desc";
      const by = SORT[query.sort_by ?? "updated_at"] ?? "t.updated_at";
      const page = await pageOf(connection, scanOf(scope, query, { id: "t.id", by, direction }), query);
      const items = await loadPage(connection, page.items, {
        weigh: WEIGH,
        load: (id) => (isThere(id) ? loadThread(connection, id) : undefined),
        most: query.max_bytes,
      });
      return { items, more: page.more };
    },

    count: async (scope, filter) => {
      await connection.read(() => ripenForRead(connection));
      return countOf(connection, scanOf(scope, filter, { id: "t.id", direction: "asc" }));
    },

    copy: async (scope, threadId, newId) =>
      connection.write(() => {
        const row = seen(scope, threadId);
        return row === undefined ? ("no_thread" as const) : copyThread(connection, scope, { source: row, newId });
      }),

    prune: async (scope, threadIds, strategy) => {
      let pruned = 0;
      for (const threadId of new Set(threadIds)) {
        const done = await connection.write(() => {
          const row = seen(scope, threadId);
          if (row === undefined || isHeld(connection, row.id)) return false;
          if (strategy === "delete") purgeThread(connection, row.id);
          else pruneThread(connection, row.id);
          return true;
        });
        if (done) pruned++;
      }
      return pruned;
    },
  };
}

function insertThread(connection: Connection, scope: AuthScope, thread: NewThread): Thread | undefined {
  const now = connection.now();
  const { strategy, minutes, expiresAt } = ttlOf(thread.ttl, now);
  const inserted = connection
    .sql(
      "insert into threads (thread_id, tenant, owner, hidden, status, bound, ttl_strategy, ttl_minutes, expires_at, " +
        "state_updated_at, created_at, updated_at, metadata) values (?, ?, ?, 0, 'idle', 0, ?, ?, ?, ?, ?, ?, ?) " +
        "on conflict (thread_id) do nothing returning id",
    )
    .get<{ id: number }>(
      thread.thread_id,
      scope.tenant,
      scope.owner,
      strategy,
      minutes,
      expiresAt,
      now,
      now,
      now,
      JSON.stringify(thread.metadata),
    );
  return inserted && loadThread(connection, inserted.id);
}

function matches(scope: AuthScope, filter: ThreadFilter, row: ScanRow): boolean {
  if (filter.metadata !== undefined || scope.filters !== undefined) {
    const metadata = parseKept(row.metadata);
    if (!passes(scope.filters, metadata)) return false;
    if (filter.metadata !== undefined && !contains(metadata, filter.metadata)) return false;
  }
  return filter.values === undefined || (row.values !== null && contains(JSON.parse(row.values), filter.values));
}
