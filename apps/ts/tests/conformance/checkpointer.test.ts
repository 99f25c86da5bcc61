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
import { ENGINES, World } from "../checkpoints/world.ts";

/**
 * The suite writes to threads as it likes and lists over all of them; a FencedSaver belongs to one. So every thread that
 * turns up gets a lane and a saver of its own.
 */
class AnyThread extends BaseCheckpointSaver {
  readonly #world: World;
  readonly #savers = new Map<string, Promise<FencedSaver>>();
  readonly #scope: string;

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
    const saver = this.#world.saver(threadId ?? "nowhere", { checkpointScope: this.#scope });
    if (threadId !== undefined) this.#savers.set(threadId, saver);
    return saver;
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return (await this.#of(config)).getTuple(config);
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    const threadId = config.configurable?.thread_id as string | undefined;
    const { limit, ...rest } = options ?? {};
    let left = limit ?? Number.POSITIVE_INFINITY;
    for (const id of threadId === undefined ? [...this.#savers.keys()] : [threadId]) {
      const one = { ...config, configurable: { ...config.configurable, thread_id: id } };
      for await (const tuple of (await this.#of(one)).list(one, rest)) if (left-- > 0) yield tuple;
    }
  }

  override async put(
    ...args: [RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions]
  ): Promise<RunnableConfig> {
    return (await this.#of(args[0])).put(...args);
  }

  override async putWrites(...args: [RunnableConfig, PendingWrite[], string, string?]): Promise<void> {
    return (await this.#of(args[0])).putWrites(...args);
  }

  override async deleteThread(threadId: string): Promise<void> {
    return (await this.#of({ configurable: { thread_id: threadId } })).deleteThread(threadId);
  }

  override async getDeltaChannelHistory(query: { config: RunnableConfig; channels: string[] }) {
    return (await this.#of(query.config)).getDeltaChannelHistory(query);
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
