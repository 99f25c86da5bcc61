import { createRequire } from "node:module";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { describeModel } from "@fractal-agents/graphs/models/names";
import type { Logger } from "@fractal-agents/infra/logger";
import { type AppOptions, createApp, type Services } from "#app";
import type { Config } from "#config";
import { AssistantService } from "#core/assistants/service";
import { GroupCommit } from "#core/checkpoints/group-commit";
import type { GraphRegistry } from "#core/graphs/registry";
import { ClaimableGraphs } from "#core/runs/claimable";
import { Deletions } from "#core/runs/deletions";
import { Hints } from "#core/runs/hints";
import type { RunEnvironment } from "#core/runs/prepare";
import { RunService } from "#core/runs/service";
import { Sweeper } from "#core/runs/sweeper";
import { within } from "#core/runs/within";
import { Worker } from "#core/runs/worker";
import { Follower } from "#core/streams/follower";
import type { FeedHub } from "#core/streams/hub";
import { ThreadService } from "#core/threads/service";
import { StateService } from "#core/threads/state";
import type { Facts } from "#routes/info";
import type { Router } from "#routes/router";
import { runRoutes } from "#routes/runs";
import { stateRoutes } from "#routes/state";
import { statelessRunRoutes } from "#routes/stateless-runs";
import type { Readiness } from "#routes/system";
import { Unread } from "#routes/unread";
import { servesShipped } from "./graphs.ts";
import { createMetrics } from "./metrics.ts";
import { logRuns } from "./run-log.ts";
import type { OpenedStorage } from "./storage.ts";

/** Parts of the API that only processes serve which are there for clients. */
const WORK = ["assistants", "threads", "runs", "store"];

export interface EngineDeps {
  config: Config;
  version: string;
  logger: Logger;
  storage: OpenedStorage;
  graphs: GraphRegistry;
  hub: FeedHub;
  /** Aborts when a stop gives up waiting. */
  stopping: AbortSignal;
  /** Told what becomes of this process's lease; asked by /ready. */
  readiness?: (Readiness & { leased: boolean }) | undefined;
  /** Told the worker's id with every lease. */
  onLease?: ((workerId: string) => void) | undefined;
  /** Worker of the process before this one, which is known to be gone: nobody need wait for its lease to run out. */
  predecessor?: string | undefined;
}

export interface Engine {
  worker: Worker;
  assistants: AssistantService;
  app: Router;
  /** The same for the graphs of this process, which need it whole in a worker too. */
  inProcess: Router;
  /** Takes a lease, takes over what processes that are gone left behind, and looks for work. Call once. */
  begin(): Promise<void>;
  /** Stops claiming, and hands back what has not yielded after `graceMs`. Streams go on until their feeds are suspended. */
  drain(reason: string, graceMs: number): Promise<void>;
  /** Stops reading for streams; the last step before the storage is closed. */
  close(): void;
}

