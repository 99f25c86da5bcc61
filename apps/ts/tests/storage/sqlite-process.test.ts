import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ANONYMOUS } from "#core/identity/scope";
import { StorageError } from "#core/storage";
import { openSqlite } from "#platform/sqlite";
import { openSqliteStorage } from "#storage/sqlite/open";
import { newRun } from "../contract/harness.ts";

let dataDir: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "fractal-"));
});

afterEach(async () => {
  for (const child of children.splice(0)) await stop(child);
  rmSync(dataDir, { recursive: true, force: true });
});

/** A process of its own on the data directory, and its lines. */
function start(script: string): { child: ChildProcess; lines: AsyncIterableIterator<string> } {
  const child = spawn(process.execPath, [join(import.meta.dirname, "children", script), dataDir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  return { child, lines: reader[Symbol.asyncIterator]() as AsyncIterableIterator<string> };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function refusal(): Promise<StorageError> {
  try {
    await using storage = await openSqliteStorage({ dataDir });
    throw new Error(`opened ${storage.description}`);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return error;
  }
}

describe("opening the embedded storage", () => {
  it("keeps a directory that it makes out of the project's history, and leaves a given one as it is", async () => {
    const made = join(dataDir, "project", ".fractal");
    await using _inside = await openSqliteStorage({ dataDir: made });
    expect(readFileSync(join(made, ".gitignore"), "utf8")).toBe("*\n");
    await using _given = await openSqliteStorage({ dataDir });
    expect(existsSync(join(dataDir, ".gitignore"))).toBe(false);
  });

  it("refuses a second process and names the first; when that is killed the next one may open", async () => {
    const { child, lines } = start("hold.ts");
    expect((await lines.next()).value).toBe("open");
    expect((await refusal()).detail).toContain(`pid ${child.pid}`);
    await stop(child);
    await using storage = await openSqliteStorage({ dataDir });
    await storage.ping();
  });

  it("refuses a second process that finds the lock file removed, and the first takes it again", async () => {
    const { child, lines } = start("hold.ts");
    expect((await lines.next()).value).toBe("open");
    rmSync(join(dataDir, "lock.db"));
    expect((await refusal()).detail).toContain(`pid ${child.pid}`);
    expect((await refusal()).detail).toContain(`pid ${child.pid}`);
  });

  it("opens beside a tool that only looks at the database, also after a crash", async () => {
    await (await openSqliteStorage({ dataDir }))[Symbol.asyncDispose]();
    writeFileSync(join(dataDir, "lock.pid"), "1\n");
    const tool = await openSqlite(join(dataDir, "fractal.db"));
    tool.prepare("select count(*) from sqlite_schema").get();
    await using storage = await openSqliteStorage({ dataDir });
    expect((await storage.runs.create(ANONYMOUS, newRun(crypto.randomUUID()))).kind).toBe("created");
    tool.close();
  }, 20_000);

  it("is over when another process has taken the lock whose file was removed", async () => {
    const { promise: lost, resolve } = Promise.withResolvers<StorageError>();
    await using storage = await openSqliteStorage({ dataDir, onLost: resolve });
    rmSync(join(dataDir, "lock.db"));
    const other = await openSqlite(join(dataDir, "lock.db"));
    other.exec("begin exclusive");
    expect((await lost).detail).toContain("Another process has taken the data directory");
    const refused = { code: "unavailable", message: "Another process has taken the data directory" };
    await expect(storage.runs.create(ANONYMOUS, newRun(crypto.randomUUID()))).rejects.toMatchObject(refused);
    await expect(storage.ping()).rejects.toMatchObject(refused);
    await expect(storage.writable()).rejects.toMatchObject(refused);
    other.close();
  }, 20_000);

  it("refuses a second opening in the same process, and the first goes on", async () => {
    await using storage = await openSqliteStorage({ dataDir });
    expect((await refusal()).detail).toContain(`pid ${process.pid}`);
    expect((await storage.runs.create(ANONYMOUS, newRun(crypto.randomUUID()))).kind).toBe("created");
  });

  it("keeps everything over a clean close", async () => {
    const run = newRun(crypto.randomUUID());
    {
      await using storage = await openSqliteStorage({ dataDir, synchronous: "FULL" });
      await storage.runs.create(ANONYMOUS, run);
    }
    await using storage = await openSqliteStorage({ dataDir });
    expect(await storage.runs.find(ANONYMOUS, run.run_id)).toMatchObject({ status: "pending", kwargs: run.kwargs });
  });

  it("frees the lane of a state write that was cut off by the end of the process", async () => {
    const threadId = crypto.randomUUID();
    const first = await openSqliteStorage({ dataDir });
    await first.threads.insert(ANONYMOUS, { thread_id: threadId, metadata: {} });
    await first.lanes.acquire(ANONYMOUS, threadId, { writer_id: "writer", worker_id: "w" });
    await first[Symbol.asyncDispose]();
    await using storage = await openSqliteStorage({ dataDir });
    expect(await storage.lanes.acquire(ANONYMOUS, threadId, { writer_id: "next" })).toMatchObject({ epoch: 3 });
  });

  it("refuses data of a newer version and leaves it untouched", async () => {
    const path = join(dataDir, "fractal.db");
    const db = await openSqlite(path);
    db.exec("create table future (x); pragma user_version = 99");
    db.close();
    const before = readFileSync(path);
    expect((await refusal()).detail).toMatch(/newer version.*data version 99/);
    const after = await openSqlite(path);
    expect(after.prepare("select name from sqlite_schema").all()).toEqual([{ name: "future" }]);
    after.close();
    expect(statSync(path).size).toBe(before.length);
  });

  it("refuses a file that is not a database, and does not start empty", async () => {
    const path = join(dataDir, "fractal.db");
    const garbage = "not a database, ".repeat(1000);
    writeFileSync(path, garbage);
    expect((await refusal()).detail).toContain("damaged");
    expect(readFileSync(path, "utf8")).toBe(garbage);
  });

  it("looks at the whole file after a crash, again and again until it is repaired", async () => {
    const { child, lines } = start("write.ts");
    for (let i = 0; i < 60; i++) await lines.next();
    await stop(child);
    const path = join(dataDir, "fractal.db");
    const db = await openSqlite(path);
    db.exec("pragma wal_checkpoint(truncate)");
    // A page that opening alone would never read.
    const root = "select rootpage from sqlite_schema where name = 'checkpoint_blobs'";
    const page = db.prepare(root).get<{ rootpage: number }>()?.rootpage ?? 0;
    db.close();
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(512, 0xee), 0, 512, (page - 1) * 4096);
    closeSync(file);
    for (let i = 0; i < 2; i++) expect((await refusal()).detail).toContain("damaged");
  });

  it("gives the space of deleted threads back to the file system", async () => {
    const path = join(dataDir, "fractal.db");
    {
      await using storage = await openSqliteStorage({ dataDir });
      for (let i = 0; i < 40; i++) {
        const threadId = crypto.randomUUID();
        await storage.threads.insert(ANONYMOUS, { thread_id: threadId, metadata: { text: "x".repeat(100_000) } });
      }
    }
    const full = statSync(path).size;
    {
      await using storage = await openSqliteStorage({ dataDir });
      const all = await storage.threads.search(ANONYMOUS, { limit: 100, offset: 0 });
      for (const thread of all.items) await storage.threads.remove(ANONYMOUS, thread.thread_id);
      for (let i = 0; i < 3; i++) await storage.retention.sweep({ eventHours: 1, batch: 100 });
    }
    expect(full).toBeGreaterThan(4_000_000);
    expect(statSync(path).size).toBeLessThan(full / 2);
  });

  it("says what is wrong when the directory cannot be used", async () => {
    rmSync(dataDir, { recursive: true });
    writeFileSync(dataDir, "a file stands in the way");
    expect((await refusal()).detail).toContain(dataDir);
  });

  it("loses no acknowledged run and no acknowledged batch to kill -9, and stores no half batch", async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 6; round++) {
      const { child, lines } = start("write.ts");
      const enough = 10 + Math.floor(Math.random() * 60);
      for (let seen = 0; seen < enough; seen++) acknowledged.push((await lines.next()).value as string);
      await stop(child);
      for await (const line of lines) acknowledged.push(line);
    }
    await using storage = await openSqliteStorage({ dataDir });
    const runs = acknowledged.filter((line) => line.startsWith("run ")).map((line) => line.slice(4));
    for (const runId of runs) expect(await storage.runs.find(ANONYMOUS, runId)).toBeDefined();
    const batches = acknowledged.filter((line) => line.startsWith("batch "));
    expect(batches.length).toBeGreaterThan(20);
    for (const [, threadId, n] of batches.map((line) => line.split(" "))) {
      const at = { thread_id: threadId as string, checkpoint_ns: "", checkpoint_id: `c${n}` };
      expect(await storage.checkpoints.get(ANONYMOUS, at)).toBeDefined();
    }
    for (const run of await storage.runs.inflight(ANONYMOUS, { status: "all" })) {
      const stored = await storage.checkpoints.list(ANONYMOUS, { thread_id: run.thread_id });
      const log = await storage.events.read(ANONYMOUS, { thread_id: run.thread_id, limit: 100 });
      expect(stored.map((c) => c.writes.length)).toEqual(log.map(() => 1));
      for (const { values } of stored) expect(values.big?.bytes.length).toBe(2002);
    }
  }, 60_000);
});
