import type { BlobRow, CheckpointRow, FencedWrite, WriteRow } from "#core/checkpoints/repository";
import type { Fence } from "#core/runs/fence";
import { packInline } from "../common/inline-values.ts";
import { type Connection, isMachineFailure } from "./connection.ts";
import { insertEvents } from "./event-rows.ts";

type Answer = "written" | "fenced" | "retry" | Error;

/**
 * `CheckpointRepository.commit`: one transaction for all. The usual batch has no bad row and pays for no savepoints; if
 * one row fails, the batch is repeated with a savepoint per write, so that only that write answers with its error.
 * A failure of the machine (full disk) fails the whole batch: nothing of it was written.
 */
export async function commitBatch(connection: Connection, batch: readonly FencedWrite[]): Promise<Answer[]> {
  try {
    return await connection.write(() => {
      const fences = new Fences(connection);
      return batch.map((item) => writeOne(connection, fences, item));
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (isMachineFailure(cause)) throw error;
    return connection.write(() => {
      const fences = new Fences(connection);
      const failed = new Map<string, Error>();
      return batch.map((item) => writeAlone(connection, fences, { item, failed }));
    });
  }
}

/** The fence of each run is checked once per batch: within a transaction it cannot change. */
class Fences {
  readonly #connection: Connection;
  readonly #known = new Map<Fence, number | undefined>();
  #last: { fence: Fence; thread: number | undefined } | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Key of the thread whose lane the fence holds; undefined when it has moved on. */
  threadOf(fence: Fence): number | undefined {
    const last = this.#last;
    if (last !== undefined && same(last.fence, fence)) return last.thread;
    if (!this.#known.has(fence)) this.#known.set(fence, this.#look(fence));
    const thread = this.#known.get(fence);
    this.#last = { fence, thread };
    return thread;
  }

  #look(fence: Fence): number | undefined {
    return this.#connection
      .sql(
        "select t.id from threads t join lanes l on l.thread = t.id where t.thread_id = ? and l.active = ? and l.epoch = ?",
      )
      .get<{ id: number }>(fence.threadId, fence.runId, fence.epoch)?.id;
  }
}

function same(a: Fence, b: Fence): boolean {
  return a === b || (a.runId === b.runId && a.epoch === b.epoch && a.threadId === b.threadId);
}

function writeOne(connection: Connection, fences: Fences, item: FencedWrite): Answer {
  const thread = fences.threadOf(item.fence);
  if (thread === undefined) return "fenced";
  if (item.kind === "checkpoint") {
    for (const blob of item.blobs) insertBlob(connection, thread, blob);
    insertCheckpoint(connection, thread, item.row);
  } else if (item.kind === "writes") {
    for (const row of item.rows) insertWrite(connection, thread, row);
  } else {
    insertEvents(connection, thread, item.rows);
  }
  return "written";
}

/** What follows a failed write under the same fence fails with it: a checkpoint must not stand past a missing one. */
function writeAlone(
  connection: Connection,
  fences: Fences,
  of: { item: FencedWrite; failed: Map<string, Error> },
): Answer {
  const { threadId, runId, epoch } = of.item.fence;
  const key = `${threadId} ${runId} ${epoch}`;
  const earlier = of.failed.get(key);
  if (earlier !== undefined) return earlier;
  try {
    return connection.attempt(() => writeOne(connection, fences, of.item));
  } catch (error) {
    if (isMachineFailure(error)) throw error;
    const failure = error instanceof Error ? error : new Error(String(error));
    of.failed.set(key, failure);
    return failure;
  }
}

function insertCheckpoint(connection: Connection, thread: number, row: CheckpointRow): void {
  connection
    .sql(
      "insert into checkpoints (thread, ns, checkpoint_id, epoch, run_id, parent_id, metadata, blobs, checkpoint, inline) " +
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (thread, ns, checkpoint_id) do update set epoch = excluded.epoch, " +
        "run_id = excluded.run_id, parent_id = excluded.parent_id, metadata = excluded.metadata, blobs = excluded.blobs, " +
        "checkpoint = excluded.checkpoint, inline = excluded.inline",
    )
    .run(
      thread,
      row.checkpoint_ns,
      row.checkpoint_id,
      row.epoch,
      row.run_id,
      row.parent_checkpoint_id,
      row.metadata,
      JSON.stringify(row.blobs),
      row.checkpoint,
      packInline(row.inline),
    );
}

function insertBlob(connection: Connection, thread: number, blob: BlobRow): void {
  connection
    .sql(
      "insert into checkpoint_blobs (thread, ns, channel, version, type, value) values (?, ?, ?, ?, ?, ?) " +
        "on conflict (thread, ns, channel, version) do nothing",
    )
    .run(thread, blob.checkpoint_ns, blob.channel, blob.version, blob.value.type, blob.value.bytes);
}

/** Special writes (idx < 0) replace what the same attempt wrote before; ordinary ones stand once written. */
function insertWrite(connection: Connection, thread: number, row: WriteRow): void {
  connection
    .sql(
      "insert into checkpoint_writes (thread, ns, checkpoint_id, task_id, idx, epoch, run_id, task_path, channel, type, value) " +
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (thread, ns, checkpoint_id, task_id, idx, epoch) do update set " +
        "run_id = excluded.run_id, task_path = excluded.task_path, channel = excluded.channel, type = excluded.type, " +
        "value = excluded.value where idx < 0",
    )
    .run(
      thread,
      row.checkpoint_ns,
      row.checkpoint_id,
      row.task_id,
      row.idx,
      row.epoch,
      row.run_id,
      row.task_path,
      row.channel,
      row.value.type,
      row.value.bytes,
    );
}
