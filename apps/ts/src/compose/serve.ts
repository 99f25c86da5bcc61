import { describeModel } from "@fractal-agents/graphs/models/names";
import { Lifecycle } from "@fractal-agents/infra/lifecycle";
import { createLogger, type Logger } from "@fractal-agents/infra/logger";
import { logReady, renderBanner } from "#cli/banner";
import { browserCommand, openBrowser } from "#cli/browser";
import type { ServeRequest } from "#cli/main";
import type { ProjectWatcher } from "#cli/watch";
import { type Config, ConfigError, loadConfig } from "#config";
import { currentRun } from "#core/runs/current-run";
import { userFiles } from "#platform/modules";
import { Watchdog } from "#platform/watchdog";
import { engineName } from "./engine.ts";
import { EXIT } from "./exit-codes.ts";
import { explainFailure } from "./explain.ts";
import { watchFaults } from "./faults.ts";
import { Front } from "./front.ts";
import { servesShipped } from "./graphs.ts";
import type { Host } from "./host.ts";
import { foldersOutside, watchProject } from "./reload.ts";
import { AFTER_DRAIN_MS, Server } from "./server.ts";
import { type StopReason, StopRequests } from "./stop-requests.ts";

/** In development nobody waits for minutes: what has not yielded by then is handed back and goes on after the restart. */
const DEV_GRACE_MS = 10_000;
/** How often a reload says that it still waits. */
const YIELDING_EVERY_MS = 2_000;
/** After an uncaught exception the state of the process is unknown: little time for what is under way, 5 s in all. */
const FATAL_GRACE_MS = 3_000;

/** Serves until it is told to stop. @returns The exit code. */
export async function serveCommand(request: ServeRequest, host: Host): Promise<number> {
  const { terminal } = host;
  const stop = new StopRequests(host.source, (signal) => {
    terminal.err(`\nStopped at once (${signal}).\n`);
    host.exit(EXIT.failure);
  });
  let config: Config;
  try {
    config = readConfig(request, host);
  } catch (error) {
    return explainFailure(error, terminal);
  }
  const graceMs = graceOf(request, config) + AFTER_DRAIN_MS;
  host.tell({ type: "starting", grace_ms: graceMs });
  host.adopt(config.fileEnvironment);
  const logger = createServerLogger(config, host);
  const faults = watchFaults({
    source: host.source,
    logger,
    currentRun,
    stop: (reason) => stop.request(reason),
    exit: host.exit,
    ending: () => stop.requested,
  });
  const watchdog = new Watchdog({
    stallMs: Math.round(config.mainStallSeconds * 1_000),
    supervised: host.supervision.restart !== undefined,
  });
  const lifecycle = new Lifecycle({ graceMs, logger });
  // Before anything is read for good: a file that is saved while the server starts makes it start again.
  const watcher = watch({ request, config, host, logger, stop });
  const front = host.supervision.fronted ? new Front(host) : undefined;
  const server = new Server({
    config,
    host,
    front,
    logger,
    fail: (error) => {
      logger.fatal({ err: error }, "fatal error; stopping");
      stop.request({ kind: "failed", error });
    },
  });
  for (const part of server.parts()) lifecycle.add(part);
  try {
    const up = lifecycle.start().then(() => watcher?.add(foldersOutside(userFiles(), config.projectDir)));
    const early = await Promise.race([up, stop.first]);
    if (early === undefined) await announce(server, { request, config, host, front, logger });
    const reason = await stop.first;
    // What blocks the event loop now would keep the process from stopping, and its timers from noticing.
    watchdog.limit(Math.min(graceMs, Math.round(config.mainStallSeconds * 1_000)));
    return await finish(reason, { lifecycle, server, host, front, logger, stop });
  } catch (error) {
    await lifecycle.stop();
    return explainFailure(error, terminal);
  } finally {
    watcher?.close();
    faults.close();
    stop.close();
    await watchdog.close();
  }
}

interface Running {
  request: ServeRequest;
  config: Config;
  host: Host;
  logger: Logger;
  stop: StopRequests;
}

type Announced = Omit<Running, "stop"> & { front: Front | undefined };

/** The server is up: says so to the supervisor and to the person. */
async function announce(server: Server, { request, config, host, front, logger }: Announced): Promise<void> {
  const { terminal, supervision } = host;
  const { url, port } = server.http;
  host.tell({ type: "ready", port, workers: config.workers, internal_port: front?.internalPort });
  if (supervision.restart === "reload") {
    const ms = Math.round(performance.now());
    logger.info({ ms, held: front?.held, url, graphs: server.graphs.list().map(({ id }) => id) }, "reloaded");
    for (const { id, error } of server.graphs.list()) if (error !== undefined) logger.error({ graph: id }, error);
  } else if (config.workers > 1 && (supervision.worker > 1 || supervision.restart !== "first")) {
    logger.info({ url }, "worker is ready");
  } else {
    const facts = bannerFacts(server, { config, host, request });
    if (logsJson(config, host)) logReady(facts, logger);
    else terminal.out(renderBanner(facts, terminal));
  }
  const browser =
    request.browser && supervision.restart === "first"
      ? browserCommand({ ...host, interactive: terminal.interactive })
      : undefined;
  if (browser !== undefined) openBrowser(url, browser);
}

