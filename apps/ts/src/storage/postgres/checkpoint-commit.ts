import type { FencedWrite } from "#core/checkpoints/repository";
import type { Fence } from "#core/runs/fence";
import { type PackRow, packsOf } from "../common/event-packs.ts";
import { packInline } from "../common/inline-values.ts";
import { type Database, uuid } from "./database.ts";
import { isMachineFailure } from "./failures.ts";

type Answer = "written" | "fenced" | "retry" | Error;
const ANSWERS = ["written", "fenced", "retry"] as const;

/**
 * `CheckpointRepository.commit`: one statement for all. If a row cannot be stored the statement fails as a whole; then the
 * writes are sent one by one, so that only that write answers with its error, and what follows it under the same fence,
 * because a checkpoint must not stand past a missing one. A failure of the machine fails the whole batch.
 */
export async function commitBatch(database: Database, batch: readonly FencedWrite[]): Promise<Answer[]> {
  try {
    return await send(database, batch);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (isMachineFailure(cause)) throw error;
    if (batch.length === 1) return [error instanceof Error ? error : new Error(String(error))];
    return oneByOne(database, batch);
  }
}

async function oneByOne(database: Database, batch: readonly FencedWrite[]): Promise<Answer[]> {
  const failed = new Map<string, Answer>();
  const answers: Answer[] = [];
  for (const write of batch) {
    const key = keyOf(write.fence);
    const earlier = failed.get(key);
    const [answer] = earlier === undefined ? await commitBatch(database, [write]) : [earlier];
    if (answer instanceof Error || answer === "retry") failed.set(key, answer);
    answers.push(answer as Answer);
  }
  return answers;
}

function keyOf({ threadId, runId, epoch }: Fence): string {
  return `${threadId} ${runId} ${epoch}`;
}

const COMMIT = "select fractal.commit_v1($1, $2, $3, $4, $5, $6, $7, $8) as answers";

async function send(database: Database, batch: readonly FencedWrite[]): Promise<Answer[]> {
  const letter = new Letter();
  const fences = batch.map((write) => letter.add(write));
  const row = await database.row<{ answers: number[] }>(COMMIT, letter.params());
  return fences.map((fence) => ANSWERS[row?.answers[fence - 1] as number] as Answer);
}

/**
 * A batch as parameters: rows as JSON, which the server reads faster than arrays of texts, and every value's bytes in one
 * binary parameter, because bytes in JSON or in an array would travel as hexadecimal text.
 */
class Letter {
  readonly #places = new Map<string, number>();
  readonly #fences: Fence[] = [];
  readonly #checkpoints: object[] = [];
  readonly #blobs: object[] = [];
  /** By key, because one statement cannot touch a row twice: of special writes (idx < 0) the last stands, else the first. */
  readonly #writes = new Map<string, object>();
  readonly #events = new Map<string, PackRow>();
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** Position of the write's fence, from 1. */
  add(write: FencedWrite): number {
    const f = this.#fence(write.fence);
    if (write.kind === "events") {
      for (const pack of packsOf(write.rows)) this.#pack(f, pack);
    } else if (write.kind === "writes") {
      for (const row of write.rows) this.#write(f, row);
    } else {
      for (const { checkpoint_ns: ns, channel, version, value } of write.blobs) {
        this.#blobs.push({ f, ns, channel, version, type: value.type, ...this.#bytesOf(value.bytes) });
      }
      this.#checkpoint(f, write);
    }
    return f;
  }

  params(): unknown[] {
    const json = (rows: readonly object[]) => (rows.length === 0 ? null : JSON.stringify(rows));
    return [
      this.#fences.map((fence) => uuid(fence.threadId)),
      this.#fences.map((fence) => uuid(fence.runId)),
      this.#fences.map((fence) => fence.epoch),
      json(this.#checkpoints),
      json(this.#blobs),
      json([...this.#writes.values()]),
      json([...this.#events.values()]),
      Buffer.concat(this.#chunks, this.#bytes),
    ];
  }

  /** Of two packs that begin with the same event the longer one holds the other. */
  #pack(f: number, pack: PackRow): void {
    const key = `${f} ${pack.epoch} ${pack.n}`;
    const other = this.#events.get(key);
    if (other === undefined || other.data.length < pack.data.length) this.#events.set(key, { f, ...pack } as PackRow);
  }

  #fence(fence: Fence): number {
    const key = keyOf(fence);
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#fences.push(fence);
      this.#places.set(key, place);
    }
    return place;
  }

  #checkpoint(f: number, { row }: Extract<FencedWrite, { kind: "checkpoint" }>): void {
    // The same checkpoint twice in one batch: the later text stands, in the place of the first.
    const again = this.#checkpoints.findIndex((other) => {
      const known = other as { f: number; ns: string; id: string };
      return known.id === row.checkpoint_id && known.ns === row.checkpoint_ns && known.f === f;
    });
    this.#checkpoints.splice(again < 0 ? this.#checkpoints.length : again, 1, {
      f,
      ns: row.checkpoint_ns,
      id: row.checkpoint_id,
      epoch: row.epoch,
      run_id: row.run_id,
      parent: row.parent_checkpoint_id,
      metadata: row.metadata,
      blobs: row.blobs,
      checkpoint: row.checkpoint,
      ...this.#bytesOf(packInline(row.inline)),
    });
  }

  #write(f: number, row: Extract<FencedWrite, { kind: "writes" }>["rows"][number]): void {
    const key = JSON.stringify([f, row.checkpoint_ns, row.checkpoint_id, row.task_id, row.idx, row.epoch]);
    if (row.idx >= 0 && this.#writes.has(key)) return;
    this.#writes.set(key, {
      f,
      ns: row.checkpoint_ns,
      id: row.checkpoint_id,
      task: row.task_id,
      idx: row.idx,
      epoch: row.epoch,
      run_id: row.run_id,
      path: row.task_path,
      channel: row.channel,
      type: row.value.type,
      ...this.#bytesOf(row.value.bytes),
    });
  }

  #bytesOf(bytes: Uint8Array): { o: number; l: number } {
    const o = this.#bytes;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    return { o, l: bytes.length };
  }
}

/** `CheckpointRepository.takeBack`. */
export async function takeBack(database: Database, fence: Fence, checkpointNs: string): Promise<boolean> {
  const row = await database.row<{ done: boolean }>("select fractal.take_back_writes_v1($1, $2, $3, $4) as done", [
    uuid(fence.threadId),
    uuid(fence.runId),
    fence.epoch,
    checkpointNs,
  ]);
  return row?.done === true;
}
