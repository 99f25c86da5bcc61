import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nameId } from "@fractal-agents/infra/ids";
import { JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import { GroupCommit } from "#core/checkpoints/group-commit";
import type { CheckpointRepository, StoredCheckpoint } from "#core/checkpoints/repository";
import { createSaver, type FencedSaver, type SaverOptions } from "#core/checkpoints/saver";
import { bindGraph } from "#core/graphs/bind";
import type { GraphLike } from "#core/graphs/registry";
import { ANONYMOUS } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import { openTestStorage, storageUnderTest } from "../servers/storage.ts";
import { MemoryRepository } from "./memory-repository.ts";

/** The port in its simplest form, and the storage under test. */
export const ENGINES = ["memory", storageUnderTest] as const;
export type Engine = (typeof ENGINES)[number];

const NAMESPACE = "0b0f5c1e-6c0a-4f0e-9d55-5f0b6f1a7c11";

/** A UUID that a test can call by name: threads, runs and whoever writes have no other ids. */
export function idOf(name: string): string {
  return nameId(name, NAMESPACE);
}

/** A storage, its group commit, and graphs bound to savers on it. */
export class World implements AsyncDisposable {
  readonly repository: CheckpointRepository;
  readonly commits: GroupCommit;
  readonly serde = new JsonPlusSerializer();
  /** Takes a thread's lane from whoever holds it. */
  readonly grant: (threadId: string, runId: string) => Promise<Fence>;
  readonly #close: () => Promise<void>;
  #runs = 0;

  private constructor(repository: CheckpointRepository, grant: World["grant"], close: () => Promise<void>) {
    this.repository = repository;
    this.commits = new GroupCommit(repository);
    this.grant = grant;
    this.#close = close;
  }

  static async open(engine: Engine): Promise<World> {
    if (engine === "memory") {
      const repository = new MemoryRepository();
      const grant = async (threadId: string, runId: string) => repository.grant(threadId, runId);
      return new World(repository, grant, async () => undefined);
    }
    const dir = await mkdtemp(join(tmpdir(), "fractal-checkpoints-"));
    const storage = await openTestStorage(dir);
    const held = new Map<string, Fence>();
    const grant = async (threadId: string, runId: string) => {
      await storage.threads.insert(ANONYMOUS, { thread_id: threadId, metadata: {} });
      const before = held.get(threadId);
      if (before !== undefined) await storage.lanes.abandon(before);
      const fence = await storage.lanes.acquire(ANONYMOUS, threadId, { writer_id: runId });
      if (typeof fence === "string") throw new Error(`lane of ${threadId}: ${fence}`);
      held.set(threadId, fence);
      return fence;
    };
    return new World(storage.checkpoints, grant, async () => {
      await storage[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.commits.flush();
    await this.#close();
  }

  /** A saver of a new run of the thread, which takes the lane over; the first run is `idOf("run-1")`. */
  async saver(threadId: string, options: Partial<SaverOptions> = {}): Promise<FencedSaver> {
    const runId = idOf(`run-${++this.#runs}`);
    return this.reader({ fence: await this.grant(threadId, runId), runId, ...options });
  }

  reader(options: Partial<SaverOptions> = {}): FencedSaver {
    return createSaver({
      repository: this.repository,
      commits: this.commits,
      scope: ANONYMOUS,
      checkpointScope: "",
      serde: this.serde,
      ...options,
    });
  }

  bind(graph: unknown, saver: FencedSaver): GraphLike {
    return bindGraph(graph as GraphLike, { checkpointer: saver });
  }

  /** Everything stored of a thread, newest first. */
  stored(threadId: string): Promise<StoredCheckpoint[]> {
    return this.repository.list(ANONYMOUS, { thread_id: threadId });
  }

  /** Large values of a thread, each once: "channel version". */
  async blobs(threadId: string): Promise<string[]> {
    const named = (await this.stored(threadId)).flatMap(({ row }) =>
      Object.entries(row.blobs).map(([channel, version]) => `${row.checkpoint_ns} ${channel} ${version}`),
    );
    return [...new Set(named)];
  }
}

/** Runs a graph to its end and gives the last values event. */
export async function run(graph: GraphLike, input: unknown, config: Record<string, unknown>): Promise<unknown> {
  let last: unknown;
  for await (const values of await graph.stream(input, { streamMode: "values", ...config })) last = values;
  return last;
}

export function thread(
  threadId: string,
  more: Record<string, unknown> = {},
): { configurable: Record<string, unknown> } {
  return { configurable: { thread_id: threadId, ...more } };
}
