import { idempotencyKey } from "@fractal-agents/infra/idempotency";
import type { Logger } from "@fractal-agents/infra/logger";
import type { GroupCommit } from "#core/checkpoints/group-commit";
import { createSaver, type FencedSaver } from "#core/checkpoints/saver";
import { RuntimeError } from "#core/errors";
import { toPlain } from "#core/exact-numbers";
import { bindGraph } from "#core/graphs/bind";
import type { GraphLike, GraphRegistry, GraphToolkit } from "#core/graphs/registry";
import { withoutServerKeys } from "#core/graphs/server-keys";
import { ANONYMOUS, type AuthScope } from "#core/identity/scope";
import type { Storage } from "#core/storage";
import { ScopedStore } from "#core/store/langgraph-store";
import type { StoreTtl } from "#core/store/ttl";
import type { StoredId } from "#core/streams/checkpoint-events";
import type { Follower } from "#core/streams/follower";
import type { FeedHub } from "#core/streams/hub";
import { passOverRefused } from "#core/threads/read-snapshot";
import type { JsonObject } from "#schemas/common";
import { inputOf } from "./command.ts";
import type { RunHandle } from "./control.ts";
import type { RunKwargs } from "./create.ts";
import type { Deletions } from "./deletions.ts";
import type { Hints } from "./hints.ts";
import type { RunObserver } from "./observer.ts";
import { type Recovery, recover } from "./recover.ts";
import type { RunRecord } from "./repository.ts";
import { TransientSaver } from "./transient-saver.ts";
import { vanishedNode } from "./vanished-node.ts";

/** What the engine needs of its surroundings. */
export interface RunEnvironment {
  storage: Storage;
  graphs: GraphRegistry;
  commits: GroupCommit;
  hub: FeedHub;
  /** Feeds of runs that other processes execute. */
  follower: Follower;
  hints: Hints;
  deletions: Deletions;
  observer: RunObserver;
  logger: Logger;
  /** Aborted when the process gives up waiting (second deadline of a shutdown). */
  stopping: AbortSignal;
  delay(ms: number): Promise<void>;
  /** Of this process under its present lease. */
  workerId(): string | undefined;
  storeTtl: StoreTtl;
  /** Version of langgraph and of this server, told to graphs in their run metadata. */
  facts: { langgraphVersion: string };
}

/** Everything needed to call the graph, or to know that it must not be called. */
export interface Prepared {
  graph: GraphLike;
  toolkit: GraphToolkit;
  saver: { settled(): Promise<void>; close(reason: unknown): void };
  /** The same, where the thread's state is stored. */
  durable: FencedSaver | undefined;
  checkpointScope: string;
  /** Absent where nothing is stored. */
  storedId: StoredId | undefined;
  recovery: Recovery | "first";
  /** A node that the run would go on with and that the graph no longer has. */
  vanished: string | undefined;
  input: unknown;
  options: JsonObject;
}

/** Where a run's checkpoints live: the thread itself, or the assistant's own lineage on it. */
export function checkpointScopeOf(isolation: "thread" | "assistant", assistantId: string): string {
  return isolation === "assistant" ? `assistant:${assistantId}` : "";
}

/** The same for a run, whether or not its graph can be had now. */
export function scopeOfRun({ graphs }: Pick<RunEnvironment, "graphs">, run: RunRecord): string {
  return checkpointScopeOf(graphs.find(run.graph_id)?.isolation ?? "thread", run.assistant_id);
}

const NOTHING_IN_FLIGHT = { settled: async () => undefined, close: () => undefined };

