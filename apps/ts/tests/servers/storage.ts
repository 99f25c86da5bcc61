import pg from "pg";
import type { Storage } from "#core/storage";
import { openPostgresStorage } from "#storage/postgres/open";
import { openSqliteStorage } from "#storage/sqlite/open";
import { sharedPostgres } from "./postgres.ts";

/** Which storage the suites run on that are not about one of them: FRACTAL_TEST_STORAGE, else the embedded one. */
export const storageUnderTest: "sqlite" | "postgres" = readName(process.env.FRACTAL_TEST_STORAGE);

function readName(name = "sqlite"): "sqlite" | "postgres" {
  if (name === "sqlite" || name === "postgres") return name;
  throw new Error(`FRACTAL_TEST_STORAGE is ${name}; it must be sqlite or postgres`);
}

/** An empty storage, which goes when it is disposed; `dataDir` is where the embedded one puts its file. */
export async function openTestStorage(dataDir: string): Promise<Storage> {
  if (storageUnderTest === "sqlite") return openSqliteStorage({ dataDir });
  const url = await (await sharedPostgres()).createDatabase();
  const storage = await openPostgresStorage({ url, pool: { min: 0, max: 10, timeoutMs: 10_000 }, prepare: true });
  return {
    ...storage,
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      await drop(url);
    },
  };
}

/** Variables for a server in a process of its own, on an empty storage. The lease is short: whoever is killed is soon missed. */
export async function storageEnvironment(): Promise<Record<string, string>> {
  if (storageUnderTest === "sqlite") return {};
  return { DATABASE_URL: await (await sharedPostgres()).createDatabase(), FRACTAL_LEASE_SECONDS: "3" };
}

/** Takes away what `storageEnvironment` gave. */
export async function dropStorage(environment: Readonly<Record<string, string>> = {}): Promise<void> {
  if (environment.DATABASE_URL !== undefined) await drop(environment.DATABASE_URL);
}

async function drop(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: (await sharedPostgres()).url("postgres"),
    statement_timeout: 5_000,
  });
  await client.connect();
  try {
    const name = new URL(url).pathname.slice(1);
    await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
  } catch (error) {
    // A busy server may take its time to say that all have let go; the database goes with the server anyway.
    console.error(`A test database stays: ${(error as Error).message}`);
  } finally {
    await client.end();
  }
}
