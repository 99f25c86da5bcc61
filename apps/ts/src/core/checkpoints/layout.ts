import {
  type Checkpoint,
  type CheckpointMetadata,
  compareWritesSortKeys,
  writesSortKey,
} from "@langchain/langgraph-checkpoint";
import type { CheckpointRow, Encoded, FencedWrite, StoredCheckpoint, WriteRow } from "#core/checkpoints/repository";
import type { Fence } from "#core/runs/fence";

/** Encoded channel values up to this many bytes stand in the checkpoint row, larger ones in blobs. */
export const INLINE_LIMIT = 1024;

/** A channel value as stored: inline, or under the blob's version. */
export interface Slot {
  readonly encoded: Encoded;
  readonly blob: string | undefined;
}

/** A checkpoint as this saver knows it, complete enough to load it or to build its child without reading it again. */
export interface Base {
  readonly row: CheckpointRow;
  readonly slots: ReadonlyMap<string, Slot>;
}

/** @param problems Takes what is missing; without it, a checkpoint that is not whole is an error. */
export function baseOf(stored: StoredCheckpoint, problems?: string[]): Base {
  const slots = new Map<string, Slot>();
  const id = stored.row.checkpoint_id;
  const missing = (what: string) => {
    if (problems === undefined) throw new Error(`Checkpoint ${id} is not whole: ${what}`);
    problems.push(what);
  };
  if (stored.damage !== undefined) missing(stored.damage);
  for (const [channel, encoded] of Object.entries(stored.row.inline)) slots.set(channel, { encoded, blob: undefined });
  for (const [channel, version] of Object.entries(stored.row.blobs)) {
    const encoded = stored.values[channel];
    if (encoded === undefined) missing(`the stored value of channel "${channel}" is missing`);
    else slots.set(channel, { encoded, blob: version });
  }
  return { row: stored.row, slots };
}

export interface NewCheckpoint {
  thread_id: string;
  /** With the scope. */
  checkpoint_ns: string;
  /** The stored id; the checkpoint's own is LangGraph's. */
  checkpoint_id: string;
  parent_checkpoint_id: string | null;
  checkpoint: Checkpoint;
  metadata: CheckpointMetadata;
  /** JSON text, taken when put was called. */
  checkpointText: string;
  metadataText: string;
  /** The changed channels. */
  encoded: ReadonlyMap<string, Encoded>;
  run_id: string | null;
  fence: Fence;
}

/** The checkpoint without its values, as stored. */
export function checkpointText(checkpoint: Checkpoint): string {
  const { channel_values: _values, ...rest } = checkpoint;
  return JSON.stringify(rest);
}

/**
 * The row and blobs of a checkpoint: changed channels as encoded, the others carried over from the parent without being
 * read or written again. A blob is named by its channel version and the checkpoint that wrote it, because two branches
 * of a thread give the same version number to different values.
 */
export function layOut(
  made: NewCheckpoint,
  channels: readonly string[],
  parent: Base | undefined,
): Base & { write: FencedWrite } {
  const slots = new Map<string, Slot>();
  const row: CheckpointRow = {
    thread_id: made.thread_id,
    checkpoint_ns: made.checkpoint_ns,
    checkpoint_id: made.checkpoint_id,
    parent_checkpoint_id: made.parent_checkpoint_id,
    checkpoint: made.checkpointText,
    metadata: made.metadataText,
    inline: {},
    blobs: {},
    run_id: made.run_id,
    epoch: made.fence.epoch,
  };
  const write: FencedWrite = { kind: "checkpoint", fence: made.fence, row, blobs: [] };
  for (const channel of channels) {
    const encoded = made.encoded.get(channel);
    let slot: Slot | undefined;
    if (encoded === undefined) slot = parent?.slots.get(channel);
    else if (encoded.bytes.length <= INLINE_LIMIT) slot = { encoded, blob: undefined };
    else {
      const version = `${made.checkpoint.channel_versions[channel] ?? 0}.${made.checkpoint_id}`;
      slot = { encoded, blob: version };
      write.blobs.push({
        thread_id: made.thread_id,
        checkpoint_ns: made.checkpoint_ns,
        channel,
        version,
        value: encoded,
      });
    }
    if (slot === undefined) continue;
    slots.set(channel, slot);
    if (slot.blob === undefined) row.inline[channel] = slot.encoded;
    else row.blobs[channel] = slot.blob;
  }
  return { row, slots, write };
}

export function sortWrites(rows: WriteRow[]): WriteRow[] {
  return rows.sort((a, b) =>
    compareWritesSortKeys(writesSortKey(a.task_path, a.task_id, a.idx), writesSortKey(b.task_path, b.task_id, b.idx)),
  );
}

/**
 * What readers see after these rows were added: one row per (task, idx), that of the highest epoch. Within an epoch
 * special writes (idx < 0) replace, ordinary ones stay as first written.
 */
export function mergeWrites(rows: readonly WriteRow[], added: readonly WriteRow[]): WriteRow[] {
  const byKey = new Map<string, WriteRow>();
  for (const row of [...rows, ...added]) {
    const key = `${row.task_id} ${row.idx}`;
    const earlier = byKey.get(key);
    if (earlier === undefined || earlier.epoch < row.epoch || (earlier.epoch === row.epoch && row.idx < 0)) {
      byKey.set(key, row);
    }
  }
  return sortWrites([...byKey.values()]);
}
