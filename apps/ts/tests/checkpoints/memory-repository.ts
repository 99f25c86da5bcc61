import { mergeWrites } from "#core/checkpoints/layout";
import { cut, weightOf } from "#core/checkpoints/pieces";
import type {
  BlobRow,
  CheckpointQuery,
  CheckpointRepository,
  CheckpointRow,
  Encoded,
  FencedWrite,
  StoredCheckpoint,
  WriteRow,
} from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { EventRow } from "#core/runs/repository";
import type { Page } from "#schemas/common";
import { writerOf } from "../../src/storage/common/checkpoint-columns.ts";

type Answer = "written" | "fenced" | "retry" | Error;

export function contains(value: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(value) && part.every((item) => value.some((candidate) => contains(candidate, item)));
  }
  if (typeof part !== "object" || part === null) return value === part;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(part).every(([key, item]) => contains((value as Record<string, unknown>)[key], item));
}

/** The port in its simplest form: what the SQL adapters are compared with. */
export class MemoryRepository implements CheckpointRepository {
  /** In the order of writing. */
  readonly rows: CheckpointRow[] = [];
  readonly blobs: BlobRow[] = [];
  readonly writes: WriteRow[] = [];
  readonly events: EventRow[] = [];
  readonly commits: FencedWrite[][] = [];
  /** Thread to the one fence that may write. */
  readonly #lanes = new Map<string, Fence>();
  /** Threads whose lane is locked by somebody else. */
  readonly locked = new Set<string>();
  /** Such a write cannot be stored: the transaction throws, or answers with the error where `isolates` is set. */
  poison: ((write: FencedWrite) => boolean) | undefined;
  isolates = false;

  grant(threadId: string, runId: string): Fence {
    const fence = { threadId, runId, epoch: (this.#lanes.get(threadId)?.epoch ?? 0) + 1 };
    this.#lanes.set(threadId, fence);
    return fence;
  }

  async commit(batch: readonly FencedWrite[]): Promise<Answer[]> {
    await Promise.resolve();
    if (!this.isolates && batch.some((write) => this.poison?.(write) === true)) throw new Error("poisoned write");
    this.commits.push([...batch]);
    const stopped = new Set<Fence>();
    return batch.map((write) => {
      if (this.poison?.(write) === true) stopped.add(write.fence);
      return stopped.has(write.fence) ? new Error("poisoned write") : this.#apply(write);
    });
  }

  #holds(fence: Fence): boolean {
    const lane = this.#lanes.get(fence.threadId);
    return lane !== undefined && lane.epoch === fence.epoch && lane.runId === fence.runId;
  }

  #apply(write: FencedWrite): Answer {
    if (this.locked.has(write.fence.threadId)) return "retry";
    if (!this.#holds(write.fence)) return "fenced";
    if (write.kind === "events") {
      this.events.push(...write.rows);
    } else if (write.kind === "writes") {
      for (const row of write.rows) this.#addWrite(row);
    } else {
      this.#addCheckpoint(write.row, write.blobs);
    }
    return "written";
  }

  #addWrite(row: WriteRow): void {
    const at = this.writes.findIndex(
      (other) =>
        other.thread_id === row.thread_id &&
        other.checkpoint_ns === row.checkpoint_ns &&
        other.checkpoint_id === row.checkpoint_id &&
        other.task_id === row.task_id &&
        other.idx === row.idx &&
        other.epoch === row.epoch,
    );
    if (at === -1) this.writes.push(row);
    else if (row.idx < 0) this.writes[at] = row;
  }

  #addCheckpoint(row: CheckpointRow, blobs: BlobRow[]): void {
    const at = this.rows.findIndex((other) => sameCheckpoint(other, row));
    if (at === -1) this.rows.push(row);
    else this.rows[at] = row;
    for (const blob of blobs) {
      if (this.#blob(row, blob.channel, blob.version) === undefined) this.blobs.push(blob);
    }
  }

