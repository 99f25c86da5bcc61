import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  compareWritesSortKeys,
  copyCheckpoint,
  type PendingWrite,
  WRITES_IDX_MAP,
  writesSortKey,
} from "@langchain/langgraph-checkpoint";

interface Config {
  configurable?: Record<string, unknown>;
}

interface Entry {
  checkpoint: Checkpoint;
  metadata: CheckpointMetadata;
  parentId: string | undefined;
  /** Place in the order of the puts: the clock that ids come from may be set back meanwhile. */
  order: number;
}

interface Write {
  taskId: string;
  idx: number;
  path: string;
  channel: string;
  value: unknown;
}

/**
 * State of one stateless run, for as long as it runs: `interrupt()` and subgraphs work, nothing is serialised, nothing
 * survives. Values are held by reference, as LangGraph's own channels hold them.
 */
export class TransientSaver extends BaseCheckpointSaver {
  readonly #spaces = new Map<string, Map<string, Entry>>();
  #puts = 0;
  /** By namespace and checkpoint id; apart from the entries, because writes may arrive before their checkpoint. */
  readonly #writes = new Map<string, Map<string, Write>>();

  override async getTuple(config: Config): Promise<CheckpointTuple | undefined> {
    const { ns, id } = address(config);
    const space = this.#spaces.get(ns);
    const key = id ?? newest(space);
    const entry = key === undefined ? undefined : space?.get(key);
    return entry && this.#tuple(config, { ns, entry });
  }

  override async *list(config: Config, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    const { ns, id } = address(config);
    const before = options?.before === undefined ? undefined : this.#orderOf(address(options.before).id);
    let left = options?.limit ?? Number.POSITIVE_INFINITY;
    const entries = [...(this.#spaces.get(ns)?.values() ?? [])];
    entries.sort((a, b) => b.order - a.order);
    for (const entry of entries) {
      if (id !== undefined && entry.checkpoint.id !== id) continue;
      if (before !== undefined && entry.order >= before) continue;
      if (left-- <= 0) return;
      yield this.#tuple(config, { ns, entry });
    }
  }

  // biome-ignore lint/complexity/useMaxParams: the signature is langgraph's
  override async put(
    config: Config,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    _versions?: ChannelVersions,
  ) {
    const { ns, id } = address(config);
    const space = this.#spaces.get(ns) ?? new Map<string, Entry>();
    this.#spaces.set(ns, space);
    const order = space.get(checkpoint.id)?.order ?? this.#puts++;
    space.set(checkpoint.id, { checkpoint: copyOf(checkpoint), metadata, parentId: id, order });
    return { configurable: { ...config.configurable, checkpoint_ns: ns, checkpoint_id: checkpoint.id } };
  }

  // biome-ignore lint/complexity/useMaxParams: the signature is langgraph's
  override async putWrites(config: Config, writes: PendingWrite[], taskId: string, taskPath = ""): Promise<void> {
    const { ns, id } = address(config);
    const place = `${ns} ${id}`;
    const kept = this.#writes.get(place) ?? new Map<string, Write>();
    this.#writes.set(place, kept);
    writes.forEach(([channel, value], position) => {
      // A channel may be called "constructor".
      const idx = Object.hasOwn(WRITES_IDX_MAP, channel) ? (WRITES_IDX_MAP[channel] as number) : position;
      const key = `${taskId},${idx}`;
      // A special write replaces the earlier one; an ordinary write of a finished task stands.
      if (idx < 0 || !kept.has(key)) kept.set(key, { taskId, idx, path: taskPath, channel, value });
    });
  }

  override async deleteThread(_threadId: string): Promise<void> {
    this.#spaces.clear();
    this.#writes.clear();
  }

  /** An unknown checkpoint sorts after all others. */
  #orderOf(checkpointId: string | undefined): number {
    for (const space of this.#spaces.values()) {
      const entry = checkpointId === undefined ? undefined : space.get(checkpointId);
      if (entry !== undefined) return entry.order;
    }
    return Number.POSITIVE_INFINITY;
  }

  #tuple(config: Config, { ns, entry }: { ns: string; entry: Entry }): CheckpointTuple {
    const base = { ...config.configurable, checkpoint_ns: ns };
    const writes = [...(this.#writes.get(`${ns} ${entry.checkpoint.id}`)?.values() ?? [])].sort((a, b) =>
      compareWritesSortKeys(writesSortKey(a.path, a.taskId, a.idx), writesSortKey(b.path, b.taskId, b.idx)),
    );
    const { parentId } = entry;
    return {
      config: { configurable: { ...base, checkpoint_id: entry.checkpoint.id } },
      // Channels take the values over and may fill the object; the stored one stays as it was put.
      checkpoint: copyOf(entry.checkpoint),
      metadata: entry.metadata,
      pendingWrites: writes.map((w): CheckpointPendingWrite => [w.taskId, w.channel, w.value]),
      ...(parentId !== undefined && { parentConfig: { configurable: { ...base, checkpoint_id: parentId } } }),
    };
  }
}

/** Copies of langgraph before 0.4 keep the packets for the next step in the checkpoint; ours does not know the field. */
function copyOf(checkpoint: Checkpoint): Checkpoint {
  const { pending_sends: sends } = checkpoint as { pending_sends?: unknown[] };
  return { ...copyCheckpoint(checkpoint), ...(sends !== undefined && { pending_sends: [...sends] }) };
}

function address(config: Config): { ns: string; id: string | undefined } {
  const { checkpoint_ns: ns, checkpoint_id: id } = config.configurable ?? {};
  return { ns: typeof ns === "string" ? ns : "", id: typeof id === "string" && id !== "" ? id : undefined };
}

/** Ids stand in the order of their puts. */
function newest(space: Map<string, Entry> | undefined): string | undefined {
  return [...(space?.keys() ?? [])].at(-1);
}
