import type { Encoded, WriteRow } from "#core/checkpoints/repository";
import { readValues } from "../common/checkpoint-columns.ts";
import { blobOf, type Place, writesOn } from "./checkpoint-rows.ts";
import type { Connection } from "./connection.ts";

interface Row {
  checkpoint_id: string;
  parent_id: string | null;
  blobs: string;
  inline: Uint8Array;
}

type Histories = Record<string, { writes: WriteRow[]; seed: Encoded | undefined }>;

/**
 * `CheckpointRepository.ancestors`: from the parent of the checkpoint upwards. The writes that stand on an ancestor come
 * after the value that it stores, so both are taken from the ancestor that ends the walk of a channel.
 */
export function ancestorsOf(
  connection: Connection,
  place: Place,
  query: { checkpoint_id: string; channels: string[] },
): Histories {
  const load = connection.sql(
    "select checkpoint_id, parent_id, blobs, inline from checkpoints where thread = ? and ns = ? and checkpoint_id = ?",
  );
  const found = new Map(
    query.channels.map((channel) => [
      channel,
      { newestFirst: [] as WriteRow[], seed: undefined as Encoded | undefined },
    ]),
  );
  const remaining = new Set(query.channels);
  const parentOf = (row: Row | undefined) =>
    row?.parent_id == null ? undefined : load.get<Row>(place.thread, place.ns, row.parent_id);

  let row = parentOf(load.get<Row>(place.thread, place.ns, query.checkpoint_id));
  while (row !== undefined && remaining.size > 0) {
    for (const write of writesOn(connection, place, row.checkpoint_id).reverse()) {
      if (remaining.has(write.channel)) found.get(write.channel)?.newestFirst.push(write);
    }
    for (const channel of remaining) {
      const seed = valueIn(connection, place, { row, channel });
      if (seed === undefined) continue;
      const history = found.get(channel);
      if (history !== undefined) history.seed = seed;
      remaining.delete(channel);
    }
    row = parentOf(row);
  }
  return Object.fromEntries(
    [...found].map(([channel, { newestFirst, seed }]) => [channel, { writes: newestFirst.reverse(), seed }]),
  );
}

function valueIn(connection: Connection, place: Place, at: { row: Row; channel: string }): Encoded | undefined {
  const { row, channel } = at;
  const { blobs, inline } = readValues(row);
  const version = Object.hasOwn(blobs, channel) ? blobs[channel] : undefined;
  if (version !== undefined) return blobOf(connection, place, { channel, version });
  return Object.hasOwn(inline, channel) ? inline[channel] : undefined;
}
