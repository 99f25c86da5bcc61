import {
  type AssistantFilter,
  type AssistantPatch,
  type AssistantRepository,
  SYSTEM_OWNER,
} from "#core/assistants/repository";
import type { AuthScope } from "#core/identity/scope";
import type { SqliteValue } from "#platform/sqlite";
import type { Assistant } from "#schemas/assistants";
import type { JsonObject } from "#schemas/common";
import { type AssistantRow, toAssistant } from "../common/assistant-rows.ts";
import { allowed, contains, equalities, likeText, passes } from "../common/json-filters.ts";
import { parseKept } from "../common/run-rows.ts";
import { type Conditions, prefilter } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { countOf, loadPage, pageOf, type Scan } from "./pages.ts";
import { purgeThread } from "./purge.ts";

interface Fields {
  graph_id: string;
  name: string;
  description: string | null;
  config: string;
  context: string;
  metadata: string;
}

interface Row extends AssistantRow {
  id: number;
  owner: string;
}

const COLUMNS =
  "id, assistant_id, owner, graph_id, name, description, version, created_at, updated_at, config, context, metadata";

const BYTES = "octet_length(config) + octet_length(context) + octet_length(metadata) as bytes";
const WEIGH = `select id, ${BYTES} from assistants where id in (select value from json_each(?))`;
const WEIGH_VERSIONS = `select rowid as id, ${BYTES} from assistant_versions where rowid in (select value from json_each(?))`;
const VERSION =
  "select version, graph_id, name, description, created_at, config, context, metadata from assistant_versions where rowid = ?";

const SORT: Record<string, string> = {
  assistant_id: "assistant_id",
  graph_id: "graph_id",
  name: "name",
  created_at: "created_at",
  updated_at: "updated_at",
};

