import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { giveToServer, KeptProcess, onFreePort, runAsServerUser, send, serverFolder } from "./kept-process.ts";
import { findPostgres, type PostgresBinaries } from "./postgres-binaries.ts";

export interface PostgresOptions {
  /** On costs a disk flush per commit: for tests that cut the power and for benchmarks. */
  fsync?: boolean;
  /** Lines of postgresql.conf, e.g. { max_connections: "20" }. */
  settings?: Record<string, string>;
}

/** Where tests get databases from. */
export interface TestPostgres {
  /** With user and password; without a name, of the database that is there from the start. */
  url(database?: string): string;
  /** Creates an empty database and returns its URL. */
  createDatabase(name?: string): Promise<string>;
}

const USER = "fractal";
const READY = "database system is ready to accept connections";
const FOLLOWS = "database system is ready to accept read-only connections";
const SETTINGS = { synchronous_commit: "on", max_connections: "200", logging_collector: "off", lc_messages: "'C'" };

/**
 * A PostgreSQL server of its own on a free port of 127.0.0.1, in a directory that goes with it. Text sorts as in English
 * (ICU), as on a usual installation, not by bytes. A test process that dies takes it along.
 */
export class PostgresServer implements TestPostgres, AsyncDisposable {
  readonly #binaries: PostgresBinaries;
  readonly #folder: string;
  readonly #password: string;
  #port = 0;
  #process: KeptProcess | undefined;
  #paused: number[] = [];

