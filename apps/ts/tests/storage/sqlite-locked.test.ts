import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { ANONYMOUS } from "#core/identity/scope";
import type { Storage } from "#core/storage";
import { openSqlite, type SqliteDatabase } from "#platform/sqlite";
import { openSqliteStorage } from "#storage/sqlite/open";
import { id, newRun } from "../contract/harness.ts";
import { RunServer } from "../runs/server.ts";

/** Another program that has the file for itself for a while: a backup, `sqlite3` in a terminal. */
async function locked(path: string): Promise<SqliteDatabase> {
  const db = await openSqlite(path);
  // The server may be at work on a transaction of its own, which ends in a later turn.
  for (const end = performance.now() + 10_000; ; await turn()) {
    try {
      db.exec("begin exclusive");
      return db;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

function unlock(db: SqliteDatabase): void {
  db.exec("rollback");
  db.close();
}

const newThread = () => ({ thread_id: id(), metadata: {} });

describe("A database that another program keeps locked", () => {
  let dataDir: string;
  let storage: Storage;

  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "fractal-locked-"));
    storage = await openSqliteStorage({ dataDir });
  });
  afterEach(async () => {
    await storage[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const path = () => join(dataDir, "fractal.db");

  it("lets writes wait in order while reads are answered and the event loop turns", async () => {
    const before = newThread();
    await storage.threads.insert(ANONYMOUS, before);
    const other = await locked(path());
    const done: string[] = [];
    const run = newRun(id());
    const writes = [
      storage.runs.create(ANONYMOUS, run).then(({ kind }) => done.push(kind)),
      storage.runs
        .cancel(ANONYMOUS, { run_id: run.run_id }, "interrupt")
        .then((found) => done.push(`${found?.result}`)),
      storage.runs.sweep().then(() => done.push("swept")),
    ];
    for (let turns = 0; turns < 50; turns++) {
      await turn();
      await storage.ping();
      expect((await storage.threads.find(ANONYMOUS, before.thread_id))?.thread_id).toBe(before.thread_id);
    }
    expect(done).toEqual([]);
    unlock(other);
    await Promise.all(writes);
    expect(done).toEqual(["created", "ended", "swept"]);
  });

  it("keeps what waits apart: one that fails takes no other along", async () => {
    const other = await locked(path());
    const thread = newThread();
    const fails = storage.runs.create(ANONYMOUS, { ...newRun(id()), metadata: { n: 1n } as never });
    const first = storage.threads.insert(ANONYMOUS, thread);
    const failed = fails.then(
      () => "created",
      () => "failed",
    );
    unlock(other);
    expect((await first)?.thread_id).toBe(thread.thread_id);
    expect(await failed).toBe("failed");
    expect(await storage.threads.find(ANONYMOUS, thread.thread_id)).toBeDefined();
  });

  it("says that the database is locked when that lasts too long, and works again afterwards", async () => {
    await storage[Symbol.asyncDispose]();
    storage = await openSqliteStorage({ dataDir, lockedMs: 50 });
    const other = await locked(path());
    const thread = newThread();
    await expect(storage.threads.insert(ANONYMOUS, thread)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("locked"),
    });
    unlock(other);
    expect((await storage.threads.insert(ANONYMOUS, thread))?.thread_id).toBe(thread.thread_id);
  });

  it("frees the lane of a failed state write when it can", async () => {
    await storage[Symbol.asyncDispose]();
    storage = await openSqliteStorage({ dataDir, lockedMs: 50 });
    const { thread_id } = (await storage.threads.insert(ANONYMOUS, newThread())) as { thread_id: string };
    const acquire = () => storage.lanes.acquire(ANONYMOUS, thread_id, { writer_id: id(), worker_id: "w1" });
    const fence = await acquire();
    if (typeof fence === "string") throw new Error(fence);
    expect(await storage.lanes.freeLost("w1")).toEqual([]);
    const other = await locked(path());
    await expect(storage.lanes.abandon(fence)).rejects.toMatchObject({ code: "unavailable" });
    await expect(storage.lanes.freeLost("w1")).rejects.toMatchObject({ code: "unavailable" });
    unlock(other);
    expect(await acquire()).toBe("busy");
    expect(await storage.lanes.freeLost("w1")).toEqual([fence]);
    expect(await storage.lanes.freeLost("w1")).toEqual([]);
    expect(await acquire()).toMatchObject({ epoch: 2 });
  });

  it("ends what waits when it is closed", async () => {
    const other = await locked(path());
    const write = storage.threads.insert(ANONYMOUS, newThread());
    await storage[Symbol.asyncDispose]();
    await expect(write).rejects.toMatchObject({ code: "unavailable" });
    unlock(other);
  });

  it("opens as soon as the other program is done", async () => {
    await storage[Symbol.asyncDispose]();
    const other = await locked(path());
    let open = false;
    const opening = openSqliteStorage({ dataDir }).finally(() => {
      open = true;
    });
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(open).toBe(false);
    unlock(other);
    storage = await opening;
    await storage.ping();
  });

  it("keeps the runs under way and answers probes meanwhile", async () => {
    await using server = await RunServer.start();
    const { id: threadId } = await server.thread();
    const other = await locked(server.storage.description.replace(/^sqlite /, ""));
    const waited = server.post(`/threads/${threadId}/runs/wait`, { assistant_id: "counter", input: { n: 0 } });
    for (let probe = 0; probe < 20; probe++) {
      for (const at of ["/ok", "/live", "/ready"]) expect((await server.get(at)).status).toBe(200);
    }
    unlock(other);
    const { status, body } = await waited;
    expect([status, body.__error__]).toEqual([200, undefined]);
  });
});
