import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { EventRow } from "#core/runs/repository";
import type { JsonObject, Page } from "#schemas/common";

/** A value as the graph's serializer wrote it: its type tag and bytes ("json" bytes are UTF-8 text). */
export interface Encoded {
  type: string;
  bytes: Uint8Array;
}

/**
 * A checkpoint row. Channel values up to INLINE_LIMIT bytes stand in `inline`; larger ones are blobs, written once per
 * channel version and shared by all checkpoints that carry that version.
 */
export interface CheckpointRow {
  thread_id: string;
  /** With the scope: "", "assistant:<id>", "assistant:<id>|sub:<task>". */
  checkpoint_ns: string;
  checkpoint_id: string;
  parent_checkpoint_id: string | null;
  /** The checkpoint without channel_values: v, id, ts, channel_versions, versions_seen; JSON text. */
  checkpoint: string;
  /** JSON text of CheckpointMetadata (without run ids and epochs of ours). */
  metadata: string;
  inline: Record<string, Encoded>;
  /** Channel to version, of the values that are blobs. */
  blobs: Record<string, string>;
  run_id: string | null;
  epoch: number;
}

export interface BlobRow {
  thread_id: string;
  checkpoint_ns: string;
  channel: string;
  version: string;
  value: Encoded;
}

export interface WriteRow {
  thread_id: string;
  checkpoint_ns: string;
  checkpoint_id: string;
  task_id: string;
  /** Negative for special writes (WRITES_IDX_MAP). */
  idx: number;
  task_path: string;
  channel: string;
  value: Encoded;
  run_id: string | null;
  /**
   * Part of the key: a later attempt or run that writes the same (task, idx) does not destroy the earlier row; readers
   * see the row of the highest epoch. So a restart can take back exactly what its own dead attempt wrote.
   */
  epoch: number;
}

/** A checkpoint with everything needed to load it. */
export interface StoredCheckpoint {
  row: CheckpointRow;
  /** Values of row.blobs. */
  values: Record<string, Encoded>;
  /** Pending writes, in writesSortKey order (task_path, task_id, idx). */
  writes: WriteRow[];
  /** What is wrong with a row that cannot be read whole: it has fewer values than were stored. */
  damage?: string | undefined;
}

/** Whose graph wrote a checkpoint, as its metadata says. */
export interface CheckpointWriter {
  graph_id?: string | undefined;
  assistant_id?: string | undefined;
}

export interface CheckpointQuery {
  thread_id: string;
  /** Exactly this namespace; undefined: every namespace of the thread. */
  checkpoint_ns?: string | undefined;
  checkpoint_id?: string | undefined;
  /** Only checkpoints older than this id. */
  before?: string | undefined;
  /** Metadata containment (JSONB @> semantics). */
  filter?: JsonObject | undefined;
  limit?: number | undefined;
}

export type FencedWrite =
  | { kind: "checkpoint"; fence: Fence; row: CheckpointRow; blobs: BlobRow[] }
  | { kind: "writes"; fence: Fence; rows: WriteRow[] }
  | { kind: "events"; fence: Fence; rows: EventRow[] };

export interface CheckpointRepository {
  /**
   * Group commit: one transaction for writes of many runs, in order, each under its fence. Answers per write; a fenced
   * or locked lane never fails the others ("retry": lane locked by somebody else, send again; then so is everything of
   * that fence in the batch). An Error: this write cannot be stored, and nothing that follows it under the same fence
   * was, because a checkpoint must not stand past a missing one. Rejects when nothing of the batch was written.
   */
  commit(batch: readonly FencedWrite[]): Promise<("written" | "fenced" | "retry" | Error)[]>;
  /** Newest (highest checkpoint_id) unless an id is given. Reads by id search the namespace given. */
  get(scope: AuthScope, query: CheckpointQuery): Promise<StoredCheckpoint | undefined>;
  /** Newest first. */
  list(scope: AuthScope, query: CheckpointQuery): Promise<StoredCheckpoint[]>;
  /**
   * The same in pieces, each the work of one turn: at most 100 checkpoints and 8 MiB of values, counted wherever they are
   * carried; one larger checkpoint comes alone. A blob that follows itself is read once. No piece when there is nothing.
   */
  pieces(scope: AuthScope, query: CheckpointQuery): AsyncIterable<Page<StoredCheckpoint>>;
  /** Bytes of all values in the list, counted wherever they are carried. Reads none of them. */
  weigh(scope: AuthScope, query: CheckpointQuery): Promise<number>;
  /** Which namespace holds this checkpoint id (reads by checkpoint id search all scopes). */
  locate(scope: AuthScope, threadId: string, checkpointId: string): Promise<string | undefined>;
  /** Who wrote the newest checkpoint of the namespace; undefined when there is none, or its metadata cannot be read. */
  writer(scope: AuthScope, query: { thread_id: string; checkpoint_ns: string }): Promise<CheckpointWriter | undefined>;
  /** Root namespaces ("" or "assistant:<id>") that have checkpoints. */
  scopes(scope: AuthScope, threadId: string): Promise<string[]>;
  /** Newest root checkpoint id of the scope that this run wrote; undefined if none. */
  newestOfRun(
    scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; run_id: string },
  ): Promise<string | undefined>;
  /** Whether this run wrote an interrupt on the given checkpoint. */
  interruptsOfRun(
    scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; checkpoint_id: string; run_id: string },
  ): Promise<boolean>;
  /**
   * Before a restart from the base: takes back what the run's dead attempt wrote there: its special writes (idx < 0)
   * in all namespaces, its checkpoints and writes in sub-namespaces. Ordinary root writes of finished tasks stay.
   */
  takeBack(fence: Fence, checkpointNs: string): Promise<boolean>;
  /**
   * Ancestor walk for delta channels: for each channel the writes from oldest to newest up to, and the nearest stored
   * value at, an ancestor (BaseCheckpointSaver.getDeltaChannelHistory).
   */
  ancestors(
    scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; checkpoint_id: string; channels: string[] },
  ): Promise<Record<string, { writes: WriteRow[]; seed: Encoded | undefined }>>;
  /** Unfenced delete of all checkpoints and writes of a thread (BaseCheckpointSaver.deleteThread). */
  deleteThread(scope: AuthScope, threadId: string): Promise<void>;
}
