import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { loadConfig } from "#config";
import type { Storage } from "#core/storage";
import { FeedHub } from "#core/streams/hub";
import type { HttpServer } from "#platform/serve";
import { serve } from "#platform/serve";
import type { Router } from "#routes/router";
import { createEngine } from "../../src/compose/engine.ts";
import { loadGraphs } from "../../src/compose/graphs.ts";
import { openTestStorage } from "../servers/storage.ts";

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  body: any;
}

/** The server of a fresh project on a free port: real SQLite in a temporary folder, the shipped agents, no API key. */
export class Api implements AsyncDisposable {
  readonly url: string;
  readonly app: Router;
  readonly storage: Storage;
  /** Lines of the log, as JSON. */
  readonly log: string[];
  readonly #close: () => Promise<void>;

  private constructor(given: {
    http: HttpServer;
    app: Router;
    storage: Storage;
    log: string[];
    close(): Promise<void>;
  }) {
    this.url = given.http.url;
    this.app = given.app;
    this.storage = given.storage;
    this.log = given.log;
    this.#close = given.close;
  }

  static async start(env: Record<string, string> = {}): Promise<Api> {
    const cwd = await mkdtemp(join(tmpdir(), "fractal-api-"));
    const log: string[] = [];
    const logger = createLogger({ level: "warn", json: true, write: (line) => void log.push(line) });
    const config = loadConfig({ env, cwd });
    const storage = await openTestStorage(join(cwd, ".fractal"));
    const graphs = await loadGraphs(config, { version: "0.0.0", logger });
    const stopping = new AbortController();
    const engine = createEngine({
      config,
      version: "0.0.0",
      logger,
      storage,
      graphs,
      hub: new FeedHub(),
      stopping: stopping.signal,
    });
    await engine.assistants.installSystemAssistants();
    await engine.begin();
    const http = await serve({ fetch: engine.app.fetch, hostname: "127.0.0.1", port: 0 });
    const close = async () => {
      await engine.drain("test", 0);
      engine.close();
      stopping.abort();
      await http.close(AbortSignal.abort());
      await storage[Symbol.asyncDispose]();
      await rm(cwd, { recursive: true });
    };
    return new Api({ http, app: engine.app, storage, log, close });
  }

  /** @param sent.body An object is sent as JSON, a string as it is. */
  async call(
    method: string,
    path: string,
    sent: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const { body, headers = {} } = sent;
    const response = await fetch(this.url + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = text !== "" && response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : text };
  }

  get(path: string): Promise<Reply> {
    return this.call("GET", path);
  }

  post(path: string, body: unknown = {}): Promise<Reply> {
    return this.call("POST", path, { body });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
