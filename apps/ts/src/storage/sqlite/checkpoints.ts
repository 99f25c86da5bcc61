import type {
  CheckpointQuery,
  CheckpointRepository,
  CheckpointRow,
  Encoded,
  StoredCheckpoint,
} from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import type { Page } from "#schemas/common";
import { readMetadata, readValues, writerOf } from "../common/checkpoint-columns.ts";
import { contains } from "../common/json-filters.ts";
import { ancestorsOf } from "./checkpoint-ancestors.ts";
import { commitBatch } from "./checkpoint-commit.ts";
import { listInPieces, type Seen, seenKey, weighCheckpoints } from "./checkpoint-pieces.ts";
import { blobOf, type Place, threadInScope, writesOn } from "./checkpoint-rows.ts";
import { takeBack } from "./checkpoint-take-back.ts";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";
import { pageOf, type Scan } from "./pages.ts";

interface Row {
  ns: string;
  checkpoint_id: string;
  epoch: number;
  run_id: string | null;
  parent_id: string | null;
  metadata: string;
  blobs: string;
  checkpoint: string;
  inline: Uint8Array;
}

const SELECT =
  "select ns, checkpoint_id, epoch, run_id, parent_id, metadata, blobs, checkpoint, inline from checkpoints ";

export function sqliteCheckpoints(connection: Connection): CheckpointRepository {
  function inScope(scope: AuthScope, threadId: string): number | undefined {
    return threadInScope(connection, scope, threadId);
  }

  function pieces(scope: AuthScope, query: CheckpointQuery): AsyncIterable<Page<StoredCheckpoint>> {
    const place = { thread: -1, thread_id: query.thread_id };
    return listInPieces(connection, {
      ids: async () => {
        place.thread = (await connection.read(() => inScope(scope, query.thread_id))) ?? -1;
        return idsOf(connection, place.thread, query);
      },
      load: (id, seen) => checkpointOf(connection, place, { id, seen }),
    });
  }

  return {
    commit: async (batch) => commitBatch(connection, batch),

    get: async (scope, query) => {
      if (query.before !== undefined || query.filter !== undefined || query.checkpoint_ns === undefined) {
        for await (const { items } of pieces(scope, { ...query, limit: 1 })) return items[0];
        return undefined;
      }
      return connection.read(() => {
        const thread = inScope(scope, query.thread_id);
        if (thread === undefined) return undefined;
        const at = `${SELECT}where thread = ? and ns = ? `;
        const row =
          query.checkpoint_id === undefined
            ? connection.sql(`${at}order by id desc limit 1`).get<Row>(thread, query.checkpoint_ns ?? "")
            : connection
                .sql(`${at}and checkpoint_id = ?`)
                .get<Row>(thread, query.checkpoint_ns ?? "", query.checkpoint_id);
        return row && stored(connection, { thread, thread_id: query.thread_id, ns: row.ns }, { row, seen: new Map() });
      });
    },

    list: async (scope, query) => {
      const found: StoredCheckpoint[] = [];
      for await (const { items } of pieces(scope, query)) found.push(...items);
      return found;
    },

    pieces,

    weigh: async (scope, query) => {
      const thread = await connection.read(() => inScope(scope, query.thread_id));
      if (thread === undefined) return 0;
      const ids = await idsOf(connection, thread, query);
      return connection.read(() => weighCheckpoints(connection, ids));
    },

    locate: async (scope, threadId, checkpointId) =>
      connection.read(() => {
        const thread = inScope(scope, threadId);
        if (thread === undefined) return undefined;
        return connection
          .sql("select ns from checkpoints where thread = ? and checkpoint_id = ? order by length(ns), ns limit 1")
          .get<{ ns: string }>(thread, checkpointId)?.ns;
      }),

    writer: async (scope, { thread_id, checkpoint_ns }) =>
      connection.read(() => {
        const thread = inScope(scope, thread_id);
        if (thread === undefined) return undefined;
        const row = connection
          .sql("select metadata from checkpoints where thread = ? and ns = ? order by id desc limit 1")
          .get<{ metadata: string }>(thread, checkpoint_ns);
        return row && writerOf(row.metadata);
      }),

    scopes: async (scope, threadId) =>
      connection.read(() => {
        const thread = inScope(scope, threadId);
        return thread === undefined ? [] : rootsOf(connection, thread);
      }),

    newestOfRun: async (scope, query) =>
      connection.read(() => {
        const thread = inScope(scope, query.thread_id);
        if (thread === undefined) return undefined;
        return connection
          .sql(
            "select checkpoint_id from checkpoints where thread = ? and ns = ? and run_id = ? order by id desc limit 1",
          )
          .get<{ checkpoint_id: string }>(thread, query.checkpoint_ns, query.run_id)?.checkpoint_id;
      }),

    interruptsOfRun: async (scope, query) =>
      connection.read(() => {
        const thread = inScope(scope, query.thread_id);
        if (thread === undefined) return false;
        const found = connection
          .sql(
            "select 1 as found from checkpoint_writes where thread = ? and ns = ? and checkpoint_id = ? and run_id = ? " +
              "and channel = '__interrupt__' limit 1",
          )
          .get(thread, query.checkpoint_ns, query.checkpoint_id, query.run_id);
        return found !== undefined;
      }),

    takeBack: async (fence, checkpointNs) => connection.write(() => takeBack(connection, fence, checkpointNs)),

    ancestors: async (scope, query) =>
      connection.read(() => {
        const thread = inScope(scope, query.thread_id);
        const place = { thread: thread ?? -1, thread_id: query.thread_id, ns: query.checkpoint_ns };
        return ancestorsOf(connection, place, query);
      }),

    deleteThread: async (scope, threadId) =>
      connection.write(() => {
        const thread = inScope(scope, threadId);
        if (thread === undefined) return;
        for (const table of ["checkpoints", "checkpoint_writes", "checkpoint_blobs"]) {
          connection.sql(`delete from ${table} where thread = ?`).run(thread);
        }
      }),
  };
}

