import { describe, expect, it } from "bun:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import type { FencedSaver } from "#core/checkpoints/saver";
import { ENGINES, idOf, World } from "../checkpoints/world.ts";

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

function withThread<T extends RunnableConfig>(config: T, threadId: string): T {
  return { ...config, configurable: { ...config.configurable, thread_id: threadId } };
}

/**
 * The suite writes to threads as it likes and lists over all of them; a FencedSaver belongs to one. So every thread that
 * turns up gets a lane and a saver of its own. Some of its threads are called "1" or "thread-1", where the server has UUIDs.
 */
class AnyThread extends BaseCheckpointSaver {
  readonly #world: World;
  readonly #savers = new Map<string, Promise<FencedSaver>>();
  readonly #scope: string;
  /** By the UUID: what the suite calls a thread. */
  readonly #names = new Map<string, string>();

  constructor(world: World, scope: string) {
    super();
    this.#world = world;
    this.#scope = scope;
  }

  close(): Promise<void> {
    return this.#world[Symbol.asyncDispose]();
  }

  #of(config: RunnableConfig): Promise<FencedSaver> {
    const threadId = config.configurable?.thread_id as string | undefined;
    const known = this.#savers.get(threadId ?? "");
    if (known !== undefined) return known;
    const saver = this.#world.saver(threadId ?? idOf("nowhere"), { checkpointScope: this.#scope });
    if (threadId !== undefined) this.#savers.set(threadId, saver);
    return saver;
  }

  #idOf(threadId: string): string {
    if (UUID.test(threadId)) return threadId;
    const id = idOf(threadId);
    this.#names.set(id, threadId);
    return id;
  }

  #inside<T extends RunnableConfig>(config: T): T {
    const threadId = config.configurable?.thread_id as string | undefined;
    return threadId ? withThread(config, this.#idOf(threadId)) : config;
  }

  #outside<T extends RunnableConfig>(config: T): T {
    const name = this.#names.get(config.configurable?.thread_id);
    return name === undefined ? config : withThread(config, name);
  }

  #told(tuple: CheckpointTuple): CheckpointTuple {
    const { config, parentConfig } = tuple;
    return {
      ...tuple,
      config: this.#outside(config),
      ...(parentConfig && { parentConfig: this.#outside(parentConfig) }),
    };
  }

  override async getTuple(asked: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const config = this.#inside(asked);
    const tuple = await (await this.#of(config)).getTuple(config);
    return tuple && this.#told(tuple);
  }

  override async *list(asked: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    const config = this.#inside(asked);
    const threadId = config.configurable?.thread_id as string | undefined;
    const { limit, before, ...rest } = options ?? {};
    const filter = { ...rest, ...(before && { before: this.#inside(before) }) };
    let left = limit ?? Number.POSITIVE_INFINITY;
    for (const id of threadId === undefined ? [...this.#savers.keys()] : [threadId]) {
      const one = withThread(config, id);
      for await (const tuple of (await this.#of(one)).list(one, filter)) if (left-- > 0) yield this.#told(tuple);
    }
  }

  override async put(
    asked: RunnableConfig,
    ...args: [Checkpoint, CheckpointMetadata, ChannelVersions]
  ): Promise<RunnableConfig> {
    const config = this.#inside(asked);
    return this.#outside(await (await this.#of(config)).put(config, ...args));
  }

  override async putWrites(asked: RunnableConfig, ...args: [PendingWrite[], string, string?]): Promise<void> {
    const config = this.#inside(asked);
    return (await this.#of(config)).putWrites(config, ...args);
  }

  override async deleteThread(threadId: string): Promise<void> {
    const id = this.#idOf(threadId);
    return (await this.#of(withThread({}, id))).deleteThread(id);
  }

  override async getDeltaChannelHistory(query: { config: RunnableConfig; channels: string[] }) {
    const config = this.#inside(query.config);
    return (await this.#of(config)).getDeltaChannelHistory({ ...query, config });
  }
}

const home = process.env.CONFORMANCE_HOME ?? import.meta.dir;
const suite = join(home, "node_modules/@langchain/langgraph-checkpoint-validation/dist/index.js");

/** vitest's expect takes functions where bun:test wants their promise, and knows soft assertions. */
function likeVitest(value: unknown) {
  const assertion = expect(value);
  if (typeof value !== "function") return assertion;
  return new Proxy(assertion, {
    get: (target, key) => (key === "rejects" ? expect(value()).rejects : Reflect.get(target, key, target)),
  });
}

if (existsSync(suite)) {
  // bun:test's globals cannot be replaced, so the suite's modules get an `expect` of their own.
  Object.assign(globalThis, {
    vitestExpect: Object.assign(likeVitest, { soft: expect, arrayContaining: expect.arrayContaining }),
  });
  Bun.plugin({
    name: "vitest-expect",
    setup(build) {
      build.onLoad({ filter: /checkpoint-validation\/dist\/spec\/\w+\.js$/ }, async ({ path }) => ({
        contents: `const expect = globalThis.vitestExpect;\n${await readFile(path, "utf8")}`,
        loader: "js",
      }));
    },
  });
  const { deltaChannelHistoryTests, specTest } = await import(suite);
  for (const engine of ENGINES) {
    for (const scope of ["", "assistant:11111111-1111-4111-8111-111111111111"]) {
      const initializer = {
        checkpointerName: `FencedSaver (${engine}, ${scope === "" ? "shared" : "isolated"})`,
        createCheckpointer: async () => new AnyThread(await World.open(engine), scope),
        destroyCheckpointer: (saver: AnyThread) => saver.close(),
      };
      specTest(initializer);
      deltaChannelHistoryTests(initializer);
    }
  }
} else {
  describe("Upstream's checkpointer suite", () => {
    it.skip("needs `npm ci --prefix apps/ts/tests/conformance`", () => undefined);
  });
}
