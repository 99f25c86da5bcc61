import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { Command, Send } from "@langchain/langgraph";
import { JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import { v5 as uuid5, v7 as uuid7 } from "uuid";
import { GroupCommit } from "#core/checkpoints/group-commit";
import { createSaver } from "#core/checkpoints/saver";
import { RuntimeError } from "#core/errors";
import { bindGraph } from "#core/graphs/bind";
import type { GraphLike, GraphRegistry, Isolation } from "#core/graphs/registry";
import { ANONYMOUS } from "#core/identity/scope";
import type { EventRow, RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { readRunState } from "#core/threads/run-state";
import { type HistoryQuery, StateService } from "#core/threads/state";
import type { Assistant } from "#schemas/assistants";
import type { ThreadState } from "#schemas/threads";
import { enlist } from "../contract/harness.ts";
import { openTestStorage } from "../servers/storage.ts";
import { idOf } from "./world.ts";

const NAMESPACE = "6ba7b821-9dad-11d1-80b4-00c04fd430c8";
const WORKER = idOf("worker-1");

interface Served {
  graph: unknown;
  isolation?: Isolation;
}

/** The registry's port over graphs that are at hand. */
function registryOf(graphs: Record<string, Served>): GraphRegistry {
  const info = (id: string) => {
    const served = graphs[id];
    return served && { id, isolation: served.isolation ?? "thread", revision: "1" };
  };
  const unused = () => Promise.reject(new Error("not part of these tests"));
  return {
    list: () => Object.keys(graphs).map((id) => ({ id, isolation: graphs[id]?.isolation ?? "thread", revision: "1" })),
    find: info,
    build: async (id) => {
      const served = graphs[id];
      if (served === undefined) throw new RuntimeError("not_found", `Graph "${id}" not found`);
      return served.graph as GraphLike;
    },
    toolkit: () => ({ Command, Send, RunControl: undefined, isGraphDrained: undefined, showsInterrupts: true, serde }),
    schemas: unused,
    subgraphs: unused,
    drawing: unused,
    systemAssistantId: (id) => uuid5(id, NAMESPACE),
  } as GraphRegistry;
}

const serde = new JsonPlusSerializer();

/** State service and runs over the storage under test, as the server puts them together. */
export class Platform implements AsyncDisposable {
  readonly storage: Storage;
  readonly commits: GroupCommit;
  readonly state: StateService;
  readonly graphs: GraphRegistry;
  readonly updates: EventRow[] = [];
  readonly #served: Record<string, Served>;
  readonly #dir: string;

  private constructor(storage: Storage, served: Record<string, Served>, dir: string) {
    this.storage = storage;
    this.#served = served;
    this.#dir = dir;
    this.graphs = registryOf(served);
    this.commits = new GroupCommit(storage.checkpoints);
    this.state = new StateService({
      threads: storage.threads,
      checkpoints: storage.checkpoints,
      lanes: storage.lanes,
      graphs: this.graphs,
      commits: this.commits,
      logger: createLogger({ level: "silent", json: true, write: () => undefined }),
      workerId: () => WORKER,
      assistants: { resolve: (_scope, id) => this.assistant(id) },
      onStateUpdate: (_threadId, event) => this.updates.push(event),
    });
  }

  static async open(served: Record<string, Served>): Promise<Platform> {
    const dir = await mkdtemp(join(tmpdir(), "fractal-state-"));
    const storage = await openTestStorage(dir);
    await enlist({ storage }, WORKER);
    return new Platform(storage, served, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.storage[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** Takes a graph out of the configuration. */
  withdraw(graphId: string): void {
    delete this.#served[graphId];
  }

  async assistant(idOrGraph: string): Promise<Assistant> {
    const id = this.#served[idOrGraph] === undefined ? idOrGraph : uuid5(idOrGraph, NAMESPACE);
    const found = await this.storage.assistants.find(ANONYMOUS, id);
    if (found !== undefined) return found;
    if (this.#served[idOrGraph] === undefined)
      throw new RuntimeError("not_found", `No assistant found for "${idOrGraph}"`);
    return this.makeAssistant(idOrGraph, id);
  }

  async makeAssistant(graphId: string, id: string = uuid7()): Promise<Assistant> {
    const empty = { name: graphId, description: null, config: {}, context: {}, metadata: {} };
    await this.storage.assistants.insert(ANONYMOUS, { assistant_id: id, graph_id: graphId, ...empty });
    return (await this.storage.assistants.find(ANONYMOUS, id)) as Assistant;
  }

  async thread(metadata: Record<string, unknown> = {}): Promise<string> {
    const threadId = uuid7();
    await this.storage.threads.insert(ANONYMOUS, { thread_id: threadId, metadata });
    return threadId;
  }

  async claim(threadId: string, assistant: Assistant): Promise<RunRecord> {
    const runId = uuid7();
    await this.storage.runs.create(ANONYMOUS, {
      run_id: runId,
      thread_id: threadId,
      assistant_id: assistant.assistant_id,
      graph_id: assistant.graph_id,
      revision: null,
      metadata: {},
      kwargs: {},
      multitask_strategy: "enqueue",
      durability: "async",
      stateless: false,
      on_completion: "keep",
      logged: false,
      after_seconds: 0,
      max_attempts: 3,
      idempotency_key: null,
      if_not_exists: "reject",
      thread_metadata: { graph_id: assistant.graph_id, assistant_id: assistant.assistant_id },
    });
    const claimed = await this.storage.runs.claimRun(
      { worker_id: WORKER, slots: 1, graphs: Object.keys(this.#served) },
      runId,
    );
    if (claimed === undefined) throw new Error("the run could not be claimed");
    return claimed;
  }

  /** As a client sees it. */
  async history(threadId: string, query: HistoryQuery): Promise<ThreadState[]> {
    const states: ThreadState[] = [];
    for await (const { items } of this.state.history(ANONYMOUS, threadId, query)) {
      states.push(...items.map((text) => JSON.parse(text)));
    }
    return states;
  }

  /** One whole run: claimed, executed, finished with its state. */
  async run(threadId: string, input: unknown, assistantOrGraph: string): Promise<void> {
    const assistant = await this.assistant(assistantOrGraph);
    const { run_id: runId, epoch } = await this.claim(threadId, assistant);
    const fence = { threadId, runId, epoch };
    const isolated = this.graphs.find(assistant.graph_id)?.isolation === "assistant";
    const checkpointScope = isolated ? `assistant:${assistant.assistant_id}` : "";
    const { checkpoints } = this.storage;
    const options = {
      repository: checkpoints,
      commits: this.commits,
      scope: ANONYMOUS,
      serde,
      acknowledge: "queued" as const,
    };
    const saver = createSaver({ ...options, fence, runId, checkpointScope });
    const graph = bindGraph(this.#served[assistant.graph_id]?.graph as GraphLike, { checkpointer: saver });
    for await (const _ of await graph.stream(input, { streamMode: "values", configurable: { thread_id: threadId } }));
    await saver.settled();
    const state = await readRunState(graph, threadId);
    await this.storage.runs.finish(fence, {
      status: "success",
      error: null,
      scope: checkpointScope,
      state,
      events: [],
    });
  }
}
