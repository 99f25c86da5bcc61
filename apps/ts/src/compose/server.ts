import type { Part } from "@fractal-agents/infra/lifecycle";
import type { Logger } from "@fractal-agents/infra/logger";
import { withProgress } from "#cli/terminal";
import type { Config } from "#config";
import type { GraphRegistry } from "#core/graphs/registry";
import type { Storage } from "#core/storage";
import { FeedHub } from "#core/streams/hub";
import { type HttpServer, ListenError, serve } from "#platform/serve";
import { openSqliteStorage } from "#storage/sqlite/open";
import { createEngine, type Engine } from "./engine.ts";
import { loadGraphs } from "./graphs.ts";
import type { Host } from "./host.ts";
import { RetentionTimer } from "./retention.ts";

/** Of the time that a stop has, this much is kept for what comes after the drain. */
const AFTER_DRAIN_MS = 2_000;
/** Routes whose answer may take longer than an idle connection lives: they stream, or wait for a run. */
const MAY_BE_SILENT = /\/(?:stream|wait|join|cancel)(?:\?|$)/;
/** Requests that still wait after the drain have nothing more to come. */
const LAST_ANSWERS_MS = 1_000;

export interface ServerOptions {
  config: Config;
  host: Host;
  logger: Logger;
}

/** The parts of the server in the order of their start, and what is known of them once they have started. */
export class Server {
  readonly #config: Config;
  readonly #host: Host;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  readonly #hub = new FeedHub();
  #storage: Storage | undefined;
  #graphs: GraphRegistry | undefined;
  #engine: Engine | undefined;
  #http: HttpServer | undefined;
  /** Why it stops, told to the runs that yield. */
  reason = "shutdown";

  constructor({ config, host, logger }: ServerOptions) {
    this.#config = config;
    this.#host = host;
    this.#logger = logger;
  }

  get graphs(): GraphRegistry {
    return started(this.#graphs);
  }

  get storage(): Storage {
    return started(this.#storage);
  }

  get http(): HttpServer {
    return started(this.#http);
  }

  /** Stopped in reverse: no new connections, no new runs, drain, last answers, close the storage. */
  parts(): Part[] {
    const retention = new RetentionTimer({
      sweep: () => this.storage.retention.sweep({ eventHours: this.#config.eventRetentionHours, batch: 1_000 }),
      logger: this.#logger,
    });
    return [
      {
        name: "storage",
        start: async () => {
          const { dataDir, sqliteSynchronous } = this.#config;
          const opening = openSqliteStorage({ dataDir, synchronous: sqliteSynchronous });
          this.#storage = await withProgress(this.#host.terminal, "Opening the database", opening);
        },
        stop: async () => await this.storage[Symbol.asyncDispose](),
      },
      {
        name: "graphs",
        start: async () => {
          const loading = loadGraphs(this.#config, { version: this.#host.version, logger: this.#logger });
          this.#graphs = await withProgress(this.#host.terminal, "Loading the graphs", loading);
        },
      },
      {
        name: "connections",
        stop: async (signal) => {
          this.#hub.suspendAll();
          await this.#http?.close(AbortSignal.any([signal, AbortSignal.timeout(LAST_ANSWERS_MS)]));
        },
      },
      {
        name: "engine",
        start: async () => {
          this.#engine = createEngine({
            config: this.#config,
            version: this.#host.version,
            logger: this.#logger,
            storage: this.storage,
            graphs: this.graphs,
            hub: this.#hub,
            stopping: this.#stopping.signal,
          });
          await this.#engine.assistants.installSystemAssistants();
        },
        stop: async (signal, leftMs) => {
          const giveUp = () => this.#stopping.abort(signal.reason);
          if (signal.aborted) giveUp();
          else signal.addEventListener("abort", giveUp, { once: true });
          await this.#engine?.worker.drain(this.reason, Math.max(0, leftMs - AFTER_DRAIN_MS));
        },
      },
      { name: "listener", start: () => this.#listen(), stop: () => this.#http?.stopListening() },
      // Work begins once nothing can fail any more: a server that cannot listen must not touch anybody's runs.
      { name: "recovery", start: async () => void (await this.#engine?.worker.recover()) },
      { name: "retention", start: () => retention.start(), stop: () => retention.stop() },
    ];
  }

  /** On a free port, the one of the process before is asked for first, so that a restart keeps the address. */
  async #listen(): Promise<void> {
    const { host: hostname, port } = this.#config;
    const { fetch } = started(this.#engine).app;
    const answer = (request: Request) => {
      if (MAY_BE_SILENT.test(request.url)) this.#http?.noTimeout(request);
      return fetch(request);
    };
    const { lastPort } = this.#host.supervision;
    if (port === 0 && lastPort !== undefined) {
      try {
        this.#http = await serve({ fetch: answer, hostname, port: lastPort });
        return;
      } catch (error) {
        if (!(error instanceof ListenError)) throw error;
        this.#logger.warn({ port: lastPort }, "the port from before the restart is taken; using another");
      }
    }
    this.#http = await serve({ fetch: answer, hostname, port });
  }
}

function started<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("used before it was started");
  return value;
}
