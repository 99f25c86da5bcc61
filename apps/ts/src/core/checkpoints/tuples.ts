import type { RunnableConfig } from "@langchain/core/runnables";
import {
  type Checkpoint,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  type DeltaChannelHistory,
  emptyCheckpoint,
  maxChannelVersion,
  TASKS,
} from "@langchain/langgraph-checkpoint";
import type { Codec } from "#core/checkpoints/codec";
import type { CheckpointRepository, Encoded, WriteRow } from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import type { Base } from "./layout.ts";
import { fromStored, stripKeys } from "./namespace.ts";
import { attempt, NULL_TASK_ID, type Salvage } from "./salvage.ts";

/** Decoded blobs by channel and version, shared between the tuples of one list. */
export type Shared = Map<string, unknown>;

interface ReadOptions {
  shared?: Shared | undefined;
  salvage?: Salvage | undefined;
}

interface Reading {
  repository: Pick<CheckpointRepository, "get">;
  scope: AuthScope;
  checkpointScope: string;
}

/** Turns stored checkpoints into what langgraph reads. */
export class TupleReader {
  readonly #reading: Reading;
  readonly #codec: Codec;

  constructor(reading: Reading, codec: Codec) {
    this.#reading = reading;
    this.#codec = codec;
  }

  async read(base: Base, writes: readonly WriteRow[], { shared, salvage }: ReadOptions = {}): Promise<CheckpointTuple> {
    const { row } = base;
    const parsed = salvage && (await attempt(() => parseObject(row.checkpoint), { salvage, what: "The checkpoint" }));
    const checkpoint: Checkpoint =
      salvage === undefined
        ? JSON.parse(row.checkpoint)
        : { ...emptyCheckpoint(), ts: "", ...parsed?.value, id: row.checkpoint_id };
    // A reader may apply null-task writes to the values it got, so those are its own.
    const sharing = writes.some((write) => write.task_id === NULL_TASK_ID) ? undefined : shared;
    checkpoint.channel_values = await this.#values(base, { shared: sharing, salvage });
    if (checkpoint.v < 4 && row.parent_checkpoint_id !== null) await this.#migrateSends(checkpoint, base);
    const told =
      salvage === undefined
        ? { value: JSON.parse(row.metadata) }
        : await attempt(() => parseObject(row.metadata), { salvage, what: "The checkpoint's metadata" });
    const metadata = (told?.value ?? {}) as CheckpointMetadata;
    if (metadata.parents !== undefined) {
      metadata.parents = stripKeys(this.#reading.checkpointScope, metadata.parents);
    }
    const tuple: CheckpointTuple = {
      config: this.#config(row.thread_id, row.checkpoint_ns, row.checkpoint_id),
      checkpoint,
      metadata,
      pendingWrites: await this.#writes(writes, salvage),
    };
    if (row.parent_checkpoint_id !== null) {
      tuple.parentConfig = this.#config(row.thread_id, row.checkpoint_ns, row.parent_checkpoint_id);
    }
    return tuple;
  }

  async history(
    found: Record<string, { writes: WriteRow[]; seed: Encoded | undefined }>,
    channels: readonly string[],
    salvage?: Salvage,
  ): Promise<Record<string, DeltaChannelHistory>> {
    const result: Record<string, DeltaChannelHistory> = {};
    for (const channel of channels) {
      const entry = found[channel];
      const history: DeltaChannelHistory = {
        writes: entry === undefined ? [] : await this.#writes(entry.writes, salvage),
      };
      const { seed } = entry ?? {};
      if (seed !== undefined) {
        const read = await attempt(() => this.#codec.decode(seed), { salvage, what: `Channel "${channel}"` });
        if (read !== undefined) history.seed = read.value;
      }
      result[channel] = history;
    }
    return result;
  }

  #config(threadId: string, ns: string, checkpointId: string): RunnableConfig {
    const namespace = fromStored(this.#reading.checkpointScope, ns);
    return { configurable: { thread_id: threadId, checkpoint_ns: namespace, checkpoint_id: checkpointId } };
  }

  async #values(base: Base, { shared, salvage }: ReadOptions): Promise<Record<string, unknown>> {
    const values: Record<string, unknown> = {};
    for (const [channel, slot] of base.slots) {
      const key = slot.blob === undefined ? undefined : `${base.row.checkpoint_ns} ${channel} ${slot.blob}`;
      if (shared !== undefined && key !== undefined && shared.has(key)) {
        values[channel] = shared.get(key);
        continue;
      }
      if (salvage !== undefined) {
        const read = await attempt(() => this.#codec.decode(slot.encoded), { salvage, what: `Channel "${channel}"` });
        if (read !== undefined) values[channel] = read.value;
        continue;
      }
      const decoded = this.#codec.decode(slot.encoded);
      values[channel] = decoded instanceof Promise ? await decoded : decoded;
      if (shared !== undefined && key !== undefined) shared.set(key, values[channel]);
    }
    return values;
  }

  async #writes(rows: readonly WriteRow[], salvage?: Salvage): Promise<CheckpointPendingWrite[]> {
    const writes: CheckpointPendingWrite[] = [];
    for (const row of rows) {
      if (salvage !== undefined) {
        const what = `A write to channel "${row.channel}"`;
        const read = await attempt(() => this.#codec.decode(row.value), { salvage, what });
        if (read !== undefined) writes.push([row.task_id, row.channel, read.value]);
        continue;
      }
      const value = this.#codec.decode(row.value);
      writes.push([row.task_id, row.channel, value instanceof Promise ? await value : value]);
    }
    return writes;
  }

  /** Formats before 4 kept the packets for the next step as writes of the parent. */
  async #migrateSends(checkpoint: Checkpoint, base: Base): Promise<void> {
    const { repository, scope } = this.#reading;
    const parent = await repository.get(scope, {
      thread_id: base.row.thread_id,
      checkpoint_ns: base.row.checkpoint_ns,
      checkpoint_id: base.row.parent_checkpoint_id ?? "",
    });
    const sends = (parent?.writes ?? []).filter((write) => write.channel === TASKS);
    checkpoint.channel_values[TASKS] = (await this.#writes(sends)).map(([, , value]) => value);
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_versions[TASKS] = versions.length > 0 ? maxChannelVersion(...versions) : 1;
  }
}

function parseObject(json: string): object {
  const value: unknown = JSON.parse(json);
  if (typeof value === "object" && value !== null) return value;
  throw new TypeError("it is not a JSON object");
}
