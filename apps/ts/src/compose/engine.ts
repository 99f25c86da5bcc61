import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { describeModel } from "@fractal-agents/graphs/models/names";
import type { Logger } from "@fractal-agents/infra/logger";
import { createApp } from "#app";
import type { Config } from "#config";
import { AssistantService } from "#core/assistants/service";
import { GroupCommit } from "#core/checkpoints/group-commit";
import type { GraphRegistry } from "#core/graphs/registry";
import type { RunEnvironment } from "#core/runs/prepare";
import { RunService } from "#core/runs/service";
import { Worker } from "#core/runs/worker";
import type { Storage } from "#core/storage";
import type { FeedHub } from "#core/streams/hub";
import { ThreadService } from "#core/threads/service";
import { StateService } from "#core/threads/state";
import type { Facts } from "#routes/info";
import type { Router } from "#routes/router";
import { runRoutes } from "#routes/runs";
import { stateRoutes } from "#routes/state";
import { statelessRunRoutes } from "#routes/stateless-runs";

export interface EngineDeps {
  config: Config;
  version: string;
  logger: Logger;
  storage: Storage;
  graphs: GraphRegistry;
  hub: FeedHub;
  /** Aborts when a stop gives up waiting. */
  stopping: AbortSignal;
}

export interface Engine {
  worker: Worker;
  assistants: AssistantService;
  app: Router;
}

/** Services over the ports, and the routes over the services. Opens and starts nothing. */
export function createEngine(deps: EngineDeps): Engine {
  const { config, storage, graphs, logger, hub, stopping } = deps;
  const facts = describe(deps);
  const commits = new GroupCommit(storage.checkpoints);
  const env: RunEnvironment = {
    storage,
    graphs,
    commits,
    hub,
    logger,
    stopping,
    delay: (ms) => delay(ms, undefined, { signal: stopping }),
    facts: { langgraphVersion: facts.langgraphVersion },
  };
  const worker = new Worker(env, {
    slots: config.concurrency,
    timeoutSeconds: config.runTimeoutSeconds,
    cancelGraceMs: config.cancelGraceSeconds * 1_000,
  });
  const assistants: AssistantService = new AssistantService({
    assistants: storage.assistants,
    graphs,
    runs: { cancelOfAssistant: (scope, assistantId) => runs.cancelOfAssistant(scope, assistantId) },
    seeds: config.seeds,
  });
  const runs = new RunService({ env, worker, assistants, maxAttempts: config.maxAttempts });
  const state = new StateService({
    threads: storage.threads,
    checkpoints: storage.checkpoints,
    lanes: storage.lanes,
    commits,
    logger,
    graphs,
    assistants,
    workerId: worker.id,
  });
  const threads = new ThreadService({ threads: storage.threads, state, runs });
  const calls = { runs, logger, endEvent: config.streamEndEvent };
  const app = createApp(
    {
      assistants,
      threads,
      store: storage.store,
      graphs,
      storage,
      facts,
      edges: [stateRoutes(state), runRoutes(calls), statelessRunRoutes(calls)],
    },
    {
      logger,
      cors: config.cors,
      bodyLimit: config.maxBodyBytes,
      storeTtl: config.storeTtlMinutes ?? undefined,
      disabled: config.disabled,
    },
  );
  return { worker, assistants, app };
}

function describe({ config, version }: EngineDeps): Facts {
  const model = describeModel(config.environment, { production: config.production });
  return {
    version,
    runtime: engineName().toLowerCase(),
    langgraphVersion: langgraphVersion(),
    build: { commit: config.buildCommit, date: config.buildDate ?? null },
    model: { name: model.problem === undefined ? model.name : null, fake: model.fake },
    capabilities: { crons: false, mcp: false, a2a: false, metrics: false, tracing: false },
    streamNamespaces: true,
    revision: config.revision ?? null,
    databaseConfigured: false,
  };
}

/** "Bun 1.4.4" or "Node 24.21.0". */
export function engineName(): string {
  return process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;
}

function langgraphVersion(): string {
  const manifest = createRequire(import.meta.url)("@langchain/langgraph/package.json") as { version: string };
  return manifest.version;
}