  private constructor(binaries: PostgresBinaries, folder: string, password: string) {
    this.#binaries = binaries;
    this.#folder = folder;
    this.#password = password;
  }

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const server = new PostgresServer(findPostgres(), serverFolder("postgres"), randomBytes(12).toString("hex"));
    try {
      await server.#create(options);
      await server.createDatabase(USER);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** A server that follows this one, on a copy of its data: a replica, until it is promoted. */
  async follower(): Promise<PostgresServer> {
    const server = new PostgresServer(this.#binaries, serverFolder("postgres"), this.#password);
    try {
      const options = ["--write-recovery-conf", "--wal-method=stream", "--no-sync", "--checkpoint=fast"];
      await runAsServerUser(
        copier(this.#binaries),
        [`--dbname=${this.url()}`, `--pgdata=${server.#data}`, ...options],
        server.#folder,
      );
      const started = await onFreePort((candidate) => server.#launch(candidate, FOLLOWS));
      server.#port = started.port;
      server.#process = started.server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  url(database = USER): string {
    return `postgresql://${USER}:${this.#password}@127.0.0.1:${this.#port}/${database}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Major version of the server, e.g. 15. */
  get major(): number {
    return this.#binaries.major;
  }

  /** What the server wrote since it was started. */
  logs(): string {
    return this.#process?.log ?? "";
  }

  createDatabase(name = databaseName()): Promise<string> {
    return createDatabase(this.url("postgres"), name).then(() => this.url(name));
  }

  /** Again on the same data and port, after `stop` or `kill`. */
  async start(): Promise<void> {
    if (this.#process?.running) throw new Error("the server is running");
    this.#process = await this.#launch(this.#port);
  }

  /** `immediate` cuts every connection as a crash does and recovers at the start; `fast` rolls back and ends cleanly. */
  async restart(how: "immediate" | "fast" = "fast"): Promise<void> {
    await this.#end(how === "immediate" ? "SIGQUIT" : "SIGINT");
    await this.start();
  }

  /** A clean stop; the data stays until disposal. */
  stop(): Promise<void> {
    return this.#end("SIGINT");
  }

  /** SIGKILL to the postmaster and every backend. */
  async kill(): Promise<void> {
    if (!this.#process?.running) return;
    const pids = await this.#pids();
    for (const pid of pids) send(pid, "SIGKILL");
    this.#paused = [];
    await this.#process.ended;
  }

  /** Connections stay open and get no answer; new ones are not answered either. */
  async pause(): Promise<void> {
    this.#paused = await this.#pids();
    for (const pid of this.#paused) send(pid, "SIGSTOP");
    // A process that is in the middle of something stops a little later.
    for (const pid of this.#paused) while (isAwake(pid)) await delay(5);
  }

  async resume(): Promise<void> {
    for (const pid of this.#paused) send(pid, "SIGCONT");
    this.#paused = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("SIGQUIT");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  async #create(options: PostgresOptions): Promise<void> {
    const secret = join(this.#folder, "password");
    writeFileSync(secret, this.#password);
    giveToServer(secret, 0o600);
    const locale = this.#binaries.major >= 15 ? ["--locale-provider=icu", "--icu-locale=en-US"] : [];
    await runAsServerUser(
      join(this.#binaries.bin, "initdb"),
      [
        `--pgdata=${this.#data}`,
        `--username=${USER}`,
        "--auth=scram-sha-256",
        `--pwfile=${secret}`,
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        ...locale,
      ],
      this.#folder,
    );
    rmSync(secret);
    const durable = options.fsync === true ? "on" : "off";
    const settings = { ...SETTINGS, fsync: durable, full_page_writes: durable, ...options.settings };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    writeFileSync(join(this.#data, "postgresql.conf"), lines.join(""));
    const { port, server } = await onFreePort((candidate) => this.#launch(candidate));
    this.#port = port;
    this.#process = server;
  }

  async #launch(port: number, ready = READY): Promise<KeptProcess> {
    const launched = new KeptProcess({
      command: join(this.#binaries.bin, "postgres"),
      args: ["-D", this.#data, "-p", `${port}`, "-k", this.#folder, "-c", "listen_addresses=127.0.0.1"],
      folder: this.#folder,
      endSignal: "SIGQUIT",
    });
    return launched.ready(ready);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    await this.resume();
    await this.#process?.end(signal);
  }

  /** The postmaster first, so that it starts nothing new meanwhile. */
  async #pids(): Promise<number[]> {
    if (!this.#process?.running) throw new Error("the server is not running");
    const postmaster = await this.#process.pid();
    const listing = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
    if (listing.status !== 0) throw new Error(`ps failed: ${listing.error?.message ?? listing.stderr}`);
    const children = listing.stdout
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === postmaster)
      .map(([pid]) => pid as number);
    return [postmaster, ...children];
  }
}

function isAwake(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", `${pid}`], { encoding: "utf8" }).stdout.trim();
  return state !== "" && !state.startsWith("T");
}

const databaseName = () => `test_${randomBytes(6).toString("hex")}`;

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`create database ${pg.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

/** A server that somebody else runs. Databases made on it stay. */
class GivenPostgres implements TestPostgres {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  url(database?: string): string {
    if (database === undefined) return this.#url;
    const url = new URL(this.#url);
    url.pathname = `/${database}`;
    return url.href;
  }

  async createDatabase(name = databaseName()): Promise<string> {
    await createDatabase(this.#url, name);
    return this.url(name);
  }
}

// Kept on the process, because a test runner may load this module once per test file.
const SHARED = Symbol.for("fractal.tests.postgres");
const shared = globalThis as { [SHARED]?: Promise<TestPostgres> };

/**
 * One server for all test files of a process: FRACTAL_TEST_POSTGRES_URL (of a superuser) or one that is started now and
 * ends with the process. Never restart, pause or stop it: other tests use it.
 */
export function sharedPostgres(): Promise<TestPostgres> {
  const given = process.env.FRACTAL_TEST_POSTGRES_URL;
  shared[SHARED] ??= given ? Promise.resolve(new GivenPostgres(given)) : PostgresServer.start();
  return shared[SHARED];
}

/** Beside the programs themselves: the folder may hold links to some of them only. */
function copier({ bin }: PostgresBinaries): string {
  return join(dirname(realpathSync(join(bin, "postgres"))), "pg_basebackup");
}

/** Whether servers can be copied here: not every installation brings pg_basebackup. */
export function postgresFollows(): boolean {
  try {
    return existsSync(copier(findPostgres()));
  } catch {
    // There is none at all.
    return false;
  }
}

/** Why there is no Postgres for tests on this machine; undefined where there is one. */
export async function postgresAvailable(): Promise<string | undefined> {
  if (process.env.FRACTAL_TEST_POSTGRES_URL) return undefined;
  try {
    findPostgres();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
