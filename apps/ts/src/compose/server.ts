import type { Part } from "@fractal-agents/infra/lifecycle";
import type { Logger } from "@fractal-agents/infra/logger";
import { withProgress } from "#cli/terminal";
import type { Config } from "#config";
import type { GraphRegistry } from "#core/graphs/registry";
import type { AuthScope } from "#core/identity/scope";
import { FeedHub } from "#core/streams/hub";
import { mayBeSilent } from "#middleware/answer-deadline";
import type { HttpServer } from "#platform/serve";
import { createEngine, type Engine } from "./engine.ts";
import type { Front } from "./front.ts";
import { loadGraphs } from "./graphs.ts";
import type { Host } from "./host.ts";
import { offerApi } from "./in-process-api.ts";
import { listen } from "./listen.ts";
import { Readiness, storageChecks } from "./readiness.ts";
import { RetentionTimer } from "./retention.ts";
import { offerLogger } from "./sdk-logger.ts";
import { explained, type OpenedStorage, openStorage } from "./storage.ts";

/** What comes after the drain has this much time of its own: runs are handed back, last answers sent, the storage closed. */
export const AFTER_DRAIN_MS = 2_000;
/** Requests that still wait after the drain have nothing more to come. */
const LAST_ANSWERS_MS = 1_000;

export interface ServerOptions {
  config: Config;
  host: Host;
  front: Front | undefined;
  logger: Logger;
  /** Something is lost without which the server can do nothing. */
  fail(error: Error): void;
}

/** The parts of the server in the order of their start, and what is known of them once they have started. */
export class Server {
  readonly #config: Config;
  readonly #host: Host;
  readonly #front: Front | undefined;
  readonly #logger: Logger;
  readonly #fail: (error: Error) => void;
  readonly #stopping = new AbortController();
  readonly #hub = new FeedHub();
  readonly #readiness = new Readiness(storageChecks(() => this.storage));
  #storage: OpenedStorage | undefined;
  #graphs: GraphRegistry | undefined;
  #engine: Engine | undefined;
  #http: HttpServer | undefined;
  /** Why it stops, told to the runs that yield. */
  reason = "shutdown";

  constructor({ config, host, front, logger, fail }: ServerOptions) {
    this.#config = config;
    this.#host = host;
    this.#front = front;
    this.#logger = logger;
    this.#fail = fail;
  }

  get graphs(): GraphRegistry {
    return started(this.#graphs);
  }

  get storage(): OpenedStorage {
    return started(this.#storage);
  }

  get http(): HttpServer {
    return started(this.#http);
  }

  /** Ids of the runs that are executed now. */
  get running(): string[] {
    return this.#engine?.worker.runIds() ?? [];
  }

  /** An exception that nobody caught ends the process; the run that threw it, if known, must not be handed on for nothing. */
  blame(runId: string | undefined, error: unknown): void {
    this.#engine?.worker.blame(runId, error);
  }

  /** Stopped in reverse: no new connections, no new runs, drain, last answers, close the storage. */
  parts(): Part[] {
    const retention = new RetentionTimer({
      sweep: () => this.storage.retention.sweep({ eventHours: this.#config.eventRetentionHours, batch: 1_000 }),
      logger: this.#logger,
      everyMs: this.#config.sweepIntervalMinutes * 60_000,
    });
    return [
      {
        name: "storage",
        start: async () => {
          const opening = openStorage(this.#config, { logger: this.#logger, onLost: this.#fail });
          this.#storage = await withProgress(this.#host.terminal, "Opening the database", opening);
        },
        stop: async () => await this.storage[Symbol.asyncDispose](),
      },
      {
        name: "graphs",
        start: async () => {
          offerApi({ url: () => this.#url(), fetch: (...call) => this.#answerGraph(...call) });
          offerLogger(this.#logger);
          const loading = loadGraphs(this.#config, { version: this.#host.version, logger: this.#logger });
          this.#graphs = await withProgress(this.#host.terminal, "Loading the graphs", loading);
        },
      },
      {
        name: "connections",
        stop: async (signal) => {
          this.#hub.suspendAll();
          this.#engine?.close();
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
            readiness: this.#readiness,
            onLease: (id) => this.#host.tell({ type: "lease", id }),
            predecessor: this.#host.supervision.predecessor,
          });
          this.#readiness.leased = false;
          await explained(this.#config, this.#engine.assistants.installSystemAssistants());
        },
        stop: async (signal, leftMs) => {
          const giveUp = () => this.#stopping.abort(signal.reason);
          if (signal.aborted) giveUp();
          else signal.addEventListener("abort", giveUp, { once: true });
          await this.#engine?.drain(this.reason, Math.max(0, leftMs - AFTER_DRAIN_MS));
        },
      },
      { name: "listener", start: () => this.#listen(), stop: () => this.#http?.stopListening() },
      { name: "retention", start: () => retention.start(), stop: () => retention.stop() },
      // Work begins once nothing can fail any more: a server that cannot listen must not touch anybody's runs.
      {
        name: "recovery",
        start: async () => await explained(this.#config, started(this.#engine).begin()),
        // The first that is stopped: nobody is to be sent here any more.
        stop: () => {
          this.#readiness.draining = true;
        },
      },
    ];
  }

  /** Also before the server listens: clients that graphs make while they are loaded call later. */
  #url(): string {
    return this.#http?.url ?? `http://localhost:${this.#config.port}`;
  }

  #answerGraph(request: Request, scope: AuthScope | undefined): Response | Promise<Response> {
    if (this.#engine === undefined) {
      return Response.json({ detail: "The server answers graphs only after all of them are loaded" }, { status: 503 });
    }
    return this.#engine.inProcess.fetch(request, { scope });
  }

  async #listen(): Promise<void> {
    const { fetch } = started(this.#engine).app;
    this.#http = await listen({
      config: this.#config,
      supervision: this.#host.supervision,
      front: this.#front,
      logger: this.#logger,
      fetch: (request) => {
        if (mayBeSilent(request.url)) this.#http?.noTimeout(request);
        return fetch(request);
      },
    });
  }
}

function started<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("used before it was started");
  return value;
}
