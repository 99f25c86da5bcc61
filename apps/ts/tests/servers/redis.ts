import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { Redis } from "ioredis";
import { KeptProcess, onFreePort, serverFolder } from "./kept-process.ts";

const COMMANDS = ["valkey-server", "redis-server"];
const READY = "Ready to accept connections";

function findRedis(): string | undefined {
  return COMMANDS.find((command) => spawnSync(command, ["--version"]).status === 0);
}

/** Why there is no Redis for tests on this machine; undefined where there is one. */
export function redisAvailable(): string | undefined {
  return findRedis() === undefined ? `none of ${COMMANDS.join(", ")} is installed` : undefined;
}

/** An empty Valkey or Redis server on a free port of 127.0.0.1 that keeps nothing on disk. */
export class RedisServer implements AsyncDisposable {
  readonly #command: string;
  readonly #folder: string;
  readonly #args: string[];
  #port = 0;
  #process: KeptProcess | undefined;

  private constructor(command: string, folder: string, args: string[]) {
    this.#command = command;
    this.#folder = folder;
    this.#args = args;
  }

  /** @param settings options of redis.conf, e.g. { maxmemory: "1mb" } */
  static async start(settings: Record<string, string> = {}): Promise<RedisServer> {
    const command = findRedis();
    if (command === undefined) throw new Error(redisAvailable());
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const server = new RedisServer(command, serverFolder("redis"), args);
    try {
      const { port, server: launched } = await onFreePort((candidate) => server.#launch(candidate));
      server.#port = port;
      server.#process = launched;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  async flushall(): Promise<void> {
    const client = new Redis(this.url, { lazyConnect: true, maxRetriesPerRequest: 0 });
    try {
      await client.connect();
      await client.flushall();
    } finally {
      client.disconnect();
    }
  }

  /** Again on the same port after `stop`, and empty. */
  async start(): Promise<void> {
    if (this.#process?.running) throw new Error("the server is running");
    this.#process = await this.#launch(this.#port);
  }

  /** Cuts every connection; the server that comes back is empty. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#process?.end("SIGKILL");
  }

  /** Connections stay open and get no answer. */
  async pause(): Promise<void> {
    await this.#process?.signal("SIGSTOP");
  }

  async resume(): Promise<void> {
    await this.#process?.signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #launch(port: number): Promise<KeptProcess> {
    const fixed = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const launched = new KeptProcess({
      command: this.#command,
      args: [...fixed, "--dir", this.#folder, ...this.#args],
      folder: this.#folder,
      endSignal: "SIGKILL",
    });
    return launched.ready(READY);
  }
}