export function sqliteAssistants(connection: Connection): AssistantRepository {
  /** The row, if the scope may see it (`read`) or change it (`write`). */
  function rowOf(scope: AuthScope, assistantId: string, access: "read" | "write"): Row | undefined {
    const row = connection
      .sql(`select ${COLUMNS}, tenant from assistants where assistant_id = ?`)
      .get<Row & { tenant: string }>(assistantId);
    if (row === undefined) return undefined;
    if (row.owner === SYSTEM_OWNER) return access === "read" || scope.owner === SYSTEM_OWNER ? row : undefined;
    if (row.tenant !== scope.tenant || row.owner !== scope.owner) return undefined;
    return allowed(scope, row.metadata) ? row : undefined;
  }

  function insertVersion(id: number, fields: Fields, version: { number: number; at: number }): void {
    connection
      .sql(
        "insert into assistant_versions (assistant, version, graph_id, name, description, created_at, config, context, metadata) " +
          "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      )
      .run(
        id,
        version.number,
        fields.graph_id,
        fields.name,
        fields.description,
        version.at,
        fields.config,
        fields.context,
        fields.metadata,
      );
  }

  function makeCurrent(id: number, fields: Fields, version: number): Assistant {
    const row = connection
      .sql(
        "update assistants set graph_id = ?, name = ?, description = ?, config = ?, context = ?, metadata = ?, version = ?, " +
          `updated_at = max(?, updated_at + 1) where id = ? returning ${COLUMNS}`,
      )
      .get<Row>(
        fields.graph_id,
        fields.name,
        fields.description,
        fields.config,
        fields.context,
        fields.metadata,
        version,
        connection.now(),
        id,
      );
    return toAssistant(row as Row);
  }

  function scanOf(scope: AuthScope, filter: AssistantFilter, order: Scan<Row>["order"]): Scan<Row> {
    const where: Conditions = {
      sql: [`(owner = '${SYSTEM_OWNER}' or (tenant = ? and owner = ?))`],
      params: [scope.tenant, scope.owner],
    };
    if (filter.graph_id !== undefined) add(where, "graph_id = ?", filter.graph_id);
    // LIKE folds case in ASCII only; other names are compared outside.
    if (filter.name !== undefined && isAscii(filter.name)) add(where, "name like ? escape '\\'", likeText(filter.name));
    const narrow: Conditions = { sql: [], params: [] };
    prefilter(narrow, "metadata", filter.metadata);
    const named = filter.name !== undefined && !isAscii(filter.name);
    const exact = named || filter.metadata !== undefined || scope.filters !== undefined;
    return {
      columns: "owner, name, metadata",
      from: "assistants",
      where,
      narrow,
      weight: "octet_length(metadata)",
      order,
      match: exact ? (row) => matches(scope, filter, row) : undefined,
    };
  }

  return {
    insert: async (scope, assistant) =>
      connection.write(() => {
        const now = connection.now();
        const fields: Fields = {
          ...assistant,
          config: JSON.stringify(assistant.config),
          context: JSON.stringify(assistant.context),
          metadata: JSON.stringify(assistant.metadata),
        };
        const row = connection
          .sql(
            "insert into assistants (assistant_id, tenant, owner, graph_id, name, description, version, created_at, updated_at, " +
              "config, context, metadata) values (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?) on conflict do nothing returning id",
          )
          .get<{ id: number }>(
            assistant.assistant_id,
            scope.tenant,
            scope.owner,
            fields.graph_id,
            fields.name,
            fields.description,
            now,
            now,
            fields.config,
            fields.context,
            fields.metadata,
          );
        if (row === undefined) return false;
        insertVersion(row.id, fields, { number: 1, at: now });
        return true;
      }),

    find: async (scope, assistantId) =>
      connection.read(() => {
        const row = rowOf(scope, assistantId, "read");
        return row && toAssistant(row);
      }),

    update: async (scope, assistantId, patch) =>
      connection.write(() => {
        const row = rowOf(scope, assistantId, "write");
        if (row === undefined) return undefined;
        const fields = patched(row, patch);
        const newest = connection
          .sql("select max(version) as version from assistant_versions where assistant = ?")
          .get<{ version: number }>(row.id);
        const version = (newest?.version ?? row.version) + 1;
        insertVersion(row.id, fields, { number: version, at: connection.now() });
        return makeCurrent(row.id, fields, version);
      }),

    remove: async (scope, assistantId, deleteThreads) =>
      connection.write(() => {
        const row = rowOf(scope, assistantId, "write");
        if (row === undefined) return false;
        connection.sql("delete from assistants where id = ?").run(row.id);
        if (deleteThreads) removeThreadsOf(connection, scope, assistantId);
        return true;
      }),

    search: async (scope, query) => {
      const direction = query.sort_order === "asc" ? "asc" : "desc";
      const by = SORT[query.sort_by ?? "created_at"] ?? "created_at";
      const page = await pageOf(connection, scanOf(scope, query, { id: "id", by, direction }), query);
      const row = `select ${COLUMNS} from assistants where id = ?`;
      const items = await loadPage(connection, page.items, {
        weigh: WEIGH,
        load: (id) => {
          const found = connection.sql(row).get<Row>(id);
          return found && toAssistant(found);
        },
        most: query.max_bytes,
      });
      return { items, more: page.more };
    },

    count: async (scope, filter) => countOf(connection, scanOf(scope, filter, { id: "id", direction: "asc" })),

    versions: async (scope, assistantId, query) => {
      const assistant = await connection.read(() => rowOf(scope, assistantId, "read"));
      if (assistant === undefined) return undefined;
      const { metadata } = query;
      const scan: Scan<Pick<Fields, "metadata">> = {
        columns: "metadata",
        from: "assistant_versions",
        where: { sql: ["assistant = ?"], params: [assistant.id] },
        weight: "octet_length(metadata)",
        order: { id: "rowid", by: "version", direction: "desc" },
        match: metadata === undefined ? undefined : (row) => contains(parseKept(row.metadata), metadata),
      };
      const page = await pageOf(connection, scan, query);
      return loadPage(connection, page.items, {
        weigh: WEIGH_VERSIONS,
        load: (id) => {
          const version = connection.sql(VERSION).get<Fields & { version: number; created_at: number }>(id);
          return version && toAssistant({ ...assistant, ...version, updated_at: version.created_at });
        },
        most: query.max_bytes,
      });
    },

    setLatest: async (scope, assistantId, version) =>
      connection.write(() => {
        const row = rowOf(scope, assistantId, "write");
        if (row === undefined) return undefined;
        const fields = connection
          .sql(
            "select graph_id, name, description, config, context, metadata from assistant_versions " +
              "where assistant = ? and version = ?",
          )
          .get<Fields>(row.id, version);
        return fields && makeCurrent(row.id, fields, version);
      }),
  };
}

function add(where: Conditions, sql: string, value: SqliteValue): void {
  where.sql.push(sql);
  where.params.push(value);
}

function matches(scope: AuthScope, filter: AssistantFilter, row: Row): boolean {
  const metadata = parseKept(row.metadata);
  if (row.owner !== SYSTEM_OWNER && !passes(scope.filters, metadata)) return false;
  if (filter.name !== undefined && !row.name.toLowerCase().includes(filter.name.toLowerCase())) return false;
  return filter.metadata === undefined || contains(metadata, filter.metadata);
}

function isAscii(text: string): boolean {
  return !/[^ -~]/.test(text);
}

function patched(row: Row, patch: AssistantPatch): Fields {
  return {
    graph_id: patch.graph_id ?? row.graph_id,
    name: patch.name ?? row.name,
    description: patch.description === undefined ? row.description : patch.description,
    config: patch.config === undefined ? row.config : JSON.stringify(patch.config),
    context: patch.context === undefined ? row.context : JSON.stringify(patch.context),
    metadata:
      patch.metadata === undefined ? row.metadata : JSON.stringify({ ...parseKept(row.metadata), ...patch.metadata }),
  };
}

function removeThreadsOf(connection: Connection, scope: AuthScope, assistantId: string): void {
  const wanted: JsonObject = { ...equalities(scope.filters), assistant_id: assistantId };
  const where: Conditions = { sql: ["tenant = ?", "owner = ?"], params: [scope.tenant, scope.owner] };
  prefilter(where, "metadata", wanted);
  const rows = connection
    .sql(`select id, metadata from threads where ${where.sql.join(" and ")}`)
    .all<{ id: number; metadata: string }>(...where.params);
  for (const row of rows) {
    const metadata = parseKept(row.metadata);
    if (metadata.assistant_id === assistantId && passes(scope.filters, metadata)) purgeThread(connection, row.id);
  }
}
