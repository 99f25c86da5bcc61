import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { ALICE, fenceOf, outcome } from "../contract/harness.ts";
import { redisAvailable } from "../servers/redis.ts";
import { Bed, Follower, say, says, streamOf, until } from "./valkey-bed.ts";

let bed: Bed;

describe.skipIf(redisAvailable() !== undefined)("the live log over Valkey", () => {
  beforeAll(async () => {
    bed = await Bed.open();
  });

  afterAll(async () => {
    await bed[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    bed.asked = [];
  });

  it("shows a run to another process from its first event to its end, and the database is not asked", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    await bed.sayLive(run, says(fence, 0, "0", "1"));
    await follower.look();
    expect(follower.ids).toEqual(["0-0", "0-1"]);
    await follower.look();
    await bed.sayLive(run, [...says(fence, 2, "0", "1", "2"), ...says(fence, 5, JSON.stringify("ünï😀\t%"))]);
    const { more } = await follower.look(2);
    expect([more, follower.ids.length]).toEqual([true, 4]);
    await bed.executor.runs.finish(fence, outcome({ events: says(fence, 6) }));
    await until(async () => (await bed.raw.xlen(streamOf(run))) === 4);
    await follower.toEnd();
    expect(bed.asked).toEqual([]);
    expect(follower.rows).toEqual(
      await bed.database.events.read(ALICE, { thread_id: run.thread_id, run_id: run.run_id, limit: 100 }),
    );
    expect(await bed.raw.ttl(streamOf(run))).toBeGreaterThan(0);
  });

  it("hints as it grows, and shows events before they are stored; the end of a run only after", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    let heard = 0;
    const stop = bed.reader.signals.subscribe((hint) => {
      if (hint.kind === "log" && hint.run_id === run.run_id) heard++;
    });
    const stored = Promise.withResolvers<void>();
    bed.storing = stored.promise;
    const saying = say(bed.executor, fence, says(fence, 0));
    await until(() => heard > 0);
    await follower.look();
    expect([follower.ids, bed.asked]).toEqual([["0-0"], []]);
    stored.resolve();
    await saying;
    stop();
    const next = await bed.again(run);
    expect((await bed.executor.runs.finish(fence, outcome({ events: says(fence, 1) }))).kind).toBe("fenced");
    await bed.sayLive(next, says(fenceOf(next), 0));
    while ((await follower.look()).more);
    expect([follower.ids, follower.over]).toEqual([["0-0", "1-0"], false]);
  });

  it("leaves runs whose log is not kept to the database", async () => {
    const run = await bed.start({ logged: false });
    const follower = new Follower(bed, run);
    await bed.executor.runs.finish(fenceOf(run), outcome({ events: says(fenceOf(run), 0, "0", "1") }));
    await follower.toEnd();
    expect(follower.ids).toEqual(["0-0", "0-1"]);
    expect([bed.asked, await bed.raw.exists(streamOf(run))]).toEqual([[run.run_id], 0]);
  });

  it("does not begin a stream for the end of a run", async () => {
    const [run, other] = [await bed.start(), await bed.start()];
    await bed.sayLive(run, says(fenceOf(run), 0));
    await bed.raw.flushall();
    await bed.executor.runs.finish(fenceOf(run), outcome({ events: says(fenceOf(run), 1) }));
    await bed.sayLive(other, says(fenceOf(other), 0));
    expect(await bed.raw.exists(streamOf(run))).toBe(0);
  });

  it("takes an append that is repeated once", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    await say(bed.executor, fence, says(fence, 0, "0", "1"));
    await follower.look();
    await say(bed.executor, fence, says(fence, 0, "0", "1"));
    await say(bed.executor, fence, says(fence, 0, "0", "1", "2", "3"));
    await follower.look();
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2", "0-3"]);
    expect(bed.connected).toBe(true);
  });

  it("refuses what an attempt says after the next one has spoken", async () => {
    const run = await bed.start();
    const follower = new Follower(bed, run);
    await say(bed.executor, fenceOf(run), says(fenceOf(run), 0, "0", "1"));
    const next = await bed.again(run);
    await bed.sayLive(next, says(fenceOf(next), 0));
    expect(await say(bed.executor, fenceOf(run), says(fenceOf(run), 2))).toBe("fenced");
    await bed.sayLive(next, says(fenceOf(next), 1));
    const ids = (await bed.raw.xrange(streamOf(run), "-", "+")).map(([id]) => id);
    expect(ids).toEqual([`${run.epoch}-2`, `${next.epoch}-1`, `${next.epoch}-2`]);
    await bed.executor.runs.finish(fenceOf(next), outcome({ events: says(fenceOf(next), 2) }));
    await follower.toEnd();
    expect(follower.ids).toEqual(["0-0", "0-1", "1-0", "1-1", "1-2"]);
  });

  it("does not skip the rest of an attempt that reached only the database", async () => {
    const run = await bed.start();
    const follower = new Follower(bed, run);
    await bed.sayLive(run, says(fenceOf(run), 0, "0", "1"));
    await follower.look();
    await say(bed.database, fenceOf(run), says(fenceOf(run), 2, "0", "1"));
    const next = await bed.again(run);
    await say(bed.executor, fenceOf(next), says(fenceOf(next), 0));
    await until(async () => {
      await follower.look();
      return follower.rows.length >= 5;
    });
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2", "0-3", "1-0"]);
  });

  it("finds out what an executor that has lost Valkey says, and how its run ends", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    await bed.sayLive(run, says(fence, 0));
    await follower.look();
    await say(bed.database, fence, says(fence, 1));
    await until(async () => {
      await follower.look();
      return follower.rows.length === 2;
    });
    await say(bed.executor, fence, says(fence, 2));
    await follower.look();
    await bed.database.runs.finish(fence, outcome());
    await follower.toEnd();
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2"]);
  });

  for (const action of ["interrupt", "rollback"] as const) {
    it(`tells at once that a run was taken away by a cancel (${action})`, async () => {
      const run = await bed.start();
      const follower = new Follower(bed, run);
      await bed.sayLive(run, says(fenceOf(run), 0));
      await follower.look();
      await bed.executor.runs.cancel(ALICE, { run_id: run.run_id }, action);
      await bed.executor.runs.evict(fenceOf(run));
      // It goes by another connection than the reader's.
      await until(async () => (await bed.raw.exists(streamOf(run))) === 0);
      await follower.look();
      expect(follower.over).toBe(true);
    });
  }

  it("has no part in what is too large for it", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    await say(bed.executor, fence, says(fence, 0));
    await say(bed.executor, fence, says(fence, 1, JSON.stringify("x".repeat(1_100_000))));
    await say(bed.executor, fence, says(fence, 2));
    await bed.executor.runs.finish(fence, outcome({ events: says(fence, 3) }));
    await follower.toEnd();
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2", "0-3"]);
    expect(await bed.raw.memory("USAGE", streamOf(run))).toBeLessThan(100_000);
  });

  it("keeps neither writers nor readers when the server stops answering, and goes on when it is back", async () => {
    const run = await bed.start();
    const fence = fenceOf(run);
    const follower = new Follower(bed, run);
    await say(bed.executor, fence, says(fence, 0));
    await follower.look();
    await bed.server.pause();
    for (let n = 1; n <= 3; n++) {
      expect(await say(bed.executor, fence, says(fence, n))).toBe("written");
      await follower.look();
    }
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2", "0-3"]);
    await bed.server.resume();
    await until(() => bed.connected);
    await say(bed.executor, fence, says(fence, 4));
    await bed.executor.runs.finish(fence, outcome({ events: says(fence, 5) }));
    await follower.toEnd();
    expect(follower.ids).toEqual(["0-0", "0-1", "0-2", "0-3", "0-4", "0-5"]);
  }, 20_000);
});

describe.skipIf(redisAvailable() !== undefined)("a Valkey server that refuses what is written", () => {
  it("is told of in the log, and nothing of what people wrote", async () => {
    await using own = await Bed.open();
    const run = await own.start();
    await own.raw.config("SET", "maxmemory", "1");
    expect(await say(own.executor, fenceOf(run), says(fenceOf(run), 0, '"my secret wish"'))).toBe("written");
    await until(() => own.logged.includes("lost Valkey"));
    expect(own.logged).toContain("OOM command not allowed");
    expect(own.logged).not.toContain("secret wish");
  });
});