/** Services over the ports, and the routes over the services. Opens and starts nothing. */
export function createEngine(deps: EngineDeps): Engine {
  const { config, storage, graphs, logger, hub, stopping } = deps;
  const facts = describe(deps);
  const commits = new GroupCommit(storage.checkpoints);
  const follower = new Follower({
    events: storage.events,
    signals: storage.signals,
    timeline: storage.timeline,
    hub,
    logger,
  });
  const metrics = createMetrics({
    storage: {
      counts: () => storage.runs.counts(),
      totals: () => storage.totals(),
      fenceRefusals: () => commits.refusals,
      connections: storage.connections && (() => storage.connections as NonNullable<typeof storage.connections>),
    },
    slots: () => (config.role === "api" ? undefined : { max: worker.slots, running: worker.running }),
    logger,
  });
  const hints = new Hints(storage.signals, { shared: storage.shared, always: config.role === "api" });
  const env: RunEnvironment = {
    storage,
    graphs,
    commits,
    hub,
    follower,
    hints,
    deletions: new Deletions(storage.signals, hints),
    observer: logRuns(metrics.observer, logger),
    logger,
    stopping,
    delay: (ms) => delay(ms, undefined, { signal: stopping }),
    workerId: () => worker.id,
    storeTtl: config.storeTtl,
    facts: { langgraphVersion: facts.langgraphVersion },
  };
  const claimable = new ClaimableGraphs(graphs);
  const cancelGraceMs = config.cancelGraceSeconds * 1_000;
  const worker = new Worker(
    env,
    {
      slots: config.role === "api" ? 0 : config.concurrency,
      timeoutSeconds: config.runTimeoutSeconds,
      cancelGraceMs,
      claimable,
    },
    {
      info: { instance: `${hostname()}:${process.pid}`, role: config.role, version: deps.version },
      onLease: (workerId) => {
        if (deps.readiness !== undefined) deps.readiness.leased = workerId !== undefined;
        if (workerId !== undefined) deps.onLease?.(workerId);
      },
    },
  );
  const sweeper = new Sweeper(env, { cancelGraceMs, claimable }, () => worker.lookForSuspects());
  const assistants: AssistantService = new AssistantService({
    assistants: storage.assistants,
    graphs,
    runs: {
      cancelOfAssistant: (...asked) => runs.cancelOfAssistant(...asked),
      removeOfAssistant: (...asked) => runs.removeOfAssistant(...asked),
    },
    seeds: config.seeds,
  });
  const threadTtl = config.threadTtl && { strategy: config.threadTtl.strategy, ttl_minutes: config.threadTtl.minutes };
  const runs = new RunService({ env, worker, assistants, maxAttempts: config.maxAttempts, threadTtl });
  const state = new StateService({
    threads: storage.threads,
    checkpoints: storage.checkpoints,
    lanes: storage.lanes,
    commits,
    logger,
    graphs,
    assistants,
    workerId: () => worker.id,
  });
  const threads = new ThreadService({ threads: storage.threads, state, runs, defaultTtl: threadTtl });
  const calls = { runs, logger, endEvent: config.streamEndEvent, streams: metrics.streams, unread: new Unread() };
  const services: Services = {
    assistants,
    threads,
    store: storage.store,
    graphs,
    storage,
    facts,
    readiness: deps.readiness,
    metrics,
    edges: [stateRoutes(state, calls), runRoutes(calls), statelessRunRoutes(calls)],
  };
  const options: AppOptions = {
    logger,
    logsRequests: config.logLevel === "debug" || config.logLevel === "trace",
    cors: config.cors,
    hosts: { bound: config.host, allowed: config.allowedHosts },
    bodyLimit: config.maxBodyBytes,
    answerLimit: config.maxAnswerBytes,
    storeTtl: config.storeTtl,
    disabled: config.disabled,
  };
  const inProcess = createApp(services, options);
  // To clients a worker answers probes and metrics only.
  const probed = () => createApp(services, { ...options, disabled: new Set([...config.disabled, ...WORK]) });
  const app = config.role === "worker" ? probed() : inProcess;
  return {
    worker,
    assistants,
    app,
    inProcess,
    begin: async () => {
      metrics.start();
      if (deps.predecessor !== undefined) await storage.workers.remove(deps.predecessor);
      await worker.begin();
      // What has been waiting longest first: runs whose process died.
      await sweeper.begin();
      worker.look();
    },
    drain: async (reason, graceMs) => {
      await Promise.all([sweeper.stop(), worker.drain(reason, graceMs), within(graceMs, state.settled())]);
      await worker.leave();
    },
    close: () => {
      follower.close();
      metrics.stop();
    },
  };
}

function describe({ config, version }: EngineDeps): Facts {
  const model = describeModel(config.environment, { production: config.production });
  return {
    version,
    runtime: engineName().toLowerCase(),
    langgraphVersion: langgraphVersion(),
    build: { commit: config.buildCommit, date: config.buildDate ?? null },
    model: { name: model.problem === undefined ? model.name : null, fake: model.fake, used: servesShipped(config) },
    capabilities: { crons: false, mcp: false, a2a: false, metrics: true, tracing: false },
    streamNamespaces: true,
    revision: config.revision ?? null,
    databaseConfigured: config.database !== undefined,
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
