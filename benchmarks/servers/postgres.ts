import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import pg from "pg";
import { PostgresServer } from "../../apps/ts/tests/servers/postgres.ts";

/** The same for every server under test; all else is as PostgreSQL ships it. */
const SETTINGS = { shared_buffers: "256MB", synchronous_commit: "on", max_connections: "200" };
const TOLD = [
  "fsync",
  "synchronous_commit",
  "full_page_writes",
  "wal_sync_method",
  "shared_buffers",
  "max_connections",
];

/** A PostgreSQL server for one round, with fsync on; removed when it is stopped. */
export class PostgresCluster implements AsyncDisposable {
  readonly #server: PostgresServer;
  #databases = 0;
  #pid = 0;
  #description = "";

  private constructor(server: PostgresServer) {
    this.#server = server;
  }

  /** `extra`: settings beside the usual ones. */
  static async start(extra: Record<string, string> = {}): Promise<PostgresCluster> {
    const server = await PostgresServer.start({ fsync: true, settings: { ...SETTINGS, ...extra } });
    const cluster = new PostgresCluster(server);
    try {
      await cluster.#look();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Parent of all its processes. */
  get pid(): number {
    return this.#pid;
  }

  /** An empty database. @returns Its URL. */
  createDatabase(label: string): Promise<string> {
    return this.#server.createDatabase(`${label.replaceAll(/[^a-z0-9]/g, "_")}_${++this.#databases}`);
  }

  /** One statement on a connection of its own, by an account that may do everything. */
  async query<T extends object>(text: string, database = "postgres"): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.#server.url(database) });
    await client.connect();
    try {
      return (await client.query<T>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** "PostgreSQL 15.18 (fsync on, ...), data on ext4", for the report: what the server says of itself. */
  describe(): string {
    return this.#description;
  }

  async #look(): Promise<void> {
    const [row] = await this.query<{ pid: number; version: string }>(
      "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::integer as pid, " +
        "split_part(current_setting('server_version'), ' ', 1) as version",
    );
    if (row === undefined) throw new Error("PostgreSQL answers nothing");
    const settings = await this.query<{ told: string }>(
      `select name || ' ' || current_setting(name) as told from unnest(array['${TOLD.join("', '")}']) name`,
    );
    this.#pid = row.pid;
    this.#description =
      `PostgreSQL ${row.version} (${settings.map(({ told }) => told).join(", ")}; all else as shipped), ` +
      `data on ${filesystem(tmpdir())}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

const FILE_SYSTEMS: Record<number, string> = {
  61267: "ext4",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs, where fsync costs nothing",
};

/** Named, because on one in memory fsync costs nothing. */
function filesystem(path: string): string {
  return FILE_SYSTEMS[statfsSync(path).type] ?? "a file system unknown here";
}