/** Nothing is watched where nobody would start the server again. */
function watch({ request, config, host, logger, stop }: Running): ProjectWatcher | undefined {
  if (!request.reload || host.supervision.restart === undefined) return undefined;
  return watchProject({
    configPath: config.configPath,
    projectDir: config.projectDir,
    envFiles: config.envFiles,
    graphFiles: config.graphs.map(({ path }) => path),
    logger,
    check: () => void readConfig(request, host),
    reload: (path) => stop.request({ kind: "reload", path }),
  });
}

async function finish(
  reason: StopReason,
  given: {
    lifecycle: Lifecycle;
    server: Server;
    host: Host;
    front: Front | undefined;
    logger: Logger;
    stop: StopRequests;
  },
): Promise<number> {
  const { lifecycle, server, host, front, logger, stop } = given;
  server.reason = reason.kind === "reload" ? "reload" : "shutdown";
  if (reason.kind === "reload") {
    logger.info({ path: reason.path }, "a file has changed: reloading");
    await front?.hold();
  } else logger.info({ reason: reason.kind === "signal" ? reason.signal : reason.kind }, "stopping");
  if (reason.kind === "fatal") server.blame(reason.run_id, reason.error);
  const failed = reason.kind === "fatal" || reason.kind === "failed";
  const stopped = failed
    ? lifecycle.stop(FATAL_GRACE_MS + AFTER_DRAIN_MS)
    : reason.kind === "reload"
      ? lifecycle.stop(DEV_GRACE_MS + AFTER_DRAIN_MS)
      : lifecycle.stop();
  const yielding = reason.kind === "reload" ? reportYielding(server, logger) : undefined;
  const slow = setTimeout(() => {
    if (reason.kind === "signal" && host.terminal.interactive)
      host.terminal.err("Waiting for runs to yield (press Ctrl-C again to stop at once)\n");
  }, 1_000);
  const clean = await stopped;
  clearTimeout(slow);
  clearInterval(yielding);
  if (failed) return EXIT.failure;
  if (reason.kind === "reload" && !stop.signalled) return EXIT.reload;
  if (clean) logger.info({}, "stopped");
  return clean ? EXIT.ok : EXIT.failure;
}

/** Says now and every few seconds which runs a reload waits for, and how long it will wait at most. */
function reportYielding(server: Server, logger: Logger): ReturnType<typeof setInterval> {
  const since = performance.now();
  const report = () => {
    const { running } = server;
    const leftS = Math.max(0, Math.round((DEV_GRACE_MS - (performance.now() - since)) / 1_000));
    if (running.length > 0) logger.info({ runs: running, at_most_s: leftS }, "waiting for runs to finish their step");
  };
  report();
  return setInterval(report, YIELDING_EVERY_MS);
}

function readConfig(request: ServeRequest, host: Host): Config {
  const { port, host: address, configPath, mode } = request;
  // What is being developed runs in one process, whatever is set for the machine that serves it.
  const workers = mode === "dev" ? 1 : request.workers;
  const config = loadConfig({
    env: {
      ...host.env,
      ...(port !== undefined && { PORT: String(port) }),
      ...(address !== undefined && { HOST: address }),
      ...(workers !== undefined && { FRACTAL_WORKERS: String(workers) }),
    },
    cwd: host.cwd,
    configPath,
  });
  if (config.workers > 1) refuseWorkers(config.workers, host);
  return config;
}

function refuseWorkers(workers: number, { platform, supervision }: Host): void {
  const wanted = `FRACTAL_WORKERS is ${workers}, but`;
  if (platform !== "linux") {
    throw new ConfigError([`${wanted} only Linux spreads the connections of one port over several processes: run one`]);
  }
  if (supervision.restart === undefined) {
    throw new ConfigError([
      `${wanted} without the supervisor there is nobody to start the others: run one process, or leave out --no-supervisor`,
    ]);
  }
}

/** Lines for a machine, unless a person reads them. */
function logsJson(config: Config, { terminal }: Host): boolean {
  return config.logJson ?? !terminal.interactive;
}

function createServerLogger(config: Config, host: Host): Logger {
  const { terminal, supervision } = host;
  const logger = createLogger({
    level: config.logLevel,
    json: logsJson(config, host),
    colour: terminal.ansi.bold("x") !== "x",
    secrets: config.secrets,
    write: (line) => terminal.out(line),
  });
  // Several processes write to one output.
  return config.workers > 1 ? logger.child({ worker: supervision.worker }) : logger;
}

/** How long runs may take to yield. */
function graceOf({ mode }: ServeRequest, config: Config): number {
  const graceMs = config.shutdownGraceSeconds * 1_000;
  return mode === "dev" ? Math.min(graceMs, DEV_GRACE_MS) : graceMs;
}

function bannerFacts(server: Server, { config, host, request }: { config: Config; host: Host; request: ServeRequest }) {
  const unwatched = request.reload && host.supervision.restart === undefined;
  return {
    version: host.version,
    engine: engineName(),
    mode: request.mode,
    project: projectText(config, host.cwd),
    graphs: server.graphs.list(),
    storage: server.storage.description.replace(`${host.cwd}/`, ""),
    workers: config.workers,
    model: servesShipped(config) ? describeModel(config.environment, { production: config.production }) : undefined,
    url: server.http.url,
    warnings: [...config.warnings, ...(unwatched ? ["changes are not reloaded without the supervisor"] : [])],
    startedInMs: Math.round(performance.now()),
  };
}

function projectText(config: Config, cwd: string): string {
  if (config.configPath !== undefined) return config.configPath;
  if (!servesShipped(config)) return `${cwd}, with the graphs of LANGSERVE_GRAPHS`;
  return `no langgraph.json in ${cwd}: the demonstration agent is served`;
}
