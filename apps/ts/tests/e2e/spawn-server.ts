import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Fractal, fractal, shim } from "../cli/fractal.ts";
import { dropStorage, storageEnvironment } from "../servers/storage.ts";

export type EngineName = "bun" | "node";

/** Node 24, where there is one: .ci/run fetches it and says where. */
export const testNode: string | undefined = process.env.FRACTAL_TEST_NODE || undefined;

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));

/** Folders with a langgraph.json; `shipped` is an empty one, where the built-in agent is served. */
const PROJECTS = { engine: join(fixtures, "engine"), project: join(fixtures, "langgraph-project") } as const;

export interface SpawnOptions {
  engine?: EngineName;
  command?: "start" | "dev";
  project?: keyof typeof PROJECTS | "shipped";
  env?: Record<string, string>;
}

/**
 * A server as a user starts it (`node bin/fractal.mjs start`, with its supervisor) on a free port and a data directory of
 * its own, which outlives a stop. Disposing leaves neither a process nor a file.
 */
export class SpawnedServer implements AsyncDisposable {
  readonly #options: SpawnOptions;
  readonly #home: string;
  readonly dataDir: string;
  #process: Fractal | undefined;
  #storage: Record<string, string> | undefined;
  url = "";

  private constructor(options: SpawnOptions, home: string) {
    this.#options = options;
    this.#home = home;
    this.dataDir = join(home, "data");
  }

  static async start(options: SpawnOptions = {}): Promise<SpawnedServer> {
    const server = new SpawnedServer(options, await mkdtemp(join(tmpdir(), "fractal-e2e-")));
    try {
      await server.start();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** Again on the same data, after `stop` or `kill`. */
  async start(): Promise<void> {
    const { engine = "bun", command = "start", project = "engine", env = {} } = this.#options;
    const node = engine === "node" ? testNode : "node";
    if (node === undefined) throw new Error("FRACTAL_TEST_NODE names no Node 24");
    // One database for all starts of this server.
    this.#storage ??= await storageEnvironment();
    this.#process = fractal(command === "dev" ? ["dev", "--no-browser"] : ["start"], {
      cwd: project === "shipped" ? this.#home : PROJECTS[project],
      command: [node, shim],
      env: {
        ...(engine === "node" && { FRACTAL_ENGINE: "node" }),
        PORT: "0",
        FRACTAL_DATA_DIR: this.dataDir,
        ...this.#storage,
        ...env,
      },
    });
    this.url = await this.#process.url();
  }

  /** Everything the server has written so far. */
  logs(): string {
    return `${this.#process?.out.seen() ?? ""}${this.#process?.err.seen() ?? ""}`;
  }

  /** SIGTERM: a clean stop; the exit code. */
  async stop(): Promise<number | null> {
    this.#process?.child.kill("SIGTERM");
    const [code] = (await this.#process?.exit) ?? [null];
    return code;
  }

  /** SIGKILL to the server alone: its supervisor starts it again. */
  killServer(): void {
    for (const pid of this.#children(this.#process?.child.pid as number)) process.kill(pid, "SIGKILL");
  }

  /** SIGKILL to the supervisor, so that it starts nothing again, and to the server. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (running === undefined || running.child.exitCode !== null || running.child.signalCode !== null) return;
    const servers = this.#children(running.child.pid as number);
    running.child.kill("SIGKILL");
    await running.exit;
    for (const pid of servers) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        // It went with its supervisor.
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
    // Nobody waits for a grandchild; its files and sockets are closed when it takes no connection any more.
    if (this.url !== "") while (await accepts(this.url)) await delay(5);
  }

  #children(pid: number): number[] {
    const listing = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).stdout;
    return listing
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === pid)
      .map(([child]) => child as number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await dropStorage(this.#storage);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

async function accepts(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    // Refused or reset: exactly what is waited for.
    return false;
  } finally {
    socket.destroy();
  }
}

/** Asks again until the answer satisfies the condition. */
export async function eventually<T>(ask: () => Promise<T>, met: (value: T) => boolean, ms = 20_000): Promise<T> {
  for (const deadline = Date.now() + ms; ; await delay(20)) {
    const value = await ask();
    if (met(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)}`);
  }
}
