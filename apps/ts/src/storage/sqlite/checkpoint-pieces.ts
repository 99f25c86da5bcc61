import { setImmediate as nextTurn } from "node:timers/promises";
import { PIECE, weightOf } from "#core/checkpoints/pieces";
import type { Encoded, StoredCheckpoint } from "#core/checkpoints/repository";
import type { Page } from "#schemas/common";
import type { Connection } from "./connection.ts";

/** Blobs read for other checkpoints of the same list, by `seenKey`. */
export type Seen = Map<string, Encoded>;

export function seenKey(ns: string, channel: string, version: string): string {
  return `${ns}\n${channel}\n${version}`;
}

export interface Listing {
  ids(): Promise<number[]>;
  /** Undefined when the checkpoint has gone since its id was read. */
  load(id: number, seen: Seen): StoredCheckpoint | undefined;
}

/**
 * `CheckpointRepository.pieces`: each is read in a turn of its own. A checkpoint mostly weighs what the one before it weighs,
 * so the first one of the next piece is rarely read with this one.
 */
export async function* listInPieces(connection: Connection, listing: Listing): AsyncGenerator<Page<StoredCheckpoint>> {
  const ids = await listing.ids();
  const seen: Seen = new Map();
  let over: StoredCheckpoint | undefined;
  for (let at = 0; at < ids.length || over !== undefined; ) {
    const items: StoredCheckpoint[] = over === undefined ? [] : [over];
    let last = over === undefined ? 0 : weightOf(over);
    let bytes = last;
    over = undefined;
    await connection.read(() => {
      while (at < ids.length && over === undefined) {
        if (items.length >= PIECE.rows || (items.length > 0 && bytes + last > PIECE.bytes)) break;
        const stored = listing.load(ids[at++] as number, seen);
        if (stored === undefined) continue;
        last = weightOf(stored);
        bytes += last;
        if (items.length > 0 && bytes > PIECE.bytes) over = stored;
        else items.push(stored);
      }
    });
    if (items.length > 0) yield { items, more: over !== undefined || at < ids.length };
    keepOnly(seen, [...items.slice(-1), ...(over === undefined ? [] : [over])]);
    await nextTurn();
  }
}

/** Only what comes next can be the same again. */
function keepOnly(seen: Seen, last: readonly StoredCheckpoint[]): void {
  const carried = new Set(
    last.flatMap(({ row }) =>
      Object.entries(row.blobs).map(([channel, version]) => seenKey(row.checkpoint_ns, channel, version)),
    ),
  );
  for (const key of seen.keys()) if (!carried.has(key)) seen.delete(key);
}

const WEIGH =
  "select sum(length(c.inline) + octet_length(c.checkpoint) + octet_length(c.metadata) + " +
  "(select coalesce(sum(length(b.value)), 0) from json_each(case when json_valid(c.blobs) then c.blobs else '{}' end) j join checkpoint_blobs b on b.thread = c.thread " +
  "and b.ns = c.ns and b.channel = j.key and b.version = j.value) + " +
  "(select coalesce(sum(length(w.value)), 0) from checkpoint_writes w where w.thread = c.thread and w.ns = c.ns " +
  "and w.checkpoint_id = c.checkpoint_id)) as bytes " +
  "from json_each(?) i cross join checkpoints c on c.id = i.value";

/** `CheckpointRepository.weigh`: the lengths are in the heads of the values, which are not read. */
export function weighCheckpoints(connection: Connection, ids: readonly number[]): number {
  return connection.sql(WEIGH).get<{ bytes: number | null }>(JSON.stringify(ids))?.bytes ?? 0;
}
