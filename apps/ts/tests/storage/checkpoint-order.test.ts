import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { Storage } from "#core/storage";
import { openSqlite } from "#platform/sqlite";
import { migrate, SCHEMA_VERSION } from "#storage/postgres/migrate";
import { MIGRATIONS } from "#storage/postgres/migrations/index";
import { openPostgresStorage } from "#storage/postgres/open";
import { INITIAL } from "#storage/sqlite/migrations/001-initial";
import { openSqliteStorage } from "#storage/sqlite/open";
import { ALICE, checkpoint, claimed, enlist, id, newRun, put } from "../contract/harness.ts";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";

// The first test starts the server.
setDefaultTimeout(60_000);

const POOL = { min: 0, max: 4, timeoutMs: 10_000 };
const missing = await postgresAvailable();

async function list(storage: Storage, threadId: string, query: object = {}): Promise<string[]> {
  const found = await storage.checkpoints.list(ALICE, { thread_id: threadId, checkpoint_ns: "", ...query });
  return found.map(({ row }) => row.checkpoint_id);
}

/** A run of a new release, by a clock that is behind, writes to the thread. */
async function writeMore(storage: Storage, threadId: string, names: string[]): Promise<void> {
  await enlist({ storage }, "w1");
  const made = await storage.runs.create(ALICE, newRun(threadId));
  if (made.kind !== "created") throw new Error(made.kind);
  const { fence } = await claimed({ storage, advance: async () => undefined }, made.run.run_id);
  const answers = await storage.checkpoints.commit(names.map((name) => put(fence, checkpoint(fence, name))));
  expect(new Set(answers)).toEqual(new Set(["written"]));
}

describe("threads of a release that did not keep the order of checkpoints", () => {
  it("stand on SQLite in the order in which they were written, and grow from there", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "fractal-order-"));
    const threadId = id();
    const db = await openSqlite(join(dataDir, "fractal.db"));
    db.exec(INITIAL);
    db.exec("pragma user_version = 1");
    db.exec(
      "insert into threads (id, thread_id, tenant, owner, hidden, status, bound, state_updated_at, created_at, updated_at, metadata) " +
        `values (1, '${threadId}', '${ALICE.tenant}', '${ALICE.owner}', 0, 'idle', 1, 1, 1, 1, '{}')`,
    );
    db.exec("insert into lanes (thread, epoch) values (1, 3)");
    for (const name of ["c4", "c5", "c6", "c2"]) {
      db.exec(
        "insert into checkpoints (thread, ns, checkpoint_id, epoch, metadata, blobs, checkpoint, inline) " +
          `values (1, '', '${name}', 1, '{}', '{}', '{"v":4,"id":"${name}"}', x'')`,
      );
    }
    db.close();
    {
      await using storage = await openSqliteStorage({ dataDir });
      expect(await list(storage, threadId)).toEqual(["c2", "c6", "c5", "c4"]);
      await writeMore(storage, threadId, ["c1", "c0"]);
    }
    // Again, by a process for which the file is not old.
    await using storage = await openSqliteStorage({ dataDir });
    expect(await list(storage, threadId)).toEqual(["c0", "c1", "c2", "c6", "c5", "c4"]);
    expect(await list(storage, threadId, { before: "c2" })).toEqual(["c6", "c5", "c4"]);
    rmSync(dataDir, { recursive: true });
  });

  it.skipIf(missing !== undefined)("stand on PostgreSQL in the order of their ids, and grow from there", async () => {
    const url = await (await sharedPostgres()).createDatabase();
    const admin = new Client({ connectionString: url });
    await admin.connect();
    await admin.query("create schema fractal");
    await admin.query(
      "create table fractal.migrations (version integer primary key, compatible_from integer not null, applied_at timestamptz not null default now())",
    );
    await admin.query(MIGRATIONS[0]?.sql as string);
    await admin.query("insert into fractal.migrations (version, compatible_from) values (1, 1)");
    const threadId = id();
    await admin.query(
      "insert into fractal.threads (thread_id, tenant, owner, hidden, status, bound, state_updated_at, created_at, updated_at, metadata) " +
        "values ($1, $2, $3, false, 'idle', true, 1, 1, 1, '{}')",
      [threadId, ALICE.tenant, ALICE.owner],
    );
    await admin.query("insert into fractal.lanes (thread_id, epoch) values ($1, 3)", [threadId]);
    const insert = async (ns: string, name: string) =>
      admin.query(
        "insert into fractal.checkpoints (thread_id, ns, checkpoint_id, epoch, metadata, blobs, checkpoint, inline) " +
          `values ($1, $2, $3, 1, '{}', '{}', '{"v":4}', '')`,
        [threadId, ns, name],
      );
    for (const name of ["c5", "c6", "c4"]) await insert("", name);
    await insert("sub", "s5");
    expect(await migrate(url)).toEqual({ from: 1, to: SCHEMA_VERSION });
    await using storage = await openPostgresStorage({ url, pool: POOL, prepare: true });
    expect(await list(storage, threadId)).toEqual(["c6", "c5", "c4"]);
    expect(await list(storage, threadId, { before: "c6" })).toEqual(["c5", "c4"]);
    const copy = id();
    await storage.threads.copy(ALICE, threadId, copy);
    expect(await list(storage, copy)).toEqual(["c6", "c5", "c4"]);
    await writeMore(storage, threadId, ["c3", "c2"]);
    // A server of the release before inserts without the number.
    await insert("", "c1");
    expect(await list(storage, threadId)).toEqual(["c1", "c2", "c3", "c6", "c5", "c4"]);
    expect(await list(storage, threadId, { before: "c2" })).toEqual(["c3", "c6", "c5", "c4"]);
    expect(await list(storage, threadId, { before: "c6" })).toEqual(["c5", "c4"]);
    expect(await list(storage, threadId, { before: "s5" })).toEqual(["c6", "c5", "c4"]);
    await admin.end();
  });
});
