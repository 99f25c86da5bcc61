import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { giveToServer, KeptProcess, onFreePort, serverFolder } from "./kept-process.ts";

const READY = "process up";
/** Debian puts it where only root's PATH looks. */
const PLACES = ["pgbouncer", "/usr/sbin/pgbouncer"];

interface Found {
  command: string;
  /** e.g. [1, 18] */
  version: [number, number];
}

function findPgBouncer(): Found | undefined {
  for (const command of PLACES) {
    const version = /PgBouncer (\d+)\.(\d+)/i.exec(
      spawnSync(command, ["--version"], { encoding: "utf8" }).stdout ?? "",
    );
    if (version !== null) return { command, version: [Number(version[1]), Number(version[2])] };
  }
  return undefined;
}

/** Why there is no PgBouncer for tests on this machine; undefined where there is one. */
export function pgBouncerAvailable(): string | undefined {
  return findPgBouncer() === undefined ? "pgbouncer is not installed" : undefined;
}

/** What docs/postgres.md says to put in pgbouncer.ini; without what this machine's version does not know, as it says too. */
export function documentedSettings(): Record<string, string> {
  const page = readFileSync(new URL("../../../../docs/postgres.md", import.meta.url), "utf8");
  const ini = /```ini\n; pgbouncer\.ini\n([\s\S]*?)```/.exec(page)?.[1];
  if (ini === undefined) throw new Error("docs/postgres.md has no pgbouncer.ini any more");
  const lines = ini.split("\n").filter((line) => line !== "" && !line.startsWith(";"));
  const settings = Object.fromEntries(lines.map((line) => line.split(/ = (.*)/s).slice(0, 2) as [string, string]));
  const commented = lines.find((line) => /[;#]/.test(line));
  if (commented !== undefined) throw new Error(`PgBouncer takes a comment behind a value for part of it: ${commented}`);
  const [major, minor] = findPgBouncer()?.version ?? [0, 0];
  if (major === 1 && minor < 21) delete settings.max_prepared_statements;
  return settings;
}

/** PgBouncer in transaction mode before a Postgres server, on a free port of 127.0.0.1. */
export class PgBouncer implements AsyncDisposable {
  readonly #found: Found;
  readonly #folder: string;
  readonly #target: URL;
  #port = 0;
  #process: KeptProcess | undefined;

  private constructor(found: Found, folder: string, target: URL) {
    this.#found = found;
    this.#folder = folder;
    this.#target = target;
  }

  /** @param postgres URL of the server with user and password; every database of it can be reached */
  static async start(postgres: string, settings: Record<string, string> = {}): Promise<PgBouncer> {
    const found = findPgBouncer();
    if (found === undefined) throw new Error(pgBouncerAvailable());
    const bouncer = new PgBouncer(found, serverFolder("pgbouncer"), new URL(postgres));
    try {
      const { port, server } = await onFreePort((candidate) => bouncer.#launch(candidate, settings));
      bouncer.#port = port;
      bouncer.#process = server;
    } catch (error) {
      await bouncer[Symbol.asyncDispose]();
      throw error;
    }
    return bouncer;
  }

  /** PgBouncer keeps prepared statements apart from 1.21 on; before, a client must not name its statements. */
  get keepsPreparedStatements(): boolean {
    const [major, minor] = this.#found.version;
    return major > 1 || minor >= 21;
  }

  url(database = this.#target.pathname.slice(1)): string {
    const url = new URL(this.#target);
    url.port = `${this.#port}`;
    url.pathname = `/${database}`;
    return url.href;
  }

  async stop(): Promise<void> {
    await this.#process?.end("SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #launch(port: number, settings: Record<string, string>): Promise<KeptProcess> {
    const users = join(this.#folder, "users.txt");
    const user = decodeURIComponent(this.#target.username);
    writeFileSync(users, `"${user}" "${decodeURIComponent(this.#target.password)}"\n`);
    giveToServer(users, 0o600);
    const options = {
      listen_addr: "127.0.0.1",
      listen_port: `${port}`,
      unix_socket_dir: "",
      auth_type: "scram-sha-256",
      auth_file: users,
      admin_users: user,
      pool_mode: "transaction",
      default_pool_size: "20",
      max_client_conn: "500",
      server_login_retry: "1",
      ...(this.keepsPreparedStatements && { max_prepared_statements: "200" }),
      ...settings,
    };
    const file = join(this.#folder, "pgbouncer.ini");
    const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}`);
    const databases = `[databases]\n* = host=${this.#target.hostname} port=${this.#target.port}\n`;
    writeFileSync(file, `${databases}[pgbouncer]\n${lines.join("\n")}\n`);
    giveToServer(file, 0o600);
    const { command } = this.#found;
    return new KeptProcess({ command, args: [file], folder: this.#folder, endSignal: "SIGKILL" }).ready(READY);
  }
}
