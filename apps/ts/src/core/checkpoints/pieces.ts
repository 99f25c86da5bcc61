import type { Page } from "#schemas/common";
import type { StoredCheckpoint } from "./repository.ts";

/** The most that is read, decoded or encoded in one turn of the event loop; one larger value comes alone. */
export const PIECE = { rows: 100, bytes: 8 * 1024 * 1024 } as const;

/** The items in pieces of at most PIECE, in order, each with whether another follows. */
export function* cut<T>(items: readonly T[], weight: (item: T) => number): Generator<Page<T>> {
  let piece: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const more = weight(item);
    if (piece.length > 0 && (piece.length >= PIECE.rows || bytes + more > PIECE.bytes)) {
      yield { items: piece, more: true };
      piece = [];
      bytes = 0;
    }
    piece.push(item);
    bytes += more;
  }
  if (piece.length > 0) yield { items: piece, more: false };
}

/** Bytes of a checkpoint with all that it carries. */
export function weightOf({ row, values, writes }: StoredCheckpoint): number {
  let bytes = row.checkpoint.length + row.metadata.length;
  for (const { bytes: value } of Object.values(row.inline)) bytes += value.length;
  for (const { bytes: value } of Object.values(values)) bytes += value.length;
  for (const { value } of writes) bytes += value.bytes.length;
  return bytes;
}
