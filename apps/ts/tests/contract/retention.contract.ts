import { describe, expect, it } from "bun:test";
import {
  ALICE,
  checkpoint,
  claimed,
  create,
  type Engine,
  event,
  id,
  json,
  outcome,
  put,
  running,
  text,
  useStorage,
  write,
  writes,
} from "./harness.ts";

const HOUR = 3_600_000;

export function retentionContract(engine: Engine): void {
  describe(`Retention (${engine.name})`, () => {
    const bench = useStorage(engine);
    const sweep = (batch = 1000) => bench.storage.retention.sweep({ eventHours: 1, batch });
    /** Sweeps of a round, as the server makes it. */
    const round = async (batch?: number) => {
      let sweeps = 0;
      while ((await sweep(batch)) > 0) if (++sweeps > 100) throw new Error("the round does not end");
      return sweeps;
    };
    const log = (threadId: string) => bench.storage.events.read(ALICE, { thread_id: threadId, limit: 100 });

    it("drops events an hour after their run ended, and none of a run that goes on", async () => {
      const [done, going] = [await running(bench), await running(bench)];
      for (const { run, fence } of [going, done]) {
        const rows = [0, 1, 2].map((n) => event(1, n, { run_id: run.run_id, at: Date.now() }));
        await bench.storage.checkpoints.commit([{ kind: "events", fence, rows }]);
      }
      await bench.storage.runs.finish(done.fence, outcome());
      await bench.advance(HOUR - 1000);
      expect(await sweep()).toBe(0);
      await bench.advance(2000);
      // In batches smaller than the rows that stay in the way.
      let dropped = 0;
      for (let i = 0; i < 6; i++) dropped += await sweep(2);
      // An engine may keep several events in one row.
      expect(dropped).toBeGreaterThan(0);
      expect(await log(done.run.thread_id)).toEqual([]);
      expect(await log(going.run.thread_id)).toHaveLength(3);
    });

    it("deletes expired threads piece by piece; from the first piece on they look absent", async () => {
      const threadId = id();
      await bench.storage.threads.insert(ALICE, {
        thread_id: threadId,
        metadata: {},
        ttl: { strategy: "delete", ttl_minutes: 1 },
      });
      const { fence } = await claimed(bench, (await create(bench, threadId)).run_id);
      await bench.storage.checkpoints.commit([1, 2, 3, 4].map((n) => put(fence, checkpoint(fence, `c${n}`))));
      await bench.advance(61_000);
      await sweep();
      expect(await bench.storage.threads.find(ALICE, threadId)).toBeDefined();
      await bench.storage.runs.finish(fence, outcome());
      await bench.advance(61_000);
      expect(await sweep(2)).toBeGreaterThan(0);
      expect(await bench.storage.threads.find(ALICE, threadId)).toBeUndefined();
      while ((await sweep(2)) > 0);
      expect(await bench.storage.threads.insert(ALICE, { thread_id: threadId, metadata: {} })).toBeDefined();
      expect(await bench.storage.checkpoints.list(ALICE, { thread_id: threadId })).toEqual([]);
    });

    it("prunes instead of deleting where the thread asks for it", async () => {
      const threadId = id();
      await bench.storage.threads.insert(ALICE, {
        thread_id: threadId,
        metadata: {},
        ttl: { strategy: "keep_latest", ttl_minutes: 1 },
      });
      const { fence } = await claimed(bench, (await create(bench, threadId)).run_id);
      await bench.storage.checkpoints.commit([1, 2].map((n) => put(fence, checkpoint(fence, `c${n}`))));
      await bench.storage.runs.finish(fence, outcome());
      await bench.advance(61_000);
      await sweep();
      const left = await bench.storage.checkpoints.list(ALICE, { thread_id: threadId });
      expect(left.map((c) => c.row.checkpoint_id)).toEqual(["c2"]);
      expect((await bench.storage.threads.find(ALICE, threadId))?.ttl).toBeDefined();
    });

    it("ends its round though a thread that is pruned has no time to live", async () => {
      const threadId = id();
      await bench.storage.threads.insert(ALICE, {
        thread_id: threadId,
        metadata: {},
        ttl: { strategy: "keep_latest", ttl_minutes: 1e-9 },
      });
      await bench.advance(1);
      expect(await round()).toBe(1);
      await bench.advance(59_000);
      expect(await round()).toBe(0);
      await bench.advance(61_000);
      expect(await round()).toBe(1);
      expect(await bench.storage.threads.find(ALICE, threadId)).toBeDefined();
    });

    it("goes on past more threads at work than it looks at in a sweep", async () => {
      const thread_ttl = { strategy: "delete", ttl_minutes: 1 } as const;
      for (let i = 0; i < 45; i++) await running(bench, { thread_ttl });
      await bench.advance(10);
      const idle = id();
      await bench.storage.threads.insert(ALICE, { thread_id: idle, metadata: {}, ttl: thread_ttl });
      await bench.advance(120_000);
      await round();
      expect(await bench.storage.threads.find(ALICE, idle)).toBeUndefined();
    });

    it("goes on past more threads without garbage than it looks at in a sweep", async () => {
      const rolledBack = async (threadId: string, blobs: Record<string, string>) => {
        const { run, fence } = await running(bench, { thread_id: threadId });
        const large = Object.fromEntries(Object.keys(blobs).map((channel) => [channel, json("large")]));
        await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c1", { blobs }), large)]);
        await bench.storage.runs.cancel(ALICE, { run_id: run.run_id }, "rollback");
        await bench.storage.runs.finish(fence, outcome());
      };
      const nth = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
      for (let n = 0; n < 45; n++) await rolledBack(nth(n), {});
      await rolledBack("ffffffff-0000-4000-8000-000000000000", { a: "1" });
      // 46 threads, 20 a sweep; the blob counts like the marks.
      expect(await round()).toBe(3);
      expect(await sweep()).toBe(0);
    });

    it("goes on past more events that stay than it looks at in a sweep", async () => {
      const [going, done] = [await running(bench), await running(bench)];
      for (const { run, fence } of [going, done]) {
        for (let n = 0; n < 7; n++) {
          const rows = [event(1, n, { run_id: run.run_id, at: Date.now() })];
          await bench.storage.checkpoints.commit([{ kind: "events", fence, rows }]);
        }
      }
      await bench.storage.runs.finish(done.fence, outcome());
      await bench.advance(2 * HOUR);
      await round(3);
      expect(await log(done.run.thread_id)).toEqual([]);
      expect(await log(going.run.thread_id)).toHaveLength(7);
    });

    it("hides the whole log of a run before the first piece of it goes", async () => {
      const { run, fence } = await running(bench);
      for (let n = 0; n < 10; n++) {
        const rows = [event(1, n, { run_id: run.run_id, at: Date.now() })];
        await bench.storage.checkpoints.commit([{ kind: "events", fence, rows }]);
      }
      await bench.storage.runs.finish(fence, outcome());
      await bench.advance(2 * HOUR);
      const { thread_id, run_id } = run;
      const read = () => bench.storage.events.read(ALICE, { thread_id, run_id, limit: 100 });
      expect(await read()).toHaveLength(10);
      expect(await sweep(4)).toBe(4);
      expect(await read()).toEqual([]);
      const [news] = await bench.storage.events.news([{ thread_id, run_id, after: { epoch: -1, n: -1 } }], 100);
      expect(news).toMatchObject({ over: true, rows: [], more: false });
      // The rest is still there, and goes.
      expect(await log(thread_id)).toHaveLength(6);
      await round(4);
      expect(await log(thread_id)).toEqual([]);
    });

    it("drops blobs that no checkpoint of their thread refers to, and only those", async () => {
      const { run, fence } = await running(bench);
      const row = (n: number, blobs: Record<string, string>, ns = "") =>
        checkpoint(fence, `c${n}`, { blobs, checkpoint_ns: ns });
      await bench.storage.checkpoints.commit([
        put(fence, row(1, { a: "1" }), { a: json("old") }),
        put(fence, row(2, { a: "2", b: "1" }), { a: json("new"), b: json("kept") }),
        put(fence, row(3, { a: "1" }, "sub"), { a: json("sub") }),
        writes(fence, write(fence, "c2")),
      ]);
      await bench.storage.runs.finish(fence, outcome());
      expect(await sweep()).toBe(0);
      await bench.storage.threads.prune(ALICE, [run.thread_id], "keep_latest");
      expect(await sweep()).toBeGreaterThan(0);
      const found = await bench.storage.checkpoints.list(ALICE, { thread_id: run.thread_id });
      expect(found.map((c) => [text(c.values.a), text(c.values.b)])).toEqual([
        ["sub", undefined],
        ["new", "kept"],
      ]);
      expect(await sweep()).toBe(0);
    });
  });
}
