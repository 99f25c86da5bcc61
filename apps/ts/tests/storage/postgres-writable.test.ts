import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, escapeIdentifier, escapeLiteral } from "pg";
import { ANONYMOUS } from "#core/identity/scope";
import { openPostgresStorage, type PostgresStorage } from "#storage/postgres/open";
import { until } from "../runs/server.ts";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";

setDefaultTimeout(60_000);

const missing = await postgresAvailable();
const isRoot = process.getuid?.() === 0;

describe.skipIf(missing !== undefined)(`PostgreSQL that refuses writes (${missing ?? "found"})`, () => {
  let url: string;
  let name: string;
  let admin: Client;
  let storage: PostgresStorage;

  beforeEach(async () => {
    const server = await sharedPostgres();
    url = await server.createDatabase();
    name = new URL(url).pathname.slice(1);
    admin = new Client({ connectionString: server.url("postgres") });
    await admin.connect();
    storage = await openPostgresStorage({ url, pool: { min: 0, max: 2, timeoutMs: 10_000 }, prepare: true });
  });

  afterEach(async () => {
    await storage[Symbol.asyncDispose]();
    await admin.query(`drop database ${escapeIdentifier(name)} with (force)`);
    await admin.end();
  });

  const insert = (bytes = 10) => {
    const text = crypto.getRandomValues(new Uint8Array(bytes)).toHex();
    return storage.threads.insert(ANONYMOUS, { thread_id: crypto.randomUUID(), metadata: { text } });
  };

  /** Connections keep the settings they began with. */
  async function setReadOnly(value: "on" | "off"): Promise<void> {
    await admin.query(`alter database ${escapeIdentifier(name)} set default_transaction_read_only = ${value}`);
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [name]);
  }

  it("is not writable while it is read-only, and is again by itself", async () => {
    await storage.writable();
    await setReadOnly("on");
    await expect(insert()).rejects.toMatchObject({ code: "unavailable" });
    for (let i = 0; i < 2; i++) {
      await expect(storage.writable()).rejects.toMatchObject({
        code: "unavailable",
        message: "The database is read-only; nothing was written",
      });
    }
    await storage.ping();
    await setReadOnly("off");
    // The pool may hold a connection that has just been ended, and not know it yet.
    await until(() =>
      storage.writable().then(
        () => true,
        () => false,
      ),
    );
    await insert();
  });

  it.skipIf(!isRoot || process.platform !== "linux")("is not writable while its disk is full", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fractal-space-"));
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "fractal-test", dir]).status !== 0) return;
    const space = `small_${name}`;
    const other = new Client({ connectionString: url });
    await other.connect();
    try {
      const folder = (await admin.query<{ data_directory: string }>("show data_directory")).rows[0]?.data_directory;
      const { uid, gid } = statSync(folder ?? "");
      chownSync(dir, uid, gid);
      chmodSync(dir, 0o700);
      await admin.query(`create tablespace ${escapeIdentifier(space)} location ${escapeLiteral(dir)}`);
      for (const table of ["threads", "workers"]) {
        await other.query(`alter table fractal.${table} set tablespace ${escapeIdentifier(space)}`);
      }
      const ballast = join(dir, "ballast");
      const file = openSync(ballast, "w");
      expect(() => {
        for (;;) writeSync(file, Buffer.alloc(4_096));
      }).toThrow("ENOSPC");
      closeSync(file);
      await expect(insert(20_000)).rejects.toMatchObject({ code: "unavailable" });
      await expect(storage.writable()).rejects.toMatchObject({
        message: "The disk of the database is full; nothing was written",
      });
      rmSync(ballast);
      await storage.writable();
      await insert(20_000);
      const probes = await other.query("select 1 from fractal.workers where worker_id like 'write-probe%'");
      expect(probes.rows).toEqual([]);
      for (const table of ["threads", "workers"]) {
        await other.query(`alter table fractal.${table} set tablespace pg_default`);
      }
      await admin.query(`drop tablespace ${escapeIdentifier(space)}`);
    } finally {
      await other.end();
      spawnSync("umount", ["--lazy", dir]);
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