/** Keys of the checkpoints that the list has, newest first. */
async function idsOf(connection: Connection, thread: number, query: CheckpointQuery): Promise<number[]> {
  const where: Conditions = { sql: ["thread = ?"], params: [thread] };
  const { before, filter } = query;
  const edge = before && (await connection.read(() => orderOf(connection, thread, before)));
  for (const [condition, value] of [
    ["ns = ?", query.checkpoint_ns],
    ["checkpoint_id = ?", query.checkpoint_id],
    [typeof edge === "number" ? "id < ?" : "checkpoint_id < ?", edge ?? before],
  ] as const) {
    if (value === undefined) continue;
    where.sql.push(condition);
    where.params.push(value);
  }
  const scan: Scan<{ metadata: string }> = {
    columns: "metadata",
    from: "checkpoints",
    where,
    weight: "octet_length(metadata)",
    order: { id: "id", direction: "desc" },
    match: filter === undefined ? undefined : (row) => contains(readMetadata(row.metadata) ?? {}, filter),
  };
  const { items } = await pageOf(connection, scan, { limit: query.limit ?? Number.MAX_SAFE_INTEGER - 1, offset: 0 });
  return items;
}

/** Place of a checkpoint in the order of writing, whichever namespace holds it. */
function orderOf(connection: Connection, thread: number, checkpointId: string): number | undefined {
  return connection
    .sql("select id from checkpoints where thread = ? and checkpoint_id = ? order by length(ns), ns limit 1")
    .get<{ id: number }>(thread, checkpointId)?.id;
}

/** The checkpoint of this key, unless it is gone. */
function checkpointOf(
  connection: Connection,
  place: Omit<Place, "ns">,
  at: { id: number; seen: Seen },
): StoredCheckpoint | undefined {
  const row = connection.sql(`${SELECT}where id = ?`).get<Row>(at.id);
  return row && stored(connection, { ...place, ns: row.ns }, { row, seen: at.seen });
}

/** The checkpoint with its values and writes. */
function stored(connection: Connection, place: Place, from: { row: Row; seen: Seen }): StoredCheckpoint {
  const { row, seen } = from;
  const { inline, blobs, damage } = readValues(row);
  const values: Record<string, Encoded> = {};
  for (const [channel, version] of Object.entries(blobs)) {
    const key = seenKey(row.ns, channel, version);
    let value = seen.get(key);
    if (value === undefined) {
      value = blobOf(connection, place, { channel, version });
      // The reader says what is missing; other checkpoints are read all the same.
      if (value === undefined) continue;
      seen.set(key, value);
    }
    values[channel] = value;
  }
  const checkpoint: CheckpointRow = {
    thread_id: place.thread_id,
    checkpoint_ns: row.ns,
    checkpoint_id: row.checkpoint_id,
    parent_checkpoint_id: row.parent_id,
    checkpoint: row.checkpoint,
    metadata: row.metadata,
    inline,
    blobs,
    run_id: row.run_id,
    epoch: row.epoch,
  };
  return { row: checkpoint, values, writes: writesOn(connection, place, row.checkpoint_id), damage };
}

/** "" and "assistant:<id>", by jumping through the index from one to the next over what lies below each. */
function rootsOf(connection: Connection, thread: number): string[] {
  const next = connection.sql("select ns from checkpoints where thread = ? and ns >= ? order by ns limit 1");
  const roots: string[] = [];
  if (next.get<{ ns: string }>(thread, "")?.ns === "") roots.push("");
  for (let from = "assistant:"; ; ) {
    const ns = next.get<{ ns: string }>(thread, from)?.ns;
    if (ns === undefined || !ns.startsWith("assistant:")) return roots;
    const root = ns.split("|", 1)[0] as string;
    if (ns === root) roots.push(root);
    from = ns === root ? `${root}\u0001` : ns.startsWith(`${root}|`) ? `${root}}` : `${ns}\u0001`;
  }
}
