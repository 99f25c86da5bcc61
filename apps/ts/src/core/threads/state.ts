import { newId } from "@fractal-agents/infra/ids";
import type { Logger } from "@fractal-agents/infra/logger";
import { answerTooLarge, OneAtATime } from "#core/answers";
import type { GroupCommit } from "#core/checkpoints/group-commit";
import { toStored } from "#core/checkpoints/namespace";
import { PIECE, weightOf } from "#core/checkpoints/pieces";
import type { CheckpointQuery, CheckpointRow, StoredCheckpoint } from "#core/checkpoints/repository";
import { createSaver, type FencedSaver, type SaverOptions } from "#core/checkpoints/saver";
import { LeaseLostError, RuntimeError } from "#core/errors";
import { bindGraph } from "#core/graphs/bind";
import { mergeRunConfig } from "#core/graphs/merge";
import type { GraphAccess, GraphLike, GraphToolkit } from "#core/graphs/registry";
import { encodeJson } from "#core/graphs/wire";
import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { EventRow, LaneRepository } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import type { JsonObject, Page } from "#schemas/common";
import type { StateUpdate, StateUpdated } from "#schemas/state";
import type { Superstep, Thread, ThreadState } from "#schemas/threads";
import { HistoryCache, historyKey } from "./history-cache.ts";
import { isReadable, readSnapshot, type SnapshotReader, salvageAll } from "./read-snapshot.ts";
import { type Place, type PlaceDeps, StatePlaces } from "./state-place.ts";
import {
  type CheckpointRef,
  checkpointOf,
  emptyState,
  type StateSnapshot,
  toRunState,
  toThreadState,
  type WireMemo,
} from "./state-snapshot.ts";
import { commandOf, refused } from "./state-update.ts";

export interface StateServiceDeps extends Pick<PlaceDeps, "assistants" | "graphs"> {
  threads: Pick<Storage["threads"], "find" | "lastScope">;
  checkpoints: Storage["checkpoints"];
  lanes: LaneRepository;
  commits: GroupCommit;
  logger: Logger;
  /** Of this process under its present lease: a state write whose worker is gone is taken over like a run. */
  workerId(): string | undefined;
  /** Told after a state write, for those who watch the thread. */
  onStateUpdate?: ((threadId: string, event: EventRow) => void) | undefined;
}

export interface StateQuery {
  subgraphs?: boolean | undefined;
  checkpoint?: CheckpointRef | undefined;
  assistant_id?: string | undefined;
}

export interface HistoryQuery {
  limit: number;
  /** Only checkpoints older than this one. */
  before?: string | undefined;
  metadata?: JsonObject | undefined;
  checkpoint?: CheckpointRef | undefined;
  assistant_id?: string | undefined;
  /** Of all states together; one alone may be larger. */
  max_bytes?: number | undefined;
}

/** `assistant_id`: whose lineage is written, as in StateQuery. */
export type StateWrite = Partial<StateUpdate> & Pick<StateQuery, "assistant_id">;

interface Access {
  threadId: string;
  place: Place;
  namespace: string | undefined;
  checkpoint: CheckpointRef | undefined;
}

interface OpenOptions extends Pick<GraphAccess, "accessContext">, Pick<SaverOptions, "fence" | "shareReads"> {
  /** In place of the storage's own checkpoints. */
  rows?: Storage["checkpoints"] | undefined;
}

type Written = { configurable?: Record<string, unknown> };
type Apply = (graph: GraphLike, toolkit: GraphToolkit) => Promise<Written>;

export class StateService {
  readonly #deps: StateServiceDeps;
  readonly #told = new HistoryCache();
  readonly #large = new OneAtATime();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #places: StatePlaces;

  constructor(deps: StateServiceDeps) {
    this.#deps = deps;
    this.#places = new StatePlaces(deps);
  }

