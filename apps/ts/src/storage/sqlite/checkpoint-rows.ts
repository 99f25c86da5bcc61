import type { Encoded, WriteRow } from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import { allowed } from "../common/json-filters.ts";
import type { Connection } from "./connection.ts";

interface WriteColumns {
  task_id: string;
  idx: number;
  epoch: number;
  run_id: string | null;
  task_path: string;
  channel: string;
  type: string;
  value: Uint8Array;
}

/** Where a checkpoint stands: the thread by key, and by id for what is answered. */
export interface Place {
  thread: number;
  thread_id: string;
  ns: string;
}

/** Key of a thread that the scope may read; hidden ones too, their runs write checkpoints like others. */
export function threadInScope(connection: Connection, scope: AuthScope, threadId: string): number | undefined {
  const row = connection
    .sql("select id, metadata from threads where thread_id = ? and tenant = ? and owner = ?")
    .get<{ id: number; metadata: string }>(threadId, scope.tenant, scope.owner);
  return row !== undefined && allowed(scope, row.metadata) ? row.id : undefined;
}

export function blobOf(
  connection: Connection,
  place: Place,
  at: { channel: string; version: string },
): Encoded | undefined {
  const blob = connection
    .sql("select type, value from checkpoint_blobs where thread = ? and ns = ? and channel = ? and version = ?")
    .get<{ type: string; value: Uint8Array }>(place.thread, place.ns, at.channel, at.version);
  return blob && { type: blob.type, bytes: blob.value };
}

/**
 * Pending writes of a checkpoint in writesSortKey order: SQLite compares texts by their UTF-8 bytes, which is the code
 * point order that the key asks for. Of a write made by several attempts, the one of the highest epoch.
 */
export function writesOn(connection: Connection, place: Place, checkpointId: string): WriteRow[] {
  const rows = connection
    .sql(
      "select task_id, idx, epoch, run_id, task_path, channel, type, value from checkpoint_writes " +
        "where thread = ? and ns = ? and checkpoint_id = ? order by task_path, task_id, idx, epoch",
    )
    .all<WriteColumns>(place.thread, place.ns, checkpointId);
  const newest = new Map<string, WriteColumns>();
  for (const row of rows) {
    const key = `${row.task_id}\n${row.idx}`;
    const other = newest.get(key);
    if (other === undefined || other.epoch <= row.epoch) newest.set(key, row);
  }
  return rows
    .filter((row) => newest.get(`${row.task_id}\n${row.idx}`) === row)
    .map(({ type, value, ...row }) => ({
      thread_id: place.thread_id,
      checkpoint_ns: place.ns,
      checkpoint_id: checkpointId,
      ...row,
      value: { type, bytes: value },
    }));
}
