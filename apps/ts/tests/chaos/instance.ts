import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { lines } from "../cli/lines.ts";
import { send } from "../servers/kept-process.ts";
import { servedUrl } from "../servers/served-url.ts";

const root = resolve(import.meta.dir, "../../../..");
const entry = join(root, "apps/ts/src/index.ts");
export const PROJECT: string = join(import.meta.dir, "graphs");

export interface InstanceOptions {
  env: Record<string, string>;
  project?: string;
}

/** Processes that must not outlive this one. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** One server process over the graphs of this folder, started again at will. */
export class Instance implements AsyncDisposable {
  readonly name: string;
  readonly #options: InstanceOptions;
  readonly #dir: string = mkdtempSync(join(tmpdir(), "fractal-chaos-"));
  #child: ChildProcess | undefined;
  #out: ReturnType<typeof lines> | undefined;
  #err: ReturnType<typeof lines> | undefined;
  #said = "";
  url = "";
  /** Whether a load balancer would send requests here. */
  inRotation = false;
  paused = false;

  constructor(name: string, options: InstanceOptions) {
    this.name = name;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { env, project = PROJECT } = this.#options;
    const child = spawn(process.execPath, ["--no-env-file", "--no-install", entry, "start"], {
      cwd: project,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PORT: "0",
        FRACTAL_DATA_DIR: this.#dir,
        LOG_JSON: "true",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#said = this.logs();
    this.#child = child;
    alive.add(child);
    child.once("exit", () => alive.delete(child));
    this.#out = lines(child.stdout);
    this.#err = lines(child.stderr);
    this.url = await servedUrl(this.#out, this.#err);
    this.inRotation = true;
  }

  get running(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Of the present or last process. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Everything that the processes of this instance have written. */
  logs(): string {
    return `${this.#said}${this.#out?.seen() ?? ""}${this.#err?.seen() ?? ""}`;
  }

  /** Lines of the log at this level or above that are not expected in a disturbed world. */
  complaints(): string[] {
    return this.logs().match(/^.*(?:please report this|"level":"fatal").*$/gm) ?? [];
  }

  /** Resident memory, MiB. */
  get rss(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }

  /** SIGKILL: nothing of the process runs after this. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** A clean stop, taken out of rotation first, as a load balancer does; the exit code. */
  async stop(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  async exited(): Promise<void> {
    if (this.running) await once(this.#child as ChildProcess, "exit");
    this.inRotation = false;
  }

  pause(): void {
    this.inRotation = false;
    this.paused = true;
    send(this.pid, "SIGSTOP");
  }

  resume(): void {
    send(this.pid, "SIGCONT");
    this.paused = false;
    this.inRotation = this.running;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    this.inRotation = false;
    const child = this.#child;
    if (child === undefined || !this.running) return child?.exitCode ?? null;
    const gone = once(child, "exit");
    child.kill(signal);
    const [code] = await gone;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
