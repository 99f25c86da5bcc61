import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";

const BUN: readonly [string, ...string[]] = [process.execPath, "--no-env-file", "--no-install"];
const entry = resolve(import.meta.dir, "../../src/index.ts");

/**
 * A server that is started again as soon as it has ended, however it ended, and is told of the one before it, as a
 * supervisor does; without a wait in between.
 */
export class RestartedServer implements AsyncDisposable {
  readonly #env: Record<string, string>;
  readonly #program: readonly [string, ...string[]];
  #child: ChildProcess | undefined;
  #over = false;
  #lease = "";
  #port = 0;
  #ready = Promise.withResolvers<void>();
  #lines = "";
  /** How often it has ended. */
  deaths = 0;

  private constructor(env: Record<string, string>, program: readonly [string, ...string[]]) {
    this.#env = env;
    this.#program = program;
  }

  /** @param program Engine and its flags; Bun by default. */
  static async start(env: Record<string, string>, program = BUN): Promise<RestartedServer> {
    const server = new RestartedServer(env, program);
    server.#spawn("first");
    await server.#ready.promise;
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  #spawn(reason: "first" | "crash"): void {
    const [command, ...flags] = this.#program;
    const child = spawn(command, [...flags, entry, "start"], {
      cwd: join(import.meta.dir, "fixtures"),
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PORT: "0",
        FRACTAL_SUPERVISED: reason,
        FRACTAL_LAST_PORT: this.#port === 0 ? "" : String(this.#port),
        FRACTAL_INTERNAL_WORKER: "1",
        FRACTAL_INTERNAL_PREDECESSOR: this.#lease,
        ...this.#env,
      },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (text) => {
        this.#lines = (this.#lines + text).slice(-100_000);
      });
    child.on("message", (message: { type: string; id?: string; port?: number }) => {
      if (message.type === "lease") this.#lease = message.id ?? "";
      if (message.type !== "ready") return;
      this.#port = message.port ?? 0;
      this.#ready.resolve();
    });
    child.once("exit", () => {
      if (this.#over) return;
      this.deaths += 1;
      this.#spawn("crash");
    });
  }

  /** The last lines of its output. */
  get output(): string {
    return this.#lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
}
