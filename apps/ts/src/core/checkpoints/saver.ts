import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type DeltaChannelHistory,
  type PendingWrite,
  WRITES_IDX_MAP,
} from "@langchain/langgraph-checkpoint";
import { type Codec, codecOf, type Serde } from "#core/checkpoints/codec";
import type { GroupCommit } from "#core/checkpoints/group-commit";
import type {
  CheckpointRepository,
  CheckpointWriter,
  Encoded,
  FencedWrite,
  WriteRow,
} from "#core/checkpoints/repository";
import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { JsonObject } from "#schemas/common";
import { CheckpointIds } from "./ids.ts";
import { type Base, baseOf, checkpointText, layOut } from "./layout.ts";
import { inScope, stripKeys, toStored } from "./namespace.ts";
import { isLeftUpdate, type Salvage, withoutLeftOut } from "./salvage.ts";
import { type Known, SaverMemory } from "./saver-memory.ts";
import { SaverQueue } from "./saver-queue.ts";
import { type Shared, TupleReader } from "./tuples.ts";

export interface SaverOptions {
  repository: CheckpointRepository;
  commits: GroupCommit;
  /** Who asks. */
  scope: AuthScope;
  /** "" or "assistant:<id>": where in the thread the checkpoints stand. */
  checkpointScope: string;
  /** Of the graph's own copy of langgraph (GraphToolkit.serde). */
  serde: Serde;
  /** The lane that writes are made under. Without it the saver only reads. */
  fence?: Fence | undefined;
  /** Recorded with checkpoints and writes; absent for state writes outside a run. */
  runId?: string | undefined;
  /** Stored with each checkpoint's metadata, below langgraph's own keys. */
  metadata?: JsonObject | undefined;
  /** The same, above them: langgraph hands on what it found at the checkpoint before, which another graph may have written. */
  writer?: CheckpointWriter | undefined;
  /**
   * "queued": put and putWrites resolve when the value is taken, not when it is stored, so that a run's writes share
   * transactions. Only for durability async and exit, and whoever runs the graph must await settled() before it reports
   * anything as done. Default "written".
   */
  acknowledge?: "written" | "queued" | undefined;
  /** Called once, before the failing call rejects, when a write was fenced off or failed for good. */
  onLost?: ((error: unknown) => void) | undefined;
  /** `configurable` of the request: the checkpoints that it names are stored ones, whether or not they are read. */
  configurable?: JsonObject | undefined;
  /** Reads share decoded values between checkpoints of a list. Only for readers that change nothing (history). */
  shareReads?: boolean | undefined;
}

type PutArguments = [RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions];
/** Config, writes, task id, task path. */
type WritesArguments = [RunnableConfig, PendingWrite[], string, string?];

/**
 * The checkpointer of one run, state write or read. Namespaces carry the checkpoint scope on the way in and lose it on
 * the way out; every write carries the fence. What this saver wrote it also remembers, so a subgraph that comes back
 * and the final read of a run cost no query: under the fence nobody else can have written there.
 */
export class FencedSaver extends BaseCheckpointSaver {
  readonly #options: SaverOptions;
  readonly #codec: Codec;
  readonly #memory: SaverMemory;
  readonly #tuples: TupleReader;
  readonly #queue: SaverQueue;
  readonly #ids = new CheckpointIds();
  #salvage: Salvage | undefined;

  constructor(options: SaverOptions) {
    super(options.serde);
    this.#options = options;
    this.#codec = codecOf(options.serde);
    // The first holder of a lane finds a thread to which nobody has written.
    this.#memory = new SaverMemory(options.fence?.threadId, options.fence?.epoch === 1);
    this.#tuples = new TupleReader(options, this.#codec);
    this.#queue = new SaverQueue(options);
    const { checkpoint_id: id, checkpoint_map: map } = options.configurable ?? {};
    for (const named of [id, ...Object.values(map ?? {})]) {
      if (typeof named === "string") this.#ids.learn(undefined, named);
    }
  }

