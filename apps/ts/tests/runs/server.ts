import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { type Config, loadConfig } from "#config";
import { ANONYMOUS } from "#core/identity/scope";
import type { Worker } from "#core/runs/worker";
import type { Storage } from "#core/storage";
import { FeedHub } from "#core/streams/hub";
import { type HttpServer, serve } from "#platform/serve";
import type { Router } from "#routes/router";
import { createEngine } from "../../src/compose/engine.ts";
import { loadGraphs } from "../../src/compose/graphs.ts";
import { openTestStorage } from "../servers/storage.ts";
import { eventsOf, type SseEvent } from "./sse-client.ts";

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  body: any;
}

export interface Thread {
  id: string;
  runs: string;
}

/** A whole server over a fresh database, with the graphs of ./fixtures/langgraph.json, on a free port. */
export class RunServer implements AsyncDisposable {
  readonly url: string;
  readonly storage: Storage;
  readonly hub: FeedHub;
  readonly worker: Worker;
  /** Lines of the log from `warn` up, as JSON. */
  readonly log: string[];
  readonly http: HttpServer;
  /** The API as graph code reaches it. */
  readonly inProcess: Router;
  readonly #close: () => Promise<void>;

  private constructor(parts: {
    storage: Storage;
    hub: FeedHub;
    worker: Worker;
    log: string[];
    http: HttpServer;
    inProcess: Router;
    close(): Promise<void>;
  }) {
    this.url = parts.http.url;
    this.storage = parts.storage;
    this.hub = parts.hub;
    this.worker = parts.worker;
    this.log = parts.log;
    this.http = parts.http;
    this.inProcess = parts.inProcess;
    this.#close = parts.close;
  }

  /** `given`: the storage of a fleet, which outlives the server, and what its settings cannot say. */
  static async start(
    env: Record<string, string> = {},
    project?: string,
    given: { storage?: Storage; config?: Partial<Config> } = {},
  ): Promise<RunServer> {
    const cwd = await mkdtemp(join(tmpdir(), "fractal-runs-"));
    const log: string[] = [];
    const logger = createLogger({ level: "warn", json: true, write: (line) => void log.push(line) });
    const configPath = project ?? join(import.meta.dir, "fixtures", "langgraph.json");
    const config = { ...loadConfig({ env, cwd, ...(project !== "shipped" && { configPath }) }), ...given.config };
    const storage = given.storage ?? (await openTestStorage(join(cwd, ".fractal")));
    const graphs = await loadGraphs(config, { version: "0.0.0", logger });
    const stopping = new AbortController();
    const hub = new FeedHub();
    const engine = createEngine({ config, version: "0.0.0", logger, storage, graphs, hub, stopping: stopping.signal });
    await engine.assistants.installSystemAssistants();
    await engine.begin();
    const http = await serve({ fetch: engine.app.fetch, hostname: "127.0.0.1", port: 0 });
    const close = async () => {
      await engine.drain("test", 0);
      hub.suspendAll();
      engine.close();
      await http.close(AbortSignal.timeout(1_000));
      stopping.abort();
      if (given.storage === undefined) await storage[Symbol.asyncDispose]();
      await rm(cwd, { recursive: true });
    };
    return new RunServer({ storage, hub, worker: engine.worker, log, http, inProcess: engine.inProcess, close });
  }

  async call(
    method: string,
    path: string,
    sent: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const response = await this.open(method, path, sent);
    const text = await response.text();
    const json = text.trim() !== "" && response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : text };
  }

  /** The answer with its body unread. */
  open(
    method: string,
    path: string,
    sent: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Response> {
    const { body, headers = {}, signal } = sent;
    return fetch(this.url + path, {
      method,
      headers,
      ...(signal && { signal }),
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }

  get(path: string): Promise<Reply> {
    return this.call("GET", path);
  }

  post(path: string, body: unknown = {}): Promise<Reply> {
    return this.call("POST", path, { body });
  }

  async thread(body: object = {}): Promise<Thread> {
    const made = await this.post("/threads", body);
    if (made.status !== 200) throw new Error(`no thread: ${made.text}`);
    return { id: made.body.thread_id, runs: `/threads/${made.body.thread_id}/runs` };
  }

  /** Creates a run by a stream call and reads it to its end. */
  async stream(path: string, body: unknown): Promise<SseEvent[]> {
    const response = await this.open("POST", `${path}/stream`, { body });
    if (response.status !== 200) throw new Error(`no stream: ${response.status} ${await response.text()}`);
    return eventsOf(await response.text());
  }

  /** Joins a run's stream and reads it to its end. `from` is sent as Last-Event-ID. */
  async join(run: { thread_id: string; run_id: string }, how: { from?: string; query?: string } = {}) {
    const headers: Record<string, string> = how.from === undefined ? {} : { "Last-Event-ID": how.from };
    const response = await this.open("GET", `${runPath(run)}/stream${how.query ?? ""}`, { headers });
    if (response.status !== 200) throw new Error(`no stream: ${response.status} ${await response.text()}`);
    return eventsOf(await response.text());
  }

  async run(run: { thread_id: string; run_id: string }) {
    return (await this.get(runPath(run))).body;
  }

  /** Polls until the run has this status; the test's own deadline ends it otherwise. */
  async reached(run: { thread_id: string; run_id: string }, status: string): Promise<void> {
    await until(async () => (await this.storage.runs.find(ANONYMOUS, run.run_id))?.status === status);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

export function runPath(run: { thread_id: string; run_id: string }): string {
  return `/threads/${run.thread_id}/runs/${run.run_id}`;
}

export async function until(condition: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("the condition was not met in time");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
