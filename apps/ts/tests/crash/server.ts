import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { lines } from "../cli/lines.ts";
import { SseReader } from "../runs/sse-client.ts";
import { servedUrl } from "../servers/served-url.ts";
import { dropStorage, storageEnvironment } from "../servers/storage.ts";

const root = resolve(import.meta.dir, "../../../..");
const entry = join(root, "apps/ts/src/index.ts");
const engineGraphs = join(root, "apps/ts/tests/fixtures/engine");

export type EngineName = "bun" | "node";

/** Node 24, where there is one: .ci/run fetches it and says where. */
export const testNode: string | undefined = process.env.FRACTAL_TEST_NODE || undefined;

/** A real server over the engine's graphs, on a data directory that outlives it: killed and started again at will. */
export class CrashServer implements AsyncDisposable {
  readonly dataDir: string = mkdtempSync(join(tmpdir(), "fractal-crash-"));
  #child: ChildProcess | undefined;
  #storage: Record<string, string> | undefined;
  #out: ReturnType<typeof lines> | undefined;
  url = "";

  readonly engine: EngineName;
  readonly env: Record<string, string>;
  /** Folder of the langgraph.json. */
  readonly project: string;

  constructor(engine: EngineName = "bun", env: Record<string, string> = {}, project = engineGraphs) {
    this.engine = engine;
    this.env = env;
    this.project = project;
  }

  static async start(engine?: EngineName, env?: Record<string, string>, project?: string): Promise<CrashServer> {
    const server = new CrashServer(engine, env, project);
    await server.start();
    return server;
  }

  start(): Promise<void> {
    if (this.engine === "node") return this.#spawn(testNode as string, [entry, "start"]);
    return this.#spawn(process.execPath, ["--no-env-file", "--no-install", entry, "start"]);
  }

  /** The server of blocked-server.ts, whose runs reach their end and do not get past it. */
  startBlocked(): Promise<void> {
    const script = join(import.meta.dir, "blocked-server.ts");
    return this.#spawn(process.execPath, ["--no-env-file", script, this.dataDir, join(this.project, "langgraph.json")]);
  }

  /** Resolves when a run of the blocked server has done everything but end. */
  async finishReached(): Promise<void> {
    await this.#out?.until(/FINISH reached/);
  }

  async #spawn(program: string, args: string[]): Promise<void> {
    // One database for all starts of this server.
    this.#storage ??= await storageEnvironment();
    const child = spawn(program, args, {
      cwd: this.project,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PORT: "0",
        FRACTAL_DATA_DIR: this.dataDir,
        ...this.#storage,
        ...this.env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const [out, err] = [lines(child.stdout), lines(child.stderr)];
    this.#out = out;
    this.url = await servedUrl(out, err);
  }

  /** Of the present process; 0 where there is none. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** SIGKILL: nothing of the process runs after this. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** The exit code of a server that ends by itself. */
  async exited(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) throw new Error("it does not run");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    this.#child = undefined;
    return child.exitCode;
  }

  /** A clean stop; the exit code. */
  async stop(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<number | null> {
    return this.#end(signal);
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, "exit");
    child.kill(signal);
    const [code] = await gone;
    return code;
  }

  post(path: string, body: unknown): Promise<Response> {
    return fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  async json(path: string, body?: unknown): Promise<any> {
    const response = body === undefined ? await fetch(this.url + path) : await this.post(path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  async thread(): Promise<string> {
    return (await this.json("/threads", {})).thread_id;
  }

  async stream(path: string, body: unknown): Promise<SseReader> {
    return new SseReader(await this.post(path, body));
  }

  async rejoin(threadId: string, runId: string, lastEventId: string): Promise<SseReader> {
    const headers = { "last-event-id": lastEventId };
    return new SseReader(await fetch(`${this.url}/threads/${threadId}/runs/${runId}/stream`, { headers }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await dropStorage(this.#storage);
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Asks again until the answer satisfies the condition. */
export async function eventually<T>(ask: () => Promise<T>, met: (value: T) => boolean, ms = 20_000): Promise<T> {
  for (const deadline = Date.now() + ms; ; await new Promise((r) => setTimeout(r, 25))) {
    const value = await ask();
    if (met(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)}`);
  }
}
