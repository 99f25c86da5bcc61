import { describe, expect, it } from "bun:test";
import {
  ALICE,
  claimed,
  crash,
  create,
  type Engine,
  fenceOf,
  id,
  outcome,
  running,
  state,
  useStorage,
  WORKER,
} from "./harness.ts";

const ONE = { ...WORKER, slots: 1 };

export function queueContract(engine: Engine): void {
  describe(`RunRepository, the queue as a whole (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;

    /** Run ids in the order in which single slots get them. */
    async function order(): Promise<string[]> {
      const taken: string[] = [];
      for (;;) {
        const [run] = await runs().claim(ONE);
        if (run === undefined) return taken;
        taken.push(run.run_id);
      }
    }

    it("takes the runs that somebody waits for first, and bulk work last", async () => {
      const bulk = await create(bench, id(), { priority: -1 });
      const plain = await create(bench, id());
      const waitedFor = await create(bench, id(), { priority: 1 });
      const explicit = await create(bench, id(), { priority: 0 });
      expect(await order()).toEqual([waitedFor, plain, explicit, bulk].map((r) => r.run_id));
    });

    it("takes them in that order also when it takes many at once", async () => {
      const bulk = await create(bench, id(), { priority: -1 });
      const plain = await create(bench, id());
      const waitedFor = await create(bench, id(), { priority: 1 });
      const first = await runs().claim({ ...WORKER, slots: 2 });
      expect(first.map((r) => r.run_id)).toEqual([waitedFor.run_id, plain.run_id]);
      expect((await runs().claim(WORKER)).map((r) => r.run_id)).toEqual([bulk.run_id]);
    });

    it("lets others pass a tenant that is ahead of its share, within a priority, and delays nobody", async () => {
      const ahead = await create(bench, id(), { ahead_ms: 60_000 });
      const farther = await create(bench, id(), { ahead_ms: 90_000 });
      await bench.advance(30_000);
      const other = await create(bench, id());
      const bulk = await create(bench, id(), { priority: -1 });
      await bench.advance(45_000);
      const late = await create(bench, id());
      expect(await order()).toEqual([other, ahead, late, farther, bulk].map((r) => r.run_id));
      const alone = await create(bench, id(), { ahead_ms: 3_600_000 });
      expect(await order()).toEqual([alone.run_id]);
    });

    it("takes a run that was tried before ahead of any that was not", async () => {
      const { run, fence } = await running(bench, { priority: -1, ahead_ms: 60_000 });
      const waitedFor = await create(bench, id(), { priority: 1 });
      await runs().retry(fence, { error: "E", message: "m" }, "outage");
      expect(await order()).toEqual([run.run_id, waitedFor.run_id]);
    });

    it("keeps the order of creation within a thread, whatever the priority", async () => {
      const first = await create(bench, id(), { priority: -1, ahead_ms: 60_000 });
      const second = await create(bench, first.thread_id);
      const third = await create(bench, first.thread_id, { priority: 1 });
      const elsewhere = await create(bench, id());
      expect(await order()).toEqual([elsewhere.run_id, first.run_id]);
      for (const [done, next] of [
        [first, second],
        [second, third],
      ] as const) {
        const held = await runs().find(ALICE, done.run_id);
        if (held === undefined) throw new Error("gone");
        await runs().finish(fenceOf(held), outcome());
        expect(await order()).toEqual([next.run_id]);
      }
    });

    it("counts what waits, what is ready and for how long", async () => {
      expect(await runs().counts()).toEqual({ pending: 0, running: 0, ready: 0, oldest_ms: 0, quarantined: 0 });
      const { run } = await running(bench);
      await create(bench, run.thread_id);
      await create(bench, id(), { after_seconds: 30 });
      expect(await runs().counts()).toEqual({ pending: 2, running: 1, ready: 0, oldest_ms: 0, quarantined: 0 });
      await bench.advance(40_000);
      const due = await runs().counts();
      expect(due).toMatchObject({ pending: 2, running: 1, ready: 1 });
      expect(due.oldest_ms).toBeGreaterThanOrEqual(10_000);
      expect(due.oldest_ms).toBeLessThan(40_000);
      await create(bench, id());
      await bench.advance(60_000);
      const more = await runs().counts();
      expect(more).toMatchObject({ pending: 3, running: 1, ready: 2 });
      expect(more.oldest_ms).toBeGreaterThanOrEqual(70_000);
      await runs().claim(WORKER);
      expect(await runs().counts()).toEqual({ pending: 1, running: 3, ready: 0, oldest_ms: 0, quarantined: 0 });
    });

    it("finds nothing to mend after all kinds of work", async () => {
      expect(await runs().audit()).toBe(0);
      const done = await running(bench);
      await runs().finish(done.fence, outcome({ state: state({ v: 1 }) }));
      const lost = await running(bench, { max_attempts: 5 });
      await create(bench, lost.run.thread_id);
      await crash(bench);
      await claimed(bench, lost.run.run_id);
      await crash(bench);
      const given = await running(bench);
      await runs().release(given.fence);
      const tried = await running(bench, { max_attempts: 1 });
      await runs().retry(tried.fence, { error: "E", message: "m" }, "fault");
      const evicted = await running(bench);
      await create(bench, evicted.run.thread_id, { multitask_strategy: "rollback" });
      await runs().evict(evicted.fence);
      const removed = await running(bench);
      await create(bench, removed.run.thread_id, { after_seconds: 9 });
      await runs().cancel(ALICE, { run_id: removed.run.run_id }, "rollback");
      await runs().finish(removed.fence, outcome());
      await running(bench);
      const written = await create(bench, id(), { after_seconds: 9 });
      await runs().cancel(ALICE, { run_id: written.run_id }, "interrupt");
      await bench.storage.lanes.acquire(ALICE, written.thread_id, { writer_id: id() });
      await create(bench, written.thread_id);
      expect(await runs().audit()).toBe(0);
      await bench.advance(10_000);
      expect(await runs().audit()).toBe(0);
      await bench.advance(60_000);
      await runs().sweep();
      expect(await runs().audit()).toBe(0);
    });
  });
}