  #blob(row: CheckpointRow, channel: string, version: string): Encoded | undefined {
    return this.blobs.find(
      (blob) =>
        blob.thread_id === row.thread_id &&
        blob.checkpoint_ns === row.checkpoint_ns &&
        blob.channel === channel &&
        blob.version === version,
    )?.value;
  }

  #load(row: CheckpointRow): StoredCheckpoint {
    const values: Record<string, Encoded> = {};
    for (const [channel, version] of Object.entries(row.blobs)) {
      const value = this.#blob(row, channel, version);
      if (value !== undefined) values[channel] = value;
    }
    return { row, values, writes: this.#writesOf(row) };
  }

  #writesOf(row: Pick<CheckpointRow, "thread_id" | "checkpoint_ns" | "checkpoint_id">): WriteRow[] {
    return mergeWrites(
      [],
      this.writes.filter((write) => sameCheckpoint(write, row)),
    );
  }

  #select(query: CheckpointQuery): CheckpointRow[] {
    const edge = this.rows.findIndex((row) => row.thread_id === query.thread_id && row.checkpoint_id === query.before);
    return this.rows
      .filter(
        (row, order) =>
          row.thread_id === query.thread_id &&
          (query.checkpoint_ns === undefined || row.checkpoint_ns === query.checkpoint_ns) &&
          (query.checkpoint_id === undefined || row.checkpoint_id === query.checkpoint_id) &&
          (query.before === undefined || (edge < 0 ? row.checkpoint_id < query.before : order < edge)) &&
          (query.filter === undefined || contains(JSON.parse(row.metadata), query.filter)),
      )
      .reverse()
      .slice(0, query.limit);
  }

  async get(_scope: AuthScope, query: CheckpointQuery): Promise<StoredCheckpoint | undefined> {
    const row = this.#select({ ...query, limit: 1 })[0];
    return row === undefined ? undefined : this.#load(row);
  }

  async list(_scope: AuthScope, query: CheckpointQuery): Promise<StoredCheckpoint[]> {
    return this.#select(query).map((row) => this.#load(row));
  }

  async *pieces(scope: AuthScope, query: CheckpointQuery): AsyncGenerator<Page<StoredCheckpoint>> {
    yield* cut(await this.list(scope, query), weightOf);
  }

  async weigh(scope: AuthScope, query: CheckpointQuery): Promise<number> {
    return (await this.list(scope, query)).reduce((sum, stored) => sum + weightOf(stored), 0);
  }

  async locate(_scope: AuthScope, threadId: string, checkpointId: string): Promise<string | undefined> {
    return this.rows.find((row) => row.thread_id === threadId && row.checkpoint_id === checkpointId)?.checkpoint_ns;
  }

  async writer(_scope: AuthScope, query: { thread_id: string; checkpoint_ns: string }) {
    const row = this.rows.findLast(
      (row) => row.thread_id === query.thread_id && row.checkpoint_ns === query.checkpoint_ns,
    );
    return row && writerOf(row.metadata);
  }

  async scopes(_scope: AuthScope, threadId: string): Promise<string[]> {
    const roots = this.rows
      .filter((row) => row.thread_id === threadId)
      .map((row) => row.checkpoint_ns.split("|")[0] ?? "");
    return [...new Set(roots)].filter((root) => root === "" || root.startsWith("assistant:"));
  }

  async newestOfRun(
    _scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; run_id: string },
  ): Promise<string | undefined> {
    return this.#select(query).find((row) => row.run_id === query.run_id)?.checkpoint_id;
  }

  async interruptsOfRun(
    _scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; checkpoint_id: string; run_id: string },
  ): Promise<boolean> {
    return this.writes.some(
      (write) => sameCheckpoint(write, query) && write.run_id === query.run_id && write.channel === "__interrupt__",
    );
  }

  async takeBack(fence: Fence, checkpointNs: string): Promise<boolean> {
    if (!this.#holds(fence)) return false;
    const ours = (row: { thread_id: string; run_id: string | null }) =>
      row.thread_id === fence.threadId && row.run_id === fence.runId;
    const below = (ns: string) => (checkpointNs === "" ? ns !== "" : ns.startsWith(`${checkpointNs}|`));
    remove(this.rows, (row) => ours(row) && below(row.checkpoint_ns));
    remove(this.writes, (row) => ours(row) && (row.idx < 0 || below(row.checkpoint_ns)));
    return true;
  }

  async ancestors(
    _scope: AuthScope,
    query: { thread_id: string; checkpoint_ns: string; checkpoint_id: string; channels: string[] },
  ): Promise<Record<string, { writes: WriteRow[]; seed: Encoded | undefined }>> {
    const found: Record<string, { writes: WriteRow[]; seed: Encoded | undefined }> = {};
    for (const channel of query.channels) found[channel] = { writes: [], seed: undefined };
    const remaining = new Set(query.channels);
    let cursor = this.#select({ ...query, limit: 1 })[0]?.parent_checkpoint_id;
    while (cursor && remaining.size > 0) {
      const row = this.#select({
        thread_id: query.thread_id,
        checkpoint_ns: query.checkpoint_ns,
        checkpoint_id: cursor,
      })[0];
      if (row === undefined) break;
      const { values, writes } = this.#load(row);
      for (const channel of [...remaining]) {
        const entry = found[channel];
        if (entry === undefined) continue;
        entry.writes.unshift(...writes.filter((write) => write.channel === channel));
        entry.seed = row.inline[channel] ?? values[channel];
        if (entry.seed !== undefined) remaining.delete(channel);
      }
      cursor = row.parent_checkpoint_id;
    }
    return found;
  }

  async deleteThread(_scope: AuthScope, threadId: string): Promise<void> {
    remove(this.rows, (row) => row.thread_id === threadId);
    remove(this.writes, (row) => row.thread_id === threadId);
    remove(this.blobs, (row) => row.thread_id === threadId);
  }
}

function sameCheckpoint(
  a: Pick<CheckpointRow, "thread_id" | "checkpoint_ns" | "checkpoint_id">,
  b: Pick<CheckpointRow, "thread_id" | "checkpoint_ns" | "checkpoint_id">,
): boolean {
  return a.thread_id === b.thread_id && a.checkpoint_ns === b.checkpoint_ns && a.checkpoint_id === b.checkpoint_id;
}

function remove<T>(rows: T[], gone: (row: T) => boolean): void {
  for (let i = rows.length - 1; i >= 0; i--) if (gone(rows[i] as T)) rows.splice(i, 1);
}
