import { channelsIn, deltaChannels } from "../common/checkpoint-columns.ts";
import { keptNamespaces, type NewestCheckpoint } from "../common/kept-namespaces.ts";
import type { Connection } from "./connection.ts";
import { markGarbage } from "./purge.ts";

interface Row {
  id: number;
  checkpoint_id: string;
  parent_id: string | null;
  metadata: string;
  blobs: string;
  inline: Uint8Array;
}

/** $1: the thread. SQLite tells, beside a maximum, the other columns of the row that it comes from. */
const NEWEST = "select ns, checkpoint_id, metadata, max(id) as id from checkpoints where thread = ? group by ns";

/**
 * Drops all but the newest checkpoint of every namespace, and of those what belongs to tasks that are over; and the writes
 * of what is dropped. Kept besides: ancestors that a delta channel of the newest one is rebuilt from, up to the one that
 * stores its value.
 */
export function pruneThread(connection: Connection, thread: number): void {
  const namespaces = connection.sql(NEWEST).all<NewestCheckpoint>(thread);
  const staying = new Set(keptNamespaces(namespaces));
  let dropped = 0;
  for (const row of namespaces) {
    const { ns, checkpoint_id: newest } = row;
    const kept = JSON.stringify(staying.has(row) ? neededBy(connection, { thread, ns, newest }) : []);
    const gone = "thread = ? and ns = ? and checkpoint_id not in (select value from json_each(?))";
    dropped += connection.sql(`delete from checkpoints where ${gone}`).run(thread, ns, kept);
    connection.sql(`delete from checkpoint_writes where ${gone}`).run(thread, ns, kept);
  }
  if (dropped > 0) markGarbage(connection, thread);
}

function neededBy(connection: Connection, of: { thread: number; ns: string; newest: string }): string[] {
  const load = connection.sql(
    "select id, checkpoint_id, parent_id, metadata, blobs, inline from checkpoints where thread = ? and ns = ? and checkpoint_id = ?",
  );
  const kept = [of.newest];
  let row = load.get<Row>(of.thread, of.ns, of.newest);
  const missing = new Set(row === undefined ? [] : deltaChannels(row.metadata));
  while (row !== undefined) {
    for (const channel of channelsIn(row)) missing.delete(channel);
    if (missing.size === 0 || row.parent_id === null) break;
    row = load.get<Row>(of.thread, of.ns, row.parent_id);
    if (row !== undefined) kept.push(row.checkpoint_id);
  }
  return kept;
}