  /** RuntimeError not_found: no such thread, checkpoint, assistant or graph. */
  async get(scope: AuthScope, threadId: string, query: StateQuery = {}): Promise<ThreadState> {
    const thread = await this.#thread(scope, threadId);
    const access = await this.#find(scope, thread, query);
    if (access === undefined) return emptyState();
    const reader = await this.#open(scope, access, { accessContext: "threads.read" });
    const config = { configurable: this.#configurable(access) };
    return toThreadState(await readSnapshot(reader, config, { subgraphs: query.subgraphs ?? false }));
  }

  /**
   * JSON texts of the states, newest first, in pieces of bounded work; the root namespace of the scope unless a checkpoint
   * names another. States that were told before are not made again. RuntimeError invalid when all together are too large.
   */
  async *history(scope: AuthScope, threadId: string, query: HistoryQuery): AsyncGenerator<Page<string>> {
    const { checkpoints } = this.#deps;
    const thread = await this.#thread(scope, threadId);
    const access = await this.#find(scope, thread, query);
    if (access === undefined) return;
    const wanted = {
      thread_id: threadId,
      checkpoint_ns: toStored(access.place.checkpointScope, access.namespace ?? ""),
      checkpoint_id: access.checkpoint?.checkpoint_id ?? undefined,
      before: query.before,
      filter: query.metadata,
      limit: query.limit,
    };
    const { max_bytes: most = Number.POSITIVE_INFINITY } = query;
    let first = true;
    for await (const { items, more } of checkpoints.pieces(scope, wanted)) {
      if (first && more) {
        const bytes = await checkpoints.weigh(scope, wanted);
        if (bytes > most) throw answerTooLarge(bytes, most);
      }
      first = false;
      const texts = () => this.#texts(scope, access, items);
      const heavy = items.reduce((sum, stored) => sum + weightOf(stored), 0) > PIECE.bytes;
      yield { items: await (heavy ? this.#large.run(texts) : texts()), more };
    }
  }

  async #texts(scope: AuthScope, access: Access, stored: StoredCheckpoint[]): Promise<string[]> {
    const keys = stored.map((each) => historyKey(each, access.place));
    const texts = keys.map((key) => this.#told.get(key));
    const unknown = stored.filter((_, i) => texts[i] === undefined);
    if (unknown.length > 0) {
      const made = await this.#tell(scope, access, unknown);
      for (let i = 0; i < stored.length; i++) {
        if (texts[i] !== undefined) continue;
        const text = made.get((stored[i] as StoredCheckpoint).row.checkpoint_id);
        texts[i] = text;
        if (text !== undefined) this.#told.set(keys[i] as string, text);
      }
    }
    return texts.filter((text) => text !== undefined);
  }

  /** Lets the graph make the states of these checkpoints; by checkpoint id. */
  async #tell(scope: AuthScope, access: Access, stored: StoredCheckpoint[]): Promise<Map<string, string>> {
    const { checkpoints } = this.#deps;
    // The saver reads the rows that are here already; anything else it asks the storage.
    const rows: Storage["checkpoints"] = {
      ...checkpoints,
      get: async (asker, query) => stored.find(({ row }) => isAt(row, query)) ?? (await checkpoints.get(asker, query)),
      ancestors: (asker, query) => checkpoints.ancestors(asker, query),
      list: async () => stored,
    };
    const reader = await this.#open(scope, access, { accessContext: "threads.read", shareReads: true, rows });
    const config = { configurable: { ...this.#configurable(access), checkpoint_ns: access.namespace ?? "" } };
    const memo: WireMemo = new Map();
    const texts = new Map<string, string>();
    const add = (snapshot: StateSnapshot) => {
      const state = toThreadState(snapshot, memo);
      if (state.checkpoint?.checkpoint_id != null) texts.set(state.checkpoint.checkpoint_id, encodeJson(state));
    };
    try {
      for await (const snapshot of reader.graph.getStateHistory(config)) add(snapshot);
    } catch (error) {
      if (error instanceof RuntimeError) throw error;
      // One that cannot be read ends the list: from here on each is read by itself.
      for (const { row } of stored.slice(texts.size)) {
        const at = { configurable: { ...config.configurable, checkpoint_id: row.checkpoint_id } };
        add(await readSnapshot(reader, at));
      }
    }
    return texts;
  }

  /**
   * RuntimeError conflict while a run is pending or running, bad_request when no graph is known for the thread or
   * the graph refuses the update. If the process dies after the checkpoint is stored, the state is written and
   * only the thread's cached values are behind, until the next run or write.
   */
  async update(scope: AuthScope, threadId: string, update: StateWrite): Promise<StateUpdated> {
    const thread = await this.#thread(scope, threadId);
    const checkpoint = {
      ...update.checkpoint,
      checkpoint_id: update.checkpoint?.checkpoint_id ?? update.checkpoint_id,
    };
    const access = await this.#writable(scope, thread, { checkpoint, assistant_id: update.assistant_id });
    const config = await this.#write(scope, access, (graph) =>
      graph.updateState({ configurable: this.#configurable(access) }, update.values ?? null, update.as_node),
    );
    const made = checkpointOf(config);
    if (made === null) throw new Error(`The update of thread ${threadId} gave no checkpoint`);
    return { checkpoint: made, configurable: made, checkpoint_id: made.checkpoint_id ?? "" };
  }

  /** Each superstep is one state update of several nodes, in order; all under one hold of the lane. */
  async bulkUpdate(scope: AuthScope, threadId: string, supersteps: Superstep[]): Promise<void> {
    const access = await this.#writable(scope, await this.#thread(scope, threadId), {});
    await this.#write(scope, access, (graph, toolkit) =>
      graph.bulkUpdateState(
        { configurable: this.#configurable(access) },
        supersteps.map(({ updates }) => ({
          updates: updates.map(({ values, command, as_node }) => ({
            values: command == null ? values : commandOf(command, toolkit),
            asNode: as_node,
          })),
        })),
      ),
    );
  }

  async #thread(scope: AuthScope, threadId: string): Promise<Thread> {
    const thread = await this.#deps.threads.find(scope, threadId);
    if (thread === undefined) throw noThread(threadId);
    return thread;
  }

  async #find(scope: AuthScope, thread: Thread, query: StateQuery): Promise<Access | undefined> {
    const { checkpoint, assistant_id: assistantId } = query;
    const checkpointId = checkpoint?.checkpoint_id ?? undefined;
    if (checkpoint === undefined || checkpointId === undefined) {
      const place = await this.#places.find(scope, thread, assistantId);
      return place && { threadId: thread.thread_id, place, namespace: checkpoint?.checkpoint_ns, checkpoint };
    }
    const { place, namespace } = await this.#places.locate(scope, thread, { checkpoint, checkpointId, assistantId });
    return place && { threadId: thread.thread_id, place, namespace, checkpoint };
  }

  async #writable(scope: AuthScope, thread: Thread, query: StateQuery): Promise<Access> {
    const access = await this.#find(scope, thread, query);
    if (access !== undefined) return access;
    throw new RuntimeError(
      "bad_request",
      `Thread ${thread.thread_id} has no graph id: run it once, or set metadata.graph_id`,
    );
  }

  /** What addresses the state; the server's own keys win over the assistant's. */
  #configurable(access: Access): JsonObject {
    const { checkpoint, namespace, place, threadId } = access;
    return {
      ...mergeRunConfig({ assistant: place.assistant }).config.configurable,
      thread_id: threadId,
      graph_id: place.graphId,
      ...(place.assistant !== undefined && { assistant_id: place.assistant.assistant_id }),
      ...(namespace !== undefined && { checkpoint_ns: namespace }),
      ...(checkpoint?.checkpoint_id != null && { checkpoint_id: checkpoint.checkpoint_id }),
      ...(checkpoint?.checkpoint_map != null && { checkpoint_map: checkpoint.checkpoint_map }),
    };
  }

  async #open(
    scope: AuthScope,
    access: Access,
    options: OpenOptions,
  ): Promise<SnapshotReader & { toolkit: GraphToolkit }> {
    const { checkpoints, commits, graphs, logger } = this.#deps;
    const { accessContext, fence, shareReads, rows } = options;
    const { graphId, assistant, checkpointScope } = access.place;
    const merged = mergeRunConfig({ assistant });
    const shared = await graphs.build(graphId, {
      accessContext,
      config: { ...merged.config, configurable: this.#configurable(access) },
      context: merged.context,
    });
    const toolkit = graphs.toolkit(graphId);
    const saver = createSaver({
      repository: rows ?? checkpoints,
      commits,
      scope,
      checkpointScope,
      serde: toolkit.serde,
      fence,
      writer: { graph_id: graphId, ...(assistant !== undefined && { assistant_id: assistant.assistant_id }) },
      configurable: this.#configurable(access),
      shareReads,
    });
    return { graph: bindGraph(shared, { checkpointer: saver }), saver, logger, toolkit };
  }

  /** Resolves when no state write of this process is under way: each lives by the lease of its worker. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.allSettled(this.#writing);
  }

  async #write(scope: AuthScope, access: Access, apply: Apply): Promise<Written> {
    const writing = this.#writeHolding(scope, access, apply);
    this.#writing.add(writing);
    try {
      return await writing;
    } finally {
      this.#writing.delete(writing);
    }
  }

  /** Takes the lane as a run would, writes, and leaves thread and lane as a run would. */
  async #writeHolding(scope: AuthScope, access: Access, apply: Apply): Promise<Written> {
    const { threadId, place } = access;
    // A graph that cannot be built must not cost the lane a turn.
    await this.#deps.graphs.build(place.graphId, { accessContext: "threads.update", config: {} });
    const fence = await this.#acquire(scope, threadId);
    let saver: FencedSaver | undefined;
    try {
      const opened = await this.#open(scope, access, { accessContext: "threads.update", fence });
      saver = opened.saver;
      const config = await this.#apply(opened, access, () => apply(opened.graph, opened.toolkit));
      await saver.settled();
      await this.#complete(fence, place.checkpointScope, opened);
      return config;
    } catch (error) {
      saver?.close(error);
      await saver?.idle();
      await this.#deps.lanes.abandon(fence).catch((failure: unknown) => {
        this.#deps.logger.warn({ thread_id: threadId, err: failure }, "lane not freed; trying again");
      });
      if (error instanceof LeaseLostError) throw busy();
      throw error;
    }
  }

  /** What cannot be read of the state must not keep it from being written anew. */
  async #apply<T>(reader: SnapshotReader, access: Access, write: () => Promise<T>): Promise<T> {
    const { saver, logger } = reader;
    const failed = (error: unknown): never => {
      throw saver.failure ?? refused(error);
    };
    return write().catch(async (error: unknown) => {
      if (saver.failure !== undefined || error instanceof RuntimeError) failed(error);
      if (await isReadable(reader, { configurable: this.#configurable(access) })) failed(error);
      logger.warn({ thread_id: access.threadId, err: error }, "unreadable state overwritten");
      salvageAll(saver);
      return write().catch(failed);
    });
  }

  async #acquire(scope: AuthScope, threadId: string): Promise<Fence> {
    const fence = await this.#deps.lanes.acquire(scope, threadId, {
      writer_id: newId(),
      worker_id: this.#deps.workerId(),
    });
    if (fence === "busy") throw busy();
    if (fence !== "no_thread") return fence;
    // The thread of a stateless run is nobody else's to write, and is seen while the run goes on.
    throw (await this.#deps.threads.find(scope, threadId)) === undefined ? noThread(threadId) : busy();
  }

  /** Thread values, interrupts and status follow the new state, in the transaction that frees the lane. */
  async #complete(fence: Fence, checkpointScope: string, reader: SnapshotReader): Promise<void> {
    const { threadId } = fence;
    const snapshot = await readSnapshot(reader, { configurable: { thread_id: threadId } });
    const event: EventRow = {
      epoch: fence.epoch,
      n: 0,
      run_id: null,
      ns: "",
      mode: "state_update",
      at: Date.now(),
      data: JSON.stringify({ state: toThreadState(snapshot), thread_id: threadId }),
    };
    const change = { scope: checkpointScope, state: toRunState(snapshot), metadata: {}, events: [event] };
    const thread = await this.#deps.lanes.complete(fence, change);
    if (thread === "fenced") throw new LeaseLostError(threadId, fence.runId);
    this.#deps.onStateUpdate?.(threadId, event);
    this.#deps.logger.debug({ thread_id: threadId, epoch: fence.epoch }, "thread state was written");
  }
}

function isAt(row: CheckpointRow, query: CheckpointQuery): boolean {
  return row.checkpoint_id === query.checkpoint_id && row.checkpoint_ns === query.checkpoint_ns;
}

function noThread(threadId: string): RuntimeError {
  return new RuntimeError("not_found", `Thread ${threadId} not found`);
}

function busy(): RuntimeError {
  return new RuntimeError("conflict", "Thread is busy with a running job. Cannot update state.");
}
