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