export async function prepareRun(handle: RunHandle, env: RunEnvironment): Promise<Prepared> {
  const { run, fence } = handle;
  const kwargs = run.kwargs as unknown as RunKwargs;
  const scope: AuthScope = { tenant: run.tenant, owner: run.owner, permissions: [], filters: undefined };
  const info = env.graphs.find(run.graph_id);
  const checkpointScope = checkpointScopeOf(info?.isolation ?? "thread", run.assistant_id);
  const configurable = configurableOf(handle, kwargs);
  const metadata = metadataOf(handle, kwargs, env);
  const shared = await env.graphs.build(run.graph_id, {
    accessContext: "threads.create_run",
    config: { ...kwargs.config, configurable },
    context: kwargs.context,
  });
  const toolkit = env.graphs.toolkit(run.graph_id);
  const store = new ScopedStore({ items: env.storage.store, scope, ttl: env.storeTtl, fence, logger: env.logger });
  const durable = kwargs.transient
    ? undefined
    : createSaver({
        repository: env.storage.checkpoints,
        commits: env.commits,
        scope,
        fence,
        checkpointScope,
        serde: toolkit.serde,
        runId: run.run_id,
        metadata: { ...metadata, langgraph_request_id: kwargs.request_id },
        writer: { graph_id: run.graph_id, assistant_id: run.assistant_id },
        configurable,
        // The executor waits for everything to be stored before it tells anybody that the run is over.
        acknowledge: run.durability === "sync" ? "written" : "queued",
        onLost: (error) => handle.abort(error as Error),
      });
  const graph = bindGraph(shared, { checkpointer: durable ?? new TransientSaver(), store });
  const recovery =
    run.epoch > run.first_epoch && durable !== undefined
      ? await recover({ run, kwargs, fence, checkpoints: env.storage.checkpoints, scope, checkpointScope, graph })
      : "first";
  const control = toolkit.RunControl === undefined ? undefined : new toolkit.RunControl();
  if (control !== undefined) handle.attach(control);
  const goesOn = recovery === "continue";
  if (!goesOn) await requireFork(durable, configurable);
  if (durable !== undefined) await passOverRefused({ graph, saver: durable, logger: env.logger }, run.thread_id);
  return {
    graph,
    toolkit,
    saver: durable ?? NOTHING_IN_FLIGHT,
    durable,
    checkpointScope,
    storedId: durable && ((id, ns) => durable.storedId(id, ns)),
    recovery,
    vanished: goesOn && durable !== undefined ? await vanishedNode(graph, durable, run.thread_id) : undefined,
    input: goesOn
      ? null
      : await inputOf(kwargs, { graphId: run.graph_id, graph, toolkit, configurable, logger: env.logger }),
    options: {
      ...optionsOf(handle, kwargs, metadata),
      configurable: goesOn ? withoutFork(configurable) : configurable,
      ...(control !== undefined && { control }),
    },
  };
}

/** Server-set keys win over whatever the request says. */
function configurableOf(handle: RunHandle, kwargs: RunKwargs): JsonObject {
  const { run } = handle;
  const { checkpoint_ns: ns, ...asked } = withoutServerKeys(kwargs.config.configurable ?? {});
  return {
    ...asked,
    ...(ns ? { checkpoint_ns: ns } : {}),
    run_id: run.run_id,
    thread_id: run.thread_id,
    graph_id: run.graph_id,
    assistant_id: run.assistant_id,
    // Every key is copied dozens of times in a run: nobody's identity is not worth it.
    ...(run.owner === ANONYMOUS.owner ? undefined : { user_id: run.owner, langgraph_auth_user_id: run.owner }),
    langgraph_request_id: kwargs.request_id,
    // Called by nodes and tools with the config that they are given.
    fractal_idempotency_key: idempotencyKey,
    ...(kwargs.strict_resume === true && { __pregel_strict_resume: true }),
  };
}

/** langgraph takes a checkpoint that is not there for an empty one, and the thread's state would be replaced. */
async function requireFork(saver: FencedSaver | undefined, configurable: JsonObject): Promise<void> {
  const { checkpoint_id: id, thread_id } = configurable;
  if (saver === undefined || id === undefined || id === null) return;
  if ((await saver.getTuple({ configurable })) === undefined) {
    throw new RuntimeError("not_found", `Checkpoint ${id} not found on thread ${thread_id}`);
  }
}

/** The run has moved on from the checkpoint it was forked from. */
function withoutFork(configurable: JsonObject): JsonObject {
  const { checkpoint_id: _id, checkpoint_ns: _ns, checkpoint_map: _map, ...rest } = configurable;
  return rest;
}

/** What langgraph is told of the run, and what stands with each of its checkpoints. */
function metadataOf({ run }: RunHandle, kwargs: RunKwargs, env: RunEnvironment): JsonObject {
  return {
    ...kwargs.config.metadata,
    ...toPlain(run.metadata),
    run_id: run.run_id,
    thread_id: run.thread_id,
    run_attempt: run.attempt,
    langgraph_version: env.facts.langgraphVersion,
    langgraph_host: "self-hosted",
    langgraph_plan: "developer",
  };
}

function optionsOf(handle: RunHandle, kwargs: RunKwargs, metadata: JsonObject): JsonObject {
  const { run, signal } = handle;
  const { config } = kwargs;
  return {
    runId: run.run_id,
    // What traces and events call the graph itself.
    runName: typeof config.run_name === "string" ? config.run_name : run.graph_id,
    signal,
    durability: run.durability,
    metadata,
    ...(config.tags !== undefined && { tags: config.tags }),
    ...(config.recursion_limit !== undefined && { recursionLimit: config.recursion_limit }),
    ...(kwargs.context !== undefined && { context: kwargs.context }),
    ...(kwargs.interrupt_before !== undefined && { interruptBefore: kwargs.interrupt_before }),
    ...(kwargs.interrupt_after !== undefined && { interruptAfter: kwargs.interrupt_after }),
  };
}
