import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface KeptOptions {
  command: string;
  args: string[];
  /** Working directory of the server; removed when this process dies without having stopped it. */
  folder: string;
  /** Ends the server and its children at once, without asking clients. */
  endSignal: NodeJS.Signals;
}

const keeper = fileURLToPath(new URL("./keeper.mjs", import.meta.url));
/**
 * `bun test` kills the processes a test has started when that test times out. The keeper must outlive that, so it is not
 * our child: the shell ends at once.
 */
const IN_BACKGROUND = '"$0" "$@" </dev/null >/dev/null 2>&1 &';
const KEEPER_START_MS = 30_000;
/** Enough of a server's output to say why it did not start. */
const LOG_LIMIT = 64 * 1024;

/** A server that ends with this process, even when this process is killed. */
export class KeptProcess {
  #log = "";
  #pid: number | undefined;
  #end: string | undefined;
  #changed = Promise.withResolvers<void>();
  /** Resolves to the exit code or signal. */
  readonly ended: Promise<string>;

  constructor(options: KeptOptions) {
    this.ended = this.#run(options).catch((error: Error) => error.message);
    void this.ended.then((end) => {
      this.#end = end;
      this.#tell();
    });
  }

  async #run(options: KeptOptions): Promise<string> {
    await using listener = createServer();
    await listening(listener);
    const { port } = listener.address() as AddressInfo;
    const spec = JSON.stringify({ ...options, port, user: serverUser() });
    // In a session of its own: Ctrl-C on the terminal ends the tests, and the keeper ends the server after them.
    spawn("sh", ["-c", IN_BACKGROUND, process.execPath, keeper, spec], { stdio: "ignore", detached: true });
    const [line] = (await once(listener, "connection", { signal: AbortSignal.timeout(KEEPER_START_MS) })) as [Socket];
    for await (const text of createInterface({ input: line })) {
      const message = JSON.parse(text) as { pid?: number; log?: string; end?: string };
      if (message.end !== undefined) return message.end;
      this.#pid ??= message.pid;
      this.#log = (this.#log + (message.log ?? "")).slice(-LOG_LIMIT);
      this.#tell();
    }
    return "its keeper ended";
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** The server's last output. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** Of the server, not of its keeper. */
  async pid(): Promise<number> {
    await this.#until(() => this.#pid !== undefined);
    return this.#pid as number;
  }

  /** Until the server's output holds the text. Throws with that output when the server ends before. */
  async ready(text: string): Promise<this> {
    await this.#until(() => this.#log.includes(text));
    return this;
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    send(await this.pid(), signal);
  }

  /** Sends the signal and resolves when the server has ended. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.running) return;
    await this.signal(signal);
    await this.ended;
  }

  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      if (!this.running) throw new Error(`The server ended (${this.#end}):\n${this.#log}`);
      await this.#changed.promise;
    }
  }
}

/** To a process that may have ended already. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Runs a program to its end as the user that servers run as. Throws with its output when it fails. */
export async function runAsServerUser(command: string, args: string[], folder: string): Promise<string> {
  const done = new KeptProcess({ command, args, folder, endSignal: "SIGKILL" });
  const end = await done.ended;
  if (end !== "0") throw new Error(`${command} ended with ${end}:\n${done.log}`);
  return done.log;
}

let user: { uid: number; gid: number } | undefined;

/** Postgres and PgBouncer refuse to run as root; then they run as `postgres`, else as `nobody`. Empty for everybody else. */
export function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  user ??= idsOf("postgres") ?? idsOf("nobody") ?? { uid: 65534, gid: 65534 };
  return user;
}

function idsOf(name: string): { uid: number; gid: number } | undefined {
  const [uid, gid] = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** A new directory that belongs to the user servers run as. */
export function serverFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `fractal-${name}-`));
  giveToServer(folder, 0o700);
  return folder;
}

export function giveToServer(path: string, mode: number): void {
  const owner = serverUser();
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  chmodSync(path, mode);
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
}

/** Free a moment ago: whoever starts a server on it must be ready to ask again. */
async function freePort(): Promise<number> {
  await using server = createServer();
  await listening(server);
  return (server.address() as AddressInfo).port;
}

const PORT_TAKEN = /address already in use/i;

/** Starts a server on a free port, and on another one if somebody took it in between. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<{ port: number; server: T }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { port, server: await start(port) };
    } catch (error) {
      if (attempt === 5 || !PORT_TAKEN.test(String(error))) throw error;
    }
  }
}