  /** The error of the first write that was lost, as given to onLost. */
  get failure(): unknown {
    return this.#queue.failure;
  }

  /** put and putWrites calls under way, the queued ones included. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** Resolves when no put or putWrites is under way. Never rejects. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** idle(), then rejects with the first failure if there was one: everything put before is stored. */
  settled(): Promise<void> {
    return this.#queue.settled();
  }

  /** Later writes reject with this reason; those under way go on. */
  close(reason: unknown): void {
    this.#queue.close(reason);
  }

  /** From now on reads leave out what cannot be used; undefined: they are whole again, or fail. */
  salvage(how: Salvage | undefined): void {
    this.#salvage = how;
  }

  /** The id of the newest checkpoint, when another run left updates on it that no task has written. */
  async leftUpdatesOn(config: RunnableConfig): Promise<string | undefined> {
    const found = await this.#find(config);
    const left = found?.writes.some((write) => isLeftUpdate(write, this.#options.runId));
    return left === true ? found?.base.row.checkpoint_id : undefined;
  }

  /** The id under which a checkpoint is stored that langgraph calls `id`, in events say. */
  storedId(id: string, namespace: string): string {
    return this.#ids.of(id, toStored(this.#options.checkpointScope, namespace));
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const found = await this.#find(config);
    if (found === undefined) return undefined;
    const options = { salvage: this.#salvage };
    return this.#met(found.base, await this.#tuples.read(found.base, this.#writesOf(found.writes), options));
  }

  async #find(config: RunnableConfig): Promise<Known | undefined> {
    const threadId: string | undefined = config.configurable?.thread_id;
    if (threadId === undefined) return undefined;
    const ns = toStored(this.#options.checkpointScope, config.configurable?.checkpoint_ns ?? "");
    const named: string | undefined = config.configurable?.checkpoint_id || undefined;
    const id = named && this.#ids.known(named);
    await this.#queue.encoded();
    const known = this.#memory.find(threadId, ns, id);
    if (known === "none") return undefined;
    if (known !== undefined) return known;
    await this.idle();
    const mark = this.#memory.mark(ns);
    const { repository, scope } = this.#options;
    const stored = await repository.get(scope, { thread_id: threadId, checkpoint_ns: ns, checkpoint_id: id });
    const found = stored && { base: baseOf(stored, this.#salvage?.problems), writes: stored.writes };
    if (found !== undefined) this.#memory.rememberBase(found.base);
    if (id === undefined && threadId === this.#options.fence?.threadId) this.#memory.rememberHead(ns, found, mark);
    return found;
  }

  #writesOf(writes: readonly WriteRow[]): readonly WriteRow[] {
    return this.#salvage === undefined ? writes : withoutLeftOut(writes, this.#salvage, this.#options.runId);
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    const threadId: string | undefined = config.configurable?.thread_id;
    if (threadId === undefined) return;
    const { checkpointScope, repository, scope } = this.#options;
    const namespace: string | undefined = config.configurable?.checkpoint_ns;
    const ns = namespace === undefined ? undefined : toStored(checkpointScope, namespace);
    const id: string | undefined = config.configurable?.checkpoint_id || undefined;
    const before: string | undefined = options?.before?.configurable?.checkpoint_id || undefined;
    await this.idle();
    let rows = await repository.list(scope, {
      thread_id: threadId,
      checkpoint_ns: ns,
      checkpoint_id: id && this.#ids.known(id),
      before: before && this.#ids.known(before),
      filter: options?.filter,
      // Over all namespaces the scope is filtered here, so the limit is too.
      limit: ns === undefined ? undefined : options?.limit,
    });
    if (ns === undefined) {
      rows = rows.filter((stored) => inScope(checkpointScope, stored.row.checkpoint_ns)).slice(0, options?.limit);
    }
    const shared: Shared | undefined = this.#options.shareReads === true ? new Map() : undefined;
    for (const stored of rows) {
      const base = baseOf(stored);
      yield this.#met(base, await this.#tuples.read(base, stored.writes, { shared }));
    }
  }

  override put(...[config, checkpoint, metadata, newVersions]: PutArguments): Promise<RunnableConfig> {
    return this.#queue.admit(() => this.#put(config, { checkpoint, metadata, newVersions }));
  }

  #put(
    config: RunnableConfig,
    given: { checkpoint: Checkpoint; metadata: CheckpointMetadata; newVersions: ChannelVersions },
  ): Promise<RunnableConfig> {
    const { checkpoint, newVersions } = given;
    const fence = this.#fenceFor(config, "checkpoint");
    const { checkpointScope } = this.#options;
    const namespace: string = config.configurable?.checkpoint_ns ?? "";
    const ns = toStored(checkpointScope, namespace);
    const parent: string | undefined = config.configurable?.checkpoint_id || undefined;
    const parentId = parent === undefined ? null : this.#ids.of(parent, ns);
    const checkpointId = this.#ids.of(checkpoint.id, ns);
    const channels = Object.keys(checkpoint.channel_values);
    // Everything is read now: the graph goes on and may change its values.
    const changed = channels.filter((channel) => Object.hasOwn(newVersions, channel));
    const encoded = this.#encodeAll(changed.map((channel) => [channel, checkpoint.channel_values[channel]]));
    const texts = { checkpointText: checkpointText(checkpoint), metadataText: this.#metadataText(given.metadata) };
    const carries = changed.length < channels.length && parentId !== null;
    const known = carries ? this.#memory.base(ns, parentId) : undefined;
    const make = (parent: Base | undefined): FencedWrite => {
      const made = layOut(
        {
          thread_id: fence.threadId,
          checkpoint_ns: ns,
          checkpoint_id: checkpointId,
          parent_checkpoint_id: parentId,
          checkpoint,
          metadata: given.metadata,
          ...texts,
          encoded: new Map(changed.map((channel, i) => [channel, encoded[i] as Encoded])),
          run_id: this.#options.runId ?? null,
          fence,
        },
        channels,
        parent,
      );
      this.#memory.added({ row: made.row, slots: made.slots });
      return made.write;
    };
    const written = this.#queue.submit(
      carries && known === undefined ? async () => make(await this.#loadBase(ns, parentId)) : () => make(known),
    );
    const result = {
      configurable: { thread_id: fence.threadId, checkpoint_ns: namespace, checkpoint_id: checkpointId },
    };
    return written.then(() => result);
  }

  override putWrites(...[config, writes, taskId, taskPath = ""]: WritesArguments): Promise<void> {
    return this.#queue.admit(() => this.#putWrites(config, writes, { taskId, taskPath }));
  }

  #putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    task: { taskId: string; taskPath: string },
  ): Promise<void> {
    const fence = this.#fenceFor(config, "writes");
    const named: string | undefined = config.configurable?.checkpoint_id;
    if (!named) throw new RuntimeError("invalid", "Writes need the checkpoint_id that they belong to");
    const ns = toStored(this.#options.checkpointScope, config.configurable?.checkpoint_ns ?? "");
    const checkpointId = this.#ids.of(named, ns);
    const channels = writes.map(([channel]) => channel);
    const encoded = this.#encodeAll(writes);
    const make = (): FencedWrite => {
      const rows = channels.map((channel, i): WriteRow => {
        return {
          thread_id: fence.threadId,
          checkpoint_ns: ns,
          checkpoint_id: checkpointId,
          task_id: task.taskId,
          // A channel may be called "constructor".
          idx: Object.hasOwn(WRITES_IDX_MAP, channel) ? (WRITES_IDX_MAP[channel] as number) : i,
          task_path: task.taskPath,
          channel,
          value: encoded[i] as Encoded,
          run_id: this.#options.runId ?? null,
          epoch: fence.epoch,
        };
      });
      this.#memory.wrote(ns, checkpointId, rows);
      return { kind: "writes", fence, rows };
    };
    return this.#queue.submit(make);
  }

  override async deleteThread(threadId: string): Promise<void> {
    await this.idle();
    this.#memory.clear();
    await this.#options.repository.deleteThread(this.#options.scope, threadId);
  }

  override async getDeltaChannelHistory(query: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const { config, channels } = query;
    const threadId: string | undefined = config.configurable?.thread_id;
    const empty = () => Object.fromEntries(channels.map((channel) => [channel, { writes: [] }]));
    if (channels.length === 0 || threadId === undefined) return empty();
    const ns = toStored(this.#options.checkpointScope, config.configurable?.checkpoint_ns ?? "");
    const id: string | undefined =
      config.configurable?.checkpoint_id || (await this.getTuple(config))?.config.configurable?.checkpoint_id;
    if (id === undefined) return empty();
    await this.idle();
    const { repository, scope } = this.#options;
    const found = await repository.ancestors(scope, {
      thread_id: threadId,
      checkpoint_ns: ns,
      checkpoint_id: this.#ids.known(id),
      channels,
    });
    return this.#tuples.history(found, channels, this.#salvage);
  }

  /** The fence, when a write to this thread may be made now. */
  #fenceFor(config: RunnableConfig, what: string): Fence {
    const threadId: string | undefined = config.configurable?.thread_id;
    if (!threadId) throw new RuntimeError("invalid", `A ${what} needs a "thread_id" in config.configurable`);
    const { fence } = this.#options;
    if (fence === undefined)
      throw new RuntimeError("conflict", `This checkpointer only reads: no ${what} can be stored`);
    if (fence.threadId !== threadId) {
      throw new RuntimeError("conflict", `This run owns thread ${fence.threadId}, not thread ${threadId}`);
    }
    return fence;
  }

  #encodeAll(values: PendingWrite[]): Encoded[] {
    return values.map(([channel, value]) => this.#codec.encode(value, channel));
  }

  #metadataText(metadata: CheckpointMetadata): string {
    const { checkpointScope, metadata: extra, writer } = this.#options;
    const { parents } = metadata;
    if (parents === undefined) return JSON.stringify({ ...extra, ...metadata, ...writer });
    const stored = Object.entries(stripKeys(checkpointScope, parents)).map(([ns, id]) => [ns, this.storedId(id, ns)]);
    return JSON.stringify({ ...extra, ...metadata, ...writer, parents: Object.fromEntries(stored) });
  }

  /** Notes the ids of a checkpoint that is given to langgraph: none of them is new. */
  #met({ row: { checkpoint_ns: ns } }: Base, tuple: CheckpointTuple): CheckpointTuple {
    if (this.#options.fence === undefined) return tuple;
    const { config, checkpoint, parentConfig, metadata } = tuple;
    this.#ids.learn(ns, checkpoint.id, config.configurable?.checkpoint_id);
    if (parentConfig !== undefined) this.#ids.learn(ns, parentConfig.configurable?.checkpoint_id);
    for (const parent of Object.values(metadata?.parents ?? {})) this.#ids.learn(undefined, parent);
    return tuple;
  }

  async #loadBase(ns: string, checkpointId: string): Promise<Base | undefined> {
    const { fence, commits, repository, scope } = this.#options;
    if (fence !== undefined) await commits.drained(fence.runId);
    const query = { thread_id: fence?.threadId ?? "", checkpoint_ns: ns, checkpoint_id: checkpointId };
    const stored = await repository.get(scope, query);
    return stored === undefined ? undefined : baseOf(stored);
  }
}

/** A saver for one run (with a fence), or for one read. */
export function createSaver(options: SaverOptions): FencedSaver {
  return new FencedSaver(options);
}
