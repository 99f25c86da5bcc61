import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { Storage } from "#core/storage";
import { openSqlite } from "#platform/sqlite";
import { openPostgresStorage } from "#storage/postgres/open";
import { openSqliteStorage } from "#storage/sqlite/open";
import { sharedPostgres } from "../servers/postgres.ts";
import { storageUnderTest } from "../servers/storage.ts";

/** A storage whose rows can be changed behind its back: `checkpoints` and the like are its tables. */
export interface Damageable extends AsyncDisposable {
  storage: Storage;
  change(sql: string): Promise<void>;
}

export function openDamageable(): Promise<Damageable> {
  return storageUnderTest === "sqlite" ? onSqlite() : onPostgres();
}

async function onSqlite(): Promise<Damageable> {
  const dataDir = await mkdtemp(join(tmpdir(), "fractal-damage-"));
  const storage = await openSqliteStorage({ dataDir });
  const db = await openSqlite(join(dataDir, "fractal.db"));
  db.exec("pragma busy_timeout = 5000");
  return {
    storage,
    change: async (sql) => void db.exec(sql),
    async [Symbol.asyncDispose]() {
      db.close();
      await storage[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true });
    },
  };
}

async function onPostgres(): Promise<Damageable> {
  const url = await (await sharedPostgres()).createDatabase();
  const storage = await openPostgresStorage({ url, pool: { min: 0, max: 10, timeoutMs: 10_000 }, prepare: true });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("set search_path = fractal");
  return {
    storage,
    change: async (sql) => {
      // The same bytes, in the other dialect.
      await client.query(sql.replace(/x'([0-9a-f]*)'/g, "'\\x$1'"));
    },
    async [Symbol.asyncDispose]() {
      await client.end();
      await storage[Symbol.asyncDispose]();
    },
  };
}
