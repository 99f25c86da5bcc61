import { describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { ANONYMOUS } from "#core/identity/scope";
import { closeFeeds } from "#core/runs/close-feeds";
import { Hints } from "#core/runs/hints";
import type { RunRecord } from "#core/runs/repository";
import { type Hint, NO_SIGNALS } from "#core/signals";
import type { Storage } from "#core/storage";
import type { RunFeed } from "#core/streams/feed";
import { Follower, type FollowerPace } from "#core/streams/follower";
import { FeedHub } from "#core/streams/hub";
import { enlist, event, fenceOf, newRun, useStorage, WORKER } from "../contract/harness.ts";
import { sqlite } from "../contract/sqlite-engine.ts";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { runPath, until } from "../runs/server.ts";
import { overheard, sharedSqlite } from "./engines.ts";
import { seen } from "./fixtures/keys.ts";
import { Fleet } from "./fleet.ts";

const project = `${import.meta.dir}/fixtures/langgraph.json`;

describe("a worker", () => {
  it("never takes more runs than it has slots, however many are created at once", async () => {
    await using fleet = await Fleet.start(sharedSqlite, [{ concurrency: 3 }]);
    const server = fleet.server(0);
    const name = crypto.randomUUID();
    let most = 0;
    const created = Array.from({ length: 20 }, async () => {
      const thread = await server.thread();
      const { body } = await server.post(thread.runs, { assistant_id: "gate", input: { name } });
      most = Math.max(most, server.worker.running);
      return body;
    });
    const runs = await Promise.all(created);
    await arrival(name);
    await until(() => server.worker.running === 3);
    expect(await server.storage.runs.counts()).toMatchObject({ pending: 17, running: 3 });
    open(name);
    for (const run of runs) await server.reached(run, "success");
    expect(most).toBeLessThanOrEqual(3);
  });

  it("comes back as another one after it has lost its lease, and claims nothing in between", async () => {
    await using fleet = await Fleet.start(sharedSqlite, [{ concurrency: 3 }]);
    const server = fleet.server(0);
    const before = server.worker.id;
    await fleet.lose(0);
    await until(() => server.worker.id !== undefined);
    expect(server.worker.id).not.toBe(before);
    const thread = await server.thread();
    const waited = await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
    expect(waited.body.count).toBe(1);
    expect(server.log.join("")).toContain("lost its lease");
  });

  it("gives the same idempotency key to a task that is executed again elsewhere", async () => {
    await using fleet = await Fleet.start(sharedSqlite, [{ concurrency: 0 }, { concurrency: 1 }], project);
    const a = fleet.server(0);
    const thread = await a.thread();
    const name = crypto.randomUUID();
    const waited = a.post(`${thread.runs}/wait`, { assistant_id: "keys", input: { name } });
    await until(() => seen.get(name)?.length === 2);
    await fleet.lose(1);
    expect((await waited).status).toBe(200);
    const keys = seen.get(name) ?? [];
    expect(keys.map(({ node }) => node)).toEqual(["first", "second", "second"]);
    expect(keys[1]?.key).toBe(keys[2]?.key as string);
    expect(keys[0]?.key).not.toBe(keys[1]?.key as string);
  });
});

describe("hints", () => {
  it("tell of runs that this server has no slot for, of what their logs gain, and of cancels", async () => {
    const said: Hint[] = [];
    await using fleet = await Fleet.start(overheard(sharedSqlite, said), [{ concurrency: 0 }, { concurrency: 1 }]);
    const a = fleet.server(0);
    const thread = await a.thread();
    const name = crypto.randomUUID();
    said.length = 0;
    const { body: run } = await a.post(thread.runs, { assistant_id: "gate", input: { name }, stream_resumable: true });
    expect(said[0]).toEqual({ kind: "wake" });
    await arrival(name);
    const isLog = (hint: Hint) => hint.kind === "log" && hint.run_id === run.run_id;
    await until(() => said.some(isLog));
    await a.post(`${runPath(run)}/cancel?action=rollback`);
    expect(said).toContainEqual({ kind: "cancel", run_id: run.run_id, action: "rollback" });
    // Its executor may have said so before the cancel is answered.
    const cancelled = said.findIndex(({ kind }) => kind === "cancel");
    await until(() => said.slice(cancelled).some(isLog));
  });

  it("are kept to itself by a process that is alone, and not by one that executes nothing", () => {
    const said: Hint[] = [];
    const signals = { ...NO_SIGNALS, publish: (hint: Hint) => void said.push(hint) };
    const hints = new Hints(signals, { shared: true, always: false });
    hints.wake();
    hints.processes = 1;
    hints.wake();
    hints.heard();
    hints.log("r");
    new Hints(signals, { shared: false, always: false }).wake();
    const api = new Hints(signals, { shared: true, always: true });
    api.processes = 1;
    api.wake();
    expect(said.map(({ kind }) => kind)).toEqual(["wake", "log", "wake"]);
  });
});

describe("a role", () => {
  it("of api accepts and reads runs, and leaves their execution to the workers", async () => {
    await using fleet = await Fleet.start(sharedSqlite, [{ role: "api" }, { role: "worker" }]);
    const [api, worker] = [fleet.server(0), fleet.server(1)];
    const name = crypto.randomUUID();
    const thread = await api.thread();
    const stream = api.stream(thread.runs, { assistant_id: "gate", input: { name } });
    await arrival(name);
    expect([api.worker.running, worker.worker.running]).toEqual([0, 1]);
    open(name);
    expect((await stream).at(-1)?.event).toBe("end");
  });
});

describe("the follower of a run's log", () => {
  const bench = useStorage(sqlite);
  const logger = createLogger({ level: "silent", json: true, write: () => undefined });
  /** It never looks by itself. */
  const STILL: Partial<FollowerPace> = { hintedMs: 1e9, unhintedMs: 1e9, idleMs: 1e9 };

  function followerOf(storage: Storage, hub = new FeedHub()) {
    return { hub, follower: new Follower({ events: storage.events, signals: NO_SIGNALS, hub, logger }, STILL) };
  }

  async function logged(changes: object = {}): Promise<RunRecord> {
    const run = newRun(crypto.randomUUID(), changes);
    const outcome = await bench.storage.runs.create(ANONYMOUS, run, WORKER);
    if (outcome.kind !== "created" || !outcome.claimed) throw new Error("not claimed");
    return outcome.run;
  }

  const say = async (run: RunRecord, ...ns: number[]) => {
    const fence = fenceOf(run);
    const rows = ns.map((n) => event(run.epoch, n, { run_id: run.run_id }));
    await bench.storage.checkpoints.commit([{ kind: "events", fence, rows }]);
  };

  const idsIn = (feed: RunFeed) => feed.slice(0).map(({ epoch, n }) => `${epoch}-${n}`);
  const target = (run: RunRecord) => ({
    thread_id: run.thread_id,
    run_id: run.run_id,
    after: { epoch: -1, n: -1 },
    stored: (after: { epoch: number; n: number }, limit: number) =>
      bench.storage.events.read(ANONYMOUS, { thread_id: run.thread_id, run_id: run.run_id, after, limit }),
    ended: async () => {
      const { error = null } = (await bench.storage.runs.find(ANONYMOUS, run.run_id)) ?? {};
      return { body: '{"done":1}', error };
    },
  });

  it("puts what a dead attempt left into the feed before another attempt writes it", async () => {
    const first = await logged();
    await say(first, 0, 1);
    const { hub, follower } = followerOf(bench.storage);
    const feed = hub.open(first.run_id, true);
    await follower.follow(feed, target(first));
    expect(idsIn(feed)).toEqual(["1-0", "1-1"]);
    await say(first, 2, 3);
    await bench.storage.workers.remove("w1");
    await bench.storage.runs.sweep();
    await enlist(bench, "w1");
    const [second] = await bench.storage.runs.claimSuspects(WORKER);
    if (second === undefined) throw new Error("not claimed");
    await say(second, 0);
    await follower.handOver(first.run_id, second.epoch);
    expect(idsIn(feed)).toEqual(["1-0", "1-1", "1-2", "1-3"]);
    expect([follower.size, feed.followed]).toEqual([0, false]);
    follower.close();
  });

  it("puts the rest of a log into the feed before the end of a run that was given up", async () => {
    const run = await logged({ max_attempts: 1 });
    const { hub, follower } = followerOf(bench.storage);
    const feed = hub.open(run.run_id, true);
    await follower.follow(feed, target(run));
    await say(run, 0, 1);
    await bench.storage.workers.remove("w1");
    const [swept] = await bench.storage.runs.sweep();
    expect(swept?.result).toBe("exhausted");
    const hints = new Hints(NO_SIGNALS, { shared: true, always: false });
    const env = { hub, follower, hints, logger, storage: bench.storage };
    await closeFeeds(env, ANONYMOUS, {
      thread_id: run.thread_id,
      run_ids: [run.run_id],
      error: swept?.run.error ?? null,
    });
    await until(() => feed.state === "ended");
    expect(idsIn(feed)).toEqual(["1-0", "1-1", "1-null"]);
    expect(feed.slice(2)[0]).toMatchObject({ mode: "error" });
    follower.close();
  });

  it("reads on where a log is longer than one answer, and ends a feed only when all of it is there", async () => {
    const run = await logged();
    await say(run, ...Array.from({ length: 1_300 }, (_, n) => n));
    const end = { status: "interrupted" as const, error: null, scope: "", state: undefined, events: [] };
    await bench.storage.runs.finish(fenceOf(run), end);
    const { hub, follower } = followerOf(bench.storage);
    const feed = hub.open(run.run_id, true);
    await follower.follow(feed, target(run));
    expect(idsIn(feed)).toEqual([...Array.from({ length: 1_300 }, (_, n) => `1-${n}`), "1-null"]);
    expect([feed.state, feed.result?.body, hub.size, follower.size]).toEqual(["ended", '{"done":1}', 0, 0]);
    follower.close();
  });

  it("lets go of a feed that nobody reads, and not of one that somebody reads or waits for", async () => {
    const run = await logged();
    const hub = new FeedHub();
    const follower = new Follower(
      { events: bench.storage.events, signals: NO_SIGNALS, hub, logger },
      { hintedMs: 5, unhintedMs: 5, idleMs: 0 },
    );
    const feed = hub.open(run.run_id, true);
    feed.readers = 1;
    await follower.follow(feed, target(run));
    await say(run, 0);
    await until(() => feed.end === 1);
    expect(follower.size).toBe(1);
    feed.readers = 0;
    await until(() => follower.size === 0);
    expect(hub.size).toBe(0);
    follower.close();
  });

  it("leaves a feed alone that an attempt of this process writes", async () => {
    const run = await logged();
    await say(run, 0);
    const { hub, follower } = followerOf(bench.storage);
    const feed = hub.open(run.run_id);
    feed.executing = true;
    await follower.follow(feed, target(run));
    expect([follower.size, feed.end]).toEqual([0, 0]);
    follower.close();
  });
});
