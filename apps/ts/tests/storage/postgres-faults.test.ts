import { afterEach, beforeAll, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { randomBytes } from "node:crypto";
import { Client, escapeIdentifier, escapeLiteral } from "pg";
import type { Fence } from "#core/runs/fence";
import type { NewRun } from "#core/runs/repository";
import { Database, type Patience } from "#storage/postgres/database";
import { openPostgresStorage, type PostgresStorage } from "#storage/postgres/open";
import { DatabaseProxy } from "../chaos/database-proxy.ts";
import {
  ALICE,
  claimed,
  create,
  enlist,
  id,
  newRun,
  outcome,
  running,
  STRANGERS,
  WORKER,
} from "../contract/harness.ts";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";

setDefaultTimeout(20_000);

const POOL = { min: 0, max: 8, timeoutMs: 10_000 };
const missing = await postgresAvailable();

describe.skipIf(missing !== undefined)(`Postgres, when it is in trouble (${missing ?? "found"})`, () => {
  let url: string;
  let storage: PostgresStorage;
  /** Somebody else on the same database. */
  let other: Client;

  beforeAll(async () => {
    await sharedPostgres();
  }, 120_000);
  beforeEach(async () => {
    url = await (await sharedPostgres()).createDatabase();
    storage = await openPostgresStorage({ url, pool: POOL, prepare: true });
    other = new Client({ connectionString: url });
    await other.connect();
    await enlist({ storage }, "w1");
  });
  afterEach(async () => {
    await other.end();
    await storage[Symbol.asyncDispose]();
  });

  const bench = {
    get storage() {
      return storage;
    },
    advance: async () => undefined,
  };

  /** A thread whose run is over: it has a lane. */
  async function used(): Promise<string> {
    const { run, fence } = await running(bench);
    await storage.runs.finish(fence, outcome());
    return run.thread_id;
  }

  /** Resolves when this many statements wait for a lock that `other` has. */
  async function waiting(statements: number): Promise<void> {
    const query = "select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))";
    while (((await other.query(query)).rowCount ?? 0) < statements) await new Promise(setImmediate);
  }

  /** `other` holds the lanes of these threads until `release`. */
  async function locked(...threadIds: string[]): Promise<{ release(): Promise<void> }> {
    await other.query("begin");
    await other.query("select from fractal.lanes where thread_id = any ($1::uuid[]) for update", [threadIds]);
    return { release: async () => void (await other.query("commit")) };
  }

  describe("a connection that is lost inside a transaction", () => {
    it.each(["between two statements", "under a statement"])("%s fails that alone", async (when) => {
      const uncaught: unknown[] = [];
      const note = (error: unknown) => void uncaught.push(error);
      process.on("uncaughtException", note);
      await using database = new Database({ url, pool: POOL, prepare: true });
      const known = Promise.withResolvers<number>();
      const gone = Promise.withResolvers<void>();
      const failed = database
        .transaction(async (transaction) => {
          const [row] = await transaction.rows<{ pid: number }>("select pg_backend_pid() as pid");
          known.resolve(row?.pid as number);
          if (when === "under a statement") await transaction.rows("select pg_sleep(60)");
          await gone.promise;
          await transaction.rows("select 1");
        })
        .catch((error) => error);
      const pid = await known.promise;
      const state = "select from pg_stat_activity where pid = $1";
      if (when === "under a statement") {
        while ((await other.query(`${state} and query like '%pg_sleep%'`, [pid])).rowCount === 0);
      }
      await other.query("select pg_terminate_backend($1)", [pid]);
      while ((await other.query(state, [pid])).rowCount !== 0);
      // What the socket still brings has come by then.
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      gone.resolve();
      const error = await failed;
      process.off("uncaughtException", note);
      expect(uncaught).toEqual([]);
      expect(error).toMatchObject({ code: "unavailable" });
      expect(await database.rows("select 1 as one")).toEqual([{ one: 1 }]);
    });
  });

  describe("a server that is silent", () => {
    const patience: Patience = { answerMs: 800, silentMs: 100, repeatMs: 500, deadlineMs: 1_200 };
    const unavailable = { code: "unavailable" };
    let proxy: DatabaseProxy;
    let database: Database;
    beforeEach(async () => {
      proxy = await DatabaseProxy.start(url);
      const pool = { min: 0, max: 2, timeoutMs: 400 };
      database = new Database({ url: proxy.url, pool, prepare: true, patience });
      await Promise.all([database.rows("select 1"), database.rows("select 1")]);
    });
    afterEach(async () => {
      proxy.cut();
      await database[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    });

    async function timed(work: Promise<unknown>): Promise<number> {
      const began = performance.now();
      expect(await work.catch((error) => error)).toMatchObject(unavailable);
      return performance.now() - began;
    }

    it("is waited for once, and then only for a moment until it answers", async () => {
      proxy.silent = true;
      const first = await timed(database.rows("select 1"));
      expect(first).toBeGreaterThan(patience.answerMs - 50);
      expect(first).toBeLessThan(2 * patience.answerMs);
      // Over the other connection that was idle, then over a new one.
      expect(await timed(database.rows("select 1"))).toBeLessThan(patience.answerMs);
      expect(await timed(database.rows("select 1"))).toBeLessThan(patience.answerMs);
      proxy.silent = false;
      proxy.cut();
      const answered = () => database.rows("select 1 as one").catch(() => undefined);
      while ((await answered()) === undefined) await new Promise(setImmediate);
      expect(await database.rows("select 1 as one from pg_sleep(0.3)")).toEqual([{ one: 1 }]);
    });

    it("ends a transaction that it was silent in, without a rollback that nobody would hear", async () => {
      const work = database.transaction(async (transaction) => {
        await transaction.rows("select 1");
        proxy.silent = true;
        await transaction.rows("select 2");
      });
      expect(await timed(work)).toBeLessThan(2 * patience.answerMs);
    });

    it("is sent nothing again once that has taken long", async () => {
      const thread = await used();
      const { release } = await locked(thread);
      let attempts = 0;
      const work = database.transaction(async (transaction) => {
        attempts++;
        await transaction.rows("set local lock_timeout = 200");
        await transaction.rows("select from fractal.lanes where thread_id = $1 for update", [thread]);
      });
      await timed(work);
      await release();
      // Five, if there were time.
      expect(attempts).toBeGreaterThan(1);
      expect(attempts).toBeLessThan(5);
    });
  });

  describe("a statement whose answer is lost", () => {
    let proxy: DatabaseProxy;
    let far: PostgresStorage;
    beforeEach(async () => {
      proxy = await DatabaseProxy.start(url);
      far = await openPostgresStorage({ url: proxy.url, pool: POOL, prepare: false });
    });
    afterEach(async () => {
      await far[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    });

    const kinds: [string, () => Partial<NewRun>][] = [
      ["reject", () => ({ multitask_strategy: "reject" })],
      ["interrupt", () => ({ multitask_strategy: "interrupt" })],
      ["rollback", () => ({ multitask_strategy: "rollback" })],
      ["an idempotency key", () => ({ idempotency_key: id() })],
    ];
    it.each(kinds)("has created the run, with %s, and says so", async (_, changes) => {
      const run = newRun(id(), changes());
      proxy.loseAnswerTo(run.run_id);
      const made = await far.runs.create(ALICE, run, WORKER);
      expect(proxy.lost).toBe(1);
      expect(made).toMatchObject({ kind: "created", claimed: true, run: { run_id: run.run_id, status: "running" } });
      expect((await storage.runs.held("w1")).map(({ run_id }) => run_id)).toEqual([run.run_id]);
    });

    it("tells nobody of a run that is somebody else's", async () => {
      const { run_id } = await create(bench, id());
      const [mallory] = STRANGERS;
      proxy.loseAnswerTo(run_id);
      const asked = far.runs.create(mallory as typeof ALICE, newRun(id(), { run_id })).catch((error) => error);
      expect(await asked).toMatchObject({ code: "conflict" });
    });

    describe("has given up the lane of a run", () => {
      const failure = { error: "E", message: "m" };
      const cases: [string, { changes?: Partial<NewRun>; give(fence: Fence): Promise<unknown>; answer: object }][] = [
        ["released", { give: (fence) => far.runs.release(fence), answer: { result: "requeued" } }],
        ["retried", { give: (fence) => far.runs.retry(fence, failure, "outage"), answer: { result: "requeued" } }],
        [
          "exhausted",
          {
            changes: { max_attempts: 1 },
            give: (fence) => far.runs.retry(fence, failure, "fault"),
            answer: { result: "exhausted", run: { status: "error" } },
          },
        ],
        ["evicted", { give: (fence) => far.runs.evict(fence), answer: { result: "interrupted" } }],
      ];
      it.each(cases)("%s, and says so", async (_, { changes, give, answer }) => {
        const { fence } = await running(bench, changes);
        proxy.loseAnswerTo("select result, ");
        expect(await give(fence)).toMatchObject(answer);
        expect(proxy.lost).toBe(1);
      });
    });

    it.each(["interrupt", "rollback"] as const)("has ended a pending run by %s, and says so", async (action) => {
      const run = await create(bench, id());
      proxy.loseAnswerTo("cancel_v1");
      const outcome = await far.runs.cancel(ALICE, { run_id: run.run_id }, action);
      expect(outcome).toMatchObject({
        result: action === "rollback" ? "removed" : "ended",
        run: { run_id: run.run_id },
      });
      expect(proxy.lost).toBe(1);
    });

    it("has taken a lane for a state write, which is freed; one that is under way keeps its lane", async () => {
      const [left, kept] = [id(), id()];
      for (const thread_id of [left, kept]) await far.threads.insert(ALICE, { thread_id, metadata: {} });
      const acquire = (threadId: string) => far.lanes.acquire(ALICE, threadId, { writer_id: id(), worker_id: "w1" });
      await acquire(kept);
      proxy.loseAnswerTo("acquire_v2");
      await expect(acquire(left)).rejects.toThrow();
      expect(proxy.lost).toBe(1);
      expect(await acquire(left)).toBe("busy");
      expect(await far.lanes.freeLost("w1")).toMatchObject([{ threadId: left, epoch: 1 }]);
      expect(await acquire(left)).toMatchObject({ epoch: 2 });
      expect(await far.lanes.freeLost("w1")).toEqual([]);
      expect(await acquire(kept)).toBe("busy");
    });

    it("has made the thread, and gives it", async () => {
      const thread_id = id();
      const thread = { thread_id, metadata: { a: 1 } };
      proxy.loseAnswerTo(thread_id);
      expect(await far.threads.insert(ALICE, thread)).toMatchObject(thread);
      expect(proxy.lost).toBe(1);
      const [mallory] = STRANGERS;
      proxy.loseAnswerTo(thread_id);
      expect(await far.threads.insert(mallory as typeof ALICE, thread)).toBeUndefined();
      expect(await storage.threads.find(ALICE, thread_id)).toMatchObject(thread);
    });
  });

  describe("a thread that is being deleted", () => {
    const HIDE =
      "with lane as (update fractal.lanes set epoch = epoch + 1 where thread_id = $1 returning thread_id) " +
      "update fractal.threads t set hidden = true from lane where t.thread_id = lane.thread_id";
    const PURGE = "select fractal.purge_thread($1)";

    const cases = [
      ["in pieces", { change: HIDE, asked: "reject", kind: "no_thread" }],
      ["in pieces, so that there is none to make,", { change: HIDE, asked: "create", kind: "no_thread" }],
      ["at once", { change: PURGE, asked: "reject", kind: "no_thread" }],
      ["at once, so that it can be made anew,", { change: PURGE, asked: "create", kind: "created" }],
    ] as const;
    it.each(cases)("%s is none any more for a run", async (_, { change, asked, kind }) => {
      const threadId = await used();
      await other.query("begin");
      await other.query(change, [threadId]);
      const run = newRun(threadId, { if_not_exists: asked });
      const made = storage.runs.create(ALICE, run, WORKER).catch((error) => error);
      await waiting(1);
      await other.query("commit");
      expect((await made).kind).toBe(kind);
      expect((await storage.runs.find(ALICE, run.run_id)) !== undefined).toBe(kind === "created");
    });
  });

  describe("a thread that is locked for long", () => {
    it("does not hold up runs that are created at the same time, or later", async () => {
      const [first, second, ...others] = await Promise.all(Array.from({ length: 5 }, used));
      const lock = await locked(first as string, second as string);
      let done = 0;
      const make = async (threadId: string) => {
        const { kind } = await storage.runs.create(ALICE, newRun(threadId), WORKER);
        done++;
        return kind;
      };
      // Together with others, and then alone: neither may keep a place that those after them need.
      const held = [make(first as string)];
      const together = others.map(make);
      await waiting(1);
      held.push(make(second as string));
      await waiting(2);
      const kinds = await Promise.all([...together, make(id()), make(id())]);
      expect(new Set(kinds)).toEqual(new Set(["created"]));
      expect(done).toBe(5);
      await lock.release();
      expect(await Promise.all(held)).toEqual(["created", "created"]);
    });

    it("does not hold up runs that end at the same time, or later", async () => {
      const fences = await Promise.all(Array.from({ length: 6 }, async () => (await running(bench)).fence));
      const [first, second, ...others] = fences as [Fence, Fence, ...Fence[]];
      const lock = await locked(first.threadId, second.threadId);
      let done = 0;
      const end = async (fence: Fence) => {
        const { kind } = await storage.runs.finish(fence, outcome());
        done++;
        return kind;
      };
      const held = [end(first)];
      const together = others.slice(0, 2).map(end);
      await waiting(1);
      held.push(end(second));
      await waiting(2);
      const kinds = await Promise.all([...together, ...others.slice(2).map(end)]);
      expect(new Set(kinds)).toEqual(new Set(["finished"]));
      expect(done).toBe(4);
      await lock.release();
      expect(await Promise.all(held)).toEqual(["finished", "finished"]);
    });
  });

  it("works in a schema that was made beforehand for somebody who must not make others", async () => {
    const role = `fractal_${randomBytes(6).toString("hex")}`;
    const password = randomBytes(12).toString("hex");
    const own = new URL(await (await sharedPostgres()).createDatabase());
    const owner = new Client({ connectionString: own.href });
    await owner.connect();
    try {
      const name = escapeIdentifier(role);
      await owner.query(`create role ${name} login password ${escapeLiteral(password)}`);
      await owner.query(`create schema fractal authorization ${name}`);
      own.username = role;
      own.password = password;
      const theirs = await openPostgresStorage({ url: own.href, pool: POOL, prepare: true });
      try {
        expect((await theirs.runs.create(ALICE, newRun(id()))).kind).toBe("created");
      } finally {
        await theirs[Symbol.asyncDispose]();
      }
    } finally {
      await owner.query(`drop owned by ${escapeIdentifier(role)} cascade`);
      await owner.query(`drop role ${escapeIdentifier(role)}`);
      await owner.end();
    }
  });

  it("tells a run that was taken away that it did not finish, however it wanted to end", async () => {
    const { run, fence } = await running(bench);
    await storage.runs.cancel(ALICE, { run_id: run.run_id }, "interrupt");
    expect(await storage.runs.evict(fence)).toMatchObject({ run: { status: "interrupted" } });
    expect(await storage.runs.finish(fence, outcome({ status: "interrupted" }))).toEqual({ kind: "fenced" });
    // Told again, because its answer was lost, is something else.
    const again = await claimed(bench, (await create(bench, id())).run_id);
    for (const _ of [1, 2]) {
      const ended = await storage.runs.finish(again.fence, outcome({ status: "interrupted" }));
      expect(ended).toMatchObject({ kind: "finished" });
    }
  });
});
