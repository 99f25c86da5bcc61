import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Storage } from "#core/storage";
import { openSqlite, type SqliteDatabase } from "#platform/sqlite";
import { openSqliteStorage } from "#storage/sqlite/open";
import { ALICE, create, enlist, fenceOf, id, outcome, running, WORKER } from "../contract/harness.ts";

/** Rows that no method could write, as a bug in the lane rules would leave them. */
describe("the audit of the lanes", () => {
  let dataDir: string;
  let storage: Storage;
  let db: SqliteDatabase;
  const bench = {
    get storage() {
      return storage;
    },
    advance: () => Promise.reject(new Error("not here")),
  };

  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "fractal-"));
    storage = await openSqliteStorage({ dataDir });
    db = await openSqlite(join(dataDir, "fractal.db"));
    db.exec("pragma busy_timeout = 5000");
    await enlist(bench, WORKER.worker_id);
  });

  afterEach(async () => {
    db.close();
    await storage[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true });
  });

  /** Mends so many lanes, and then none. */
  async function mends(lanes: number): Promise<void> {
    expect(await storage.runs.audit()).toBe(lanes);
    expect(await storage.runs.audit()).toBe(0);
  }

  const statusOf = async (threadId: string) => (await storage.threads.find(ALICE, threadId))?.status;
  const claim = async () => (await storage.runs.claim(WORKER)).map((run) => run.run_id);

  it("frees a lane that is held by a run that has ended, and fences its holder", async () => {
    const { run, fence } = await running(bench);
    const next = await create(bench, run.thread_id);
    db.exec(`update runs set status = 'success', ended_at = 1 where run_id = '${run.run_id}'`);
    await mends(1);
    expect((await storage.runs.finish(fence, outcome())).kind).toBe("fenced");
    expect(await claim()).toEqual([next.run_id]);
    const alone = await running(bench);
    db.exec(`update runs set status = 'success', ended_at = 1 where run_id = '${alone.run.run_id}'`);
    await mends(1);
    expect(await statusOf(alone.run.thread_id)).toBe("idle");
  });

  it("gives a running run that holds no lane its next attempt", async () => {
    const { run } = await running(bench);
    db.exec("update lanes set active = null, active_seq = null, worker = null");
    await mends(1);
    expect(await storage.runs.find(ALICE, run.run_id)).toMatchObject({ status: "pending", attempt: 1 });
    expect(await claim()).toEqual([run.run_id]);
  });

  it("takes the lane from a run that has it under another epoch", async () => {
    const { run, fence } = await running(bench);
    db.exec("update lanes set epoch = epoch + 1");
    await storage.runs.audit();
    await mends(0);
    expect((await storage.runs.finish(fence, outcome())).kind).toBe("fenced");
    expect(await claim()).toEqual([run.run_id]);
  });

  it("puts a run back that runs while a state write has the lane, without disturbing the write", async () => {
    const { run, fence } = await running(bench);
    await storage.runs.finish(fence, outcome());
    const write = await storage.lanes.acquire(ALICE, run.thread_id, { writer_id: id() });
    if (typeof write === "string") throw new Error(write);
    const stray = await create(bench, run.thread_id);
    db.exec(`update runs set status = 'running', attempt = 1 where run_id = '${stray.run_id}'`);
    await mends(1);
    expect(await claim()).toEqual([]);
    await storage.lanes.abandon(write);
    expect(await claim()).toEqual([stray.run_id]);
  });

  it("finds the runs of a thread that nobody would claim", async () => {
    const first = await create(bench, id());
    const second = await create(bench, first.thread_id);
    db.exec("update lanes set head_seq = null, head_at = null, ready = 0");
    expect(await claim()).toEqual([]);
    await mends(1);
    expect(await claim()).toEqual([first.run_id]);
    db.exec("delete from lanes");
    await mends(1);
    const again = await storage.runs.find(ALICE, first.run_id);
    expect(again).toMatchObject({ status: "pending" });
    await claim();
    const held = await storage.runs.find(ALICE, first.run_id);
    await storage.runs.finish(fenceOf(held as NonNullable<typeof held>), outcome());
    expect(await claim()).toEqual([second.run_id]);
  });

  it("replaces a head that is no longer pending", async () => {
    const first = await create(bench, id());
    const second = await create(bench, first.thread_id);
    db.exec(`update runs set status = 'interrupted', ended_at = 1 where run_id = '${first.run_id}'`);
    await mends(1);
    expect(await claim()).toEqual([second.run_id]);
  });
});
