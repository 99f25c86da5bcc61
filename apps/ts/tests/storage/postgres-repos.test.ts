import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { Client } from "pg";
import { openPostgresStorage, type PostgresStorage } from "#storage/postgres/open";
import {
  ALICE,
  checkpoint,
  claimed,
  create,
  event,
  id,
  json,
  newRun,
  outcome,
  put,
  state,
  text,
  write,
  writes,
} from "../contract/harness.ts";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";

// The first test starts the server.
setDefaultTimeout(60_000);

const HOUR = 3_600_000;
const PAGE = { limit: 10, offset: 0 };
const missing = await postgresAvailable();

describe.skipIf(missing !== undefined)("Postgres repositories, beyond the contract", () => {
  let storage: PostgresStorage;
  /** Somebody else on the same database. */
  let other: Client;

  beforeEach(async () => {
    const url = await (await sharedPostgres()).createDatabase();
    storage = await openPostgresStorage({ url, pool: { min: 0, max: 5, timeoutMs: 10_000 }, prepare: true });
    other = new Client({ connectionString: url });
    await other.connect();
    await storage.workers.register(
      { worker_id: "w1", instance: "i", role: "all", version: "1", capacity: 10 },
      10 * HOUR,
    );
  });
  afterEach(async () => {
    await other.end();
    await storage[Symbol.asyncDispose]();
  });

  const bench = {
    get storage() {
      return storage;
    },
    advance: async (ms: number) => {
      await other.query(
        "create or replace function fractal.now_ms() returns bigint language sql volatile " +
          `as 'select (extract(epoch from clock_timestamp()) * 1000)::bigint + ${ms}'`,
      );
    },
  };
  const made = async (metadata: Record<string, unknown> = {}): Promise<string> => {
    const threadId = id();
    await storage.threads.insert(ALICE, { thread_id: threadId, metadata });
    return threadId;
  };
  const sweep = () => storage.retention.sweep({ eventHours: 1, batch: 100 });

  /** Resolves when some statement waits for a lock that `other` has. */
  async function somebodyWaits(): Promise<void> {
    const waiting = "select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))";
    while ((await other.query(waiting)).rowCount === 0) await new Promise(setImmediate);
  }

  /** What `work` answers when it began while `other` was changing the lane of the thread with `change`. */
  async function meanwhile<T>(threadId: string, change: string, work: () => Promise<T>): Promise<T> {
    await other.query("begin");
    await other.query(change, [threadId]);
    const answer = work();
    await somebodyWaits();
    await other.query("commit");
    return answer;
  }

  it("takes texts in metadata that jsonb refuses, and finds them again", async () => {
    const threadId = await made({ nul: "a\0b", half: "\ud800", text: "\\u0000", pair: "\u{1f600}" });
    const found = await storage.threads.find(ALICE, threadId);
    expect(found?.metadata).toEqual({ nul: "a\ufffdb", half: "\ufffd", text: "\\u0000", pair: "\u{1f600}" });
    for (const metadata of [{ nul: "a\0b" }, { half: "\ud800" }, { text: "\\u0000" }]) {
      expect(await storage.threads.count(ALICE, { metadata })).toBe(1);
    }
  });

  it("filters threads by values and items by value whatever texts are stored beside them", async () => {
    const { run, fence } = await claimed(bench, (await create(bench, id())).run_id);
    const values = { n: 1, odd: ["\ud800", "\\u0000", "a\0"] };
    await storage.runs.finish(fence, outcome({ state: state(values) }));
    const found = await storage.threads.search(ALICE, { ...PAGE, values: { n: 1 } });
    expect(found.items.map((thread) => thread.thread_id)).toEqual([run.thread_id]);

    await storage.store.put(ALICE, { namespace: ["n"], key: "k", value: values, ttl: null });
    expect((await storage.store.get(ALICE, { namespace: ["n"], key: "k" }))?.value).toEqual(values);
    const search = (filter: Record<string, unknown>) =>
      storage.store.search(ALICE, { namespace_prefix: ["n"], filter, ...PAGE });
    expect(await search({ n: { $gte: 1 }, odd: { $ne: [] } })).toHaveLength(1);
    expect(await search({ odd: values.odd })).toHaveLength(1);
  });

  it("refuses a number that the database has no room for as a mistake of the request", async () => {
    const item = { namespace: ["n"], key: "k", value: {}, ttl: 1e300 };
    await expect(storage.store.put(ALICE, item)).rejects.toMatchObject({
      code: "invalid",
      message: "The request holds a number that is out of range",
    });
  });

  it("compares texts of a store filter as texts, all else as numbers", async () => {
    const values = { text: "b", digits: "10", yes: true, n: 2, list: [5], nothing: null };
    await storage.store.put(ALICE, { namespace: ["n"], key: "k", value: values, ttl: null });
    const table: [Record<string, unknown>, boolean][] = [
      [{ text: { $gt: "a" } }, true],
      [{ text: { $gt: "c" } }, false],
      [{ text: { $gt: 1 } }, false],
      [{ digits: { $gt: 9 } }, true],
      [{ digits: { $lt: "9" } }, true],
      [{ n: { $lt: "10" } }, true],
      [{ n: { $lt: "x" } }, false],
      [{ yes: { $gte: 1 } }, true],
      [{ n: { $gt: null } }, false],
      [{ n: { $gt: { a: 1 } } }, false],
      [{ nothing: { $lt: 1 } }, false],
      [{ nothing: null }, true],
      [{ missing: null }, false],
      [{ missing: { $ne: 1 } }, true],
    ];
    for (const [filter, expected] of table) {
      const found = await storage.store.search(ALICE, { namespace_prefix: [], filter, ...PAGE });
      expect([filter, found.length === 1]).toEqual([filter, expected]);
    }
    await expect(storage.store.get(ALICE, { namespace: ["n"], key: "a\0" })).rejects.toMatchObject({ code: "invalid" });
  });

  it("shows a thread as busy with a delayed run, also when its time has come", async () => {
    const { thread_id: threadId } = await create(bench, id(), { after_seconds: 60 });
    expect((await storage.threads.find(ALICE, threadId))?.status).toBe("busy");
    await bench.advance(61_000);
    expect((await storage.threads.find(ALICE, threadId))?.status).toBe("busy");
    expect((await storage.threads.search(ALICE, PAGE)).items[0]?.status).toBe("busy");
    expect(await storage.threads.count(ALICE, { status: "busy" })).toBe(1);
    expect(await storage.threads.count(ALICE, { status: "idle" })).toBe(0);
  });

  it("numbers the versions of an assistant one by one when many update it at once", async () => {
    const assistant_id = id();
    const fields = { graph_id: "agent", name: "n", description: null, config: {}, context: {}, metadata: {} };
    await storage.assistants.insert(ALICE, { assistant_id, ...fields });
    const updates = Array.from({ length: 12 }, (_, i) =>
      storage.assistants.update(ALICE, assistant_id, { metadata: { [`k${i}`]: i } }),
    );
    const numbers = (await Promise.all(updates)).map((assistant) => assistant?.version as number);
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i + 2));
    expect(Object.keys((await storage.assistants.find(ALICE, assistant_id))?.metadata ?? {})).toHaveLength(12);
  });

  it("counts on from a version that came while an update waited", async () => {
    const assistant_id = id();
    const fields = { graph_id: "agent", name: "n", description: null, config: {}, context: {}, metadata: {} };
    await storage.assistants.insert(ALICE, { assistant_id, ...fields });
    // Version 2, and back to 1.
    const change =
      "with locked as (update fractal.assistants set updated_at = updated_at where assistant_id = $1 returning *) " +
      "insert into fractal.assistant_versions select assistant_id, 2, graph_id, name, description, created_at, config, " +
      "context, metadata from locked";
    const update = () => storage.assistants.update(ALICE, assistant_id, { name: "new" });
    expect(await meanwhile(assistant_id, change, update)).toMatchObject({ version: 3, name: "new" });
  });

  it("walks and keeps long chains of ancestors", async () => {
    const { run, fence } = await claimed(bench, (await create(bench, id())).run_id);
    const name = (n: number) => `c${`${n}`.padStart(4, "0")}`;
    const chain = Array.from({ length: 300 }, (_, i) =>
      put(
        fence,
        checkpoint(fence, name(i), {
          parent_checkpoint_id: i === 0 ? null : name(i - 1),
          inline: i === 7 ? { log: json("seed") } : {},
          metadata: JSON.stringify({ counters_since_delta_snapshot: { log: [i] } }),
        }),
      ),
    );
    await storage.checkpoints.commit(chain);
    await storage.checkpoints.commit(
      chain.map((_, i) => writes(fence, write(fence, name(i), { channel: "log", value: json(i) }))),
    );
    const walk = { thread_id: run.thread_id, checkpoint_ns: "", checkpoint_id: name(299), channels: ["log"] };
    const expected = Array.from({ length: 299 - 7 }, (_, i) => i + 7);
    const log = (await storage.checkpoints.ancestors(ALICE, walk)).log;
    expect([text(log?.seed), log?.writes.map((row) => text(row.value))]).toEqual(["seed", expected]);

    await storage.runs.finish(fence, outcome());
    expect(await storage.threads.prune(ALICE, [run.thread_id], "keep_latest")).toBe(1);
    const left = await storage.checkpoints.list(ALICE, { thread_id: run.thread_id });
    expect(left.map((stored) => stored.row.checkpoint_id).reverse()).toEqual([...expected, 299].map(name));
    expect((await storage.checkpoints.ancestors(ALICE, walk)).log).toEqual(log as NonNullable<typeof log>);
  });

  it("does not delete, prune or copy a thread on which a run begins at that moment", async () => {
    const takes = "update fractal.lanes set active = gen_random_uuid(), epoch = epoch + 1 where thread_id = $1";
    const ran = async () => {
      const { run, fence } = await claimed(bench, (await create(bench, id())).run_id);
      await storage.runs.finish(fence, outcome());
      return run.thread_id;
    };
    for (const start of [ran, made]) {
      for (const strategy of ["delete", "keep_latest"] as const) {
        const threadId = await start();
        expect(await meanwhile(threadId, takes, () => storage.threads.prune(ALICE, [threadId], strategy))).toBe(0);
        expect(await storage.threads.find(ALICE, threadId)).toBeDefined();
      }
      const threadId = await start();
      expect(await meanwhile(threadId, takes, () => storage.threads.copy(ALICE, threadId, id()))).toBe("busy");
    }
  });

  it("finds nothing to copy or prune when the thread goes while it waits", async () => {
    const purge = "select fractal.purge_thread($1)";
    const hide =
      "with lane as (update fractal.lanes set epoch = epoch + 1 where thread_id = $1 returning thread_id) " +
      "update fractal.threads t set hidden = true, status = 'idle' from lane where t.thread_id = lane.thread_id";
    for (const change of [purge, hide]) {
      for (const strategy of ["delete", "keep_latest"] as const) {
        const { thread_id: threadId } = await create(bench, id(), { after_seconds: 60 });
        await other.query("update fractal.lanes set head_seq = null where thread_id = $1", [threadId]);
        expect(await meanwhile(threadId, change, () => storage.threads.prune(ALICE, [threadId], strategy))).toBe(0);
      }
      const { thread_id: threadId } = await create(bench, id());
      expect(await meanwhile(threadId, change, () => storage.threads.copy(ALICE, threadId, id()))).toBe("no_thread");
    }
  });

  it("leaves to a later sweep what somebody else has locked", async () => {
    const threadId = id();
    const ttl = { strategy: "delete", ttl_minutes: 1 } as const;
    await storage.threads.insert(ALICE, { thread_id: threadId, metadata: {}, ttl });
    const { run, fence } = await claimed(bench, (await create(bench, id())).run_id);
    await storage.checkpoints.commit([
      put(fence, checkpoint(fence, "c1", { blobs: { a: "1" } }), { a: json("old") }),
      put(fence, checkpoint(fence, "c2")),
    ]);
    await storage.runs.finish(fence, outcome());
    await storage.threads.prune(ALICE, [run.thread_id], "keep_latest");
    await storage.store.put(ALICE, { namespace: ["n"], key: "k", value: {}, ttl: 1 });
    await bench.advance(2 * 60_000);

    await other.query("begin");
    await other.query("select from fractal.lanes for update");
    await other.query("select from fractal.store_items for update");
    expect(await sweep()).toBe(0);
    await other.query("commit");
    // The thread, the blob and the item.
    expect(await sweep()).toBe(3);
    expect(await storage.threads.find(ALICE, threadId)).toBeUndefined();
  });

  it("gives a thread its full time again while a run waits for it", async () => {
    const ttl = { strategy: "delete", ttl_minutes: 1 } as const;
    const threadId = id();
    await storage.threads.insert(ALICE, { thread_id: threadId, metadata: {}, ttl });
    const run = await storage.runs.create(ALICE, newRun(threadId));
    expect(run.kind).toBe("created");
    await bench.advance(61_000);
    expect(await sweep()).toBe(1);
    const { ttl: later } = (await storage.threads.find(ALICE, threadId)) ?? {};
    expect(Date.parse(later?.expires_at as string)).toBeGreaterThan(Date.now() + 61_000);
  });

  it("drops old events in several sweeps at once, each row once", async () => {
    const { fence } = await claimed(bench, (await create(bench, id())).run_id);
    const rows = Array.from({ length: 120 }, (_, n) => event(1, n * 2, { run_id: fence.runId }));
    await storage.checkpoints.commit([{ kind: "events", fence, rows }]);
    await storage.runs.finish(fence, outcome());
    await bench.advance(2 * HOUR);
    const dropped = await Promise.all([1, 2, 3, 4].map(() => storage.retention.sweep({ eventHours: 1, batch: 50 })));
    const again = await sweep();
    expect(dropped.reduce((sum, n) => sum + n, again)).toBe(120);
    expect((await other.query("select count(*)::int as left from fractal.run_events")).rows).toEqual([{ left: 0 }]);
  });
});
