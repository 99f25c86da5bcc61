import { newId } from "@fractal-agents/infra/ids";
import type { Logger } from "@fractal-agents/infra/logger";
import type { GroupCommit } from "#core/checkpoints/group-commit";
import { toStored } from "#core/checkpoints/namespace";
import type { StoredCheckpoint } from "#core/checkpoints/repository";
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
import type { JsonObject } from "#schemas/common";
import type { StateUpdate, StateUpdated } from "#schemas/state";
import type { Superstep, Thread, ThreadState } from "#schemas/threads";
import { HistoryCache, historyKey } from "./history-cache.ts";
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
    const { graph } = await this.#open(scope, access, { accessContext: "threads.read" });
    const config = { configurable: this.#configurable(access) };
    const snapshot: StateSnapshot = await graph.getState(config, { subgraphs: query.subgraphs ?? false });
    return toThreadState(snapshot);
  }

  /**
   * JSON text of the list, newest first; the root namespace of the scope unless a checkpoint names another. States that
   * were told before are not made again.
   */
  async history(scope: AuthScope, threadId: string, query: HistoryQuery): Promise<string> {
    const thread = await this.#thread(scope, threadId);
    const access = await this.#find(scope, thread, query);
    if (access === undefined) return "[]";
    const stored = await this.#deps.checkpoints.list(scope, {
      thread_id: threadId,
      checkpoint_ns: toStored(access.place.checkpointScope, access.namespace ?? ""),
      checkpoint_id: access.checkpoint?.checkpoint_id ?? undefined,
      before: query.before,
      filter: query.metadata,
      limit: query.limit,
    });
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
    return `[${texts.filter((text) => text !== undefined).join(",")}]`;
  }

  /** Lets the graph make the states of these checkpoints; by checkpoint id. */
  async #tell(scope: AuthScope, access: Access, stored: StoredCheckpoint[]): Promise<Map<string, string>> {
    const { checkpoints } = this.#deps;
    // The saver reads the rows that are here already; anything else it asks the storage.
    const rows: Storage["checkpoints"] = {
      ...checkpoints,
      get: (asker, query) => checkpoints.get(asker, query),
      ancestors: (asker, query) => checkpoints.ancestors(asker, query),
      list: async () => stored,
    };
    const { graph } = await this.#open(scope, access, { accessContext: "threads.read", shareReads: true, rows });
    const config = { configurable: { ...this.#configurable(access), checkpoint_ns: access.namespace ?? "" } };
    const memo: WireMemo = new Map();
    const texts = new Map<string, string>();
    for await (const snapshot of graph.getStateHistory(config)) {
      const state = toThreadState(snapshot, memo);
      if (state.checkpoint?.checkpoint_id != null) texts.set(state.checkpoint.checkpoint_id, encodeJson(state));
    }
    return texts;
  }

  /**
   * RuntimeError conflict while a run is pending or running, bad_request when no graph is known for the thread, invalid
   * when the graph refuses the update. If the process dies after the checkpoint is stored, the state is written and
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
  ): Promise<{ graph: GraphLike; saver: FencedSaver; toolkit: GraphToolkit }> {
    const { checkpoints, commits, graphs } = this.#deps;
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
      shareReads,
    });
    return { graph: bindGraph(shared, { checkpointer: saver }), saver, toolkit };
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
      const config = await apply(opened.graph, opened.toolkit).catch((error: unknown) => {
        throw saver?.failure ?? refused(error);
      });
      await saver.settled();
      await this.#complete(fence, place.checkpointScope, opened.graph);
      return config;
    } catch (error) {
      saver?.close(error);
      await saver?.idle();
      await this.#deps.lanes.abandon(fence);
      if (error instanceof LeaseLostError) throw busy();
      throw error;
    }
  }

  async #acquire(scope: AuthScope, threadId: string): Promise<Fence> {
    const fence = await this.#deps.lanes.acquire(scope, threadId, {
      writer_id: newId(),
      worker_id: this.#deps.workerId(),
    });
    if (fence === "busy") throw busy();
    if (fence === "no_thread") throw noThread(threadId);
    return fence;
  }

  /** Thread values, interrupts and status follow the new state, in the transaction that frees the lane. */
  async #complete(fence: Fence, checkpointScope: string, graph: GraphLike): Promise<void> {
    const { threadId } = fence;
    const snapshot: StateSnapshot = await graph.getState({ configurable: { thread_id: threadId } });
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

function noThread(threadId: string): RuntimeError {
  return new RuntimeError("not_found", `Thread ${threadId} not found`);
}

function busy(): RuntimeError {
  return new RuntimeError("conflict", "Thread is busy with a running job. Cannot update state.");
}

/** What langgraph or a reducer says of the values is for the person who sent them. */
function refused(error: unknown): unknown {
  if (error instanceof RuntimeError || error instanceof LeaseLostError) return error;
  const { message } = error as Error;
  return new RuntimeError("invalid", `The update was refused: ${message}`, { cause: error });
}

/** Commands must be of the graph's own copy of langgraph. */
function commandOf(command: JsonObject, toolkit: GraphToolkit): unknown {
  const targets = command.goto == null ? undefined : [command.goto].flat();
  const goto = targets?.map((target) => {
    if (typeof target === "string") return target;
    const { node, input } = target as { node: string; input?: unknown };
    return new toolkit.Send(node, input);
  });
  return new toolkit.Command({
    ...(command.update != null && { update: command.update }),
    ...(command.resume !== undefined && { resume: command.resume }),
    ...(goto !== undefined && { goto }),
  });
}
