import { describe, expect, it } from "bun:test";
import type { Fence } from "#core/runs/fence";
import {
  ALICE,
  checkpoint,
  claimed,
  create,
  type Engine,
  event,
  id,
  lose,
  outcome,
  put,
  running,
  STRANGERS,
  state,
  useStorage,
  WORKER,
} from "./harness.ts";

export function lanesContract(engine: Engine): void {
  describe(`LaneRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const lanes = () => bench.storage.lanes;

    async function thread(metadata = {}): Promise<string> {
      const threadId = id();
      await bench.storage.threads.insert(ALICE, { thread_id: threadId, metadata });
      return threadId;
    }

    async function held(threadId: string): Promise<Fence> {
      const fence = await lanes().acquire(ALICE, threadId, { writer_id: id() });
      if (typeof fence === "string") throw new Error(fence);
      return fence;
    }

    it("refuses a missing or foreign thread, and one with a run pending or running", async () => {
      const threadId = await thread({ team: "blue" });
      for (const scope of STRANGERS)
        expect(await lanes().acquire(scope, threadId, { writer_id: id() })).toBe("no_thread");
      expect(await lanes().acquire(ALICE, id(), { writer_id: id() })).toBe("no_thread");
      const run = await create(bench, threadId, { after_seconds: 9 });
      expect(await lanes().acquire(ALICE, threadId, { writer_id: id() })).toBe("busy");
      await bench.advance(9000);
      const { fence } = await claimed(bench, run.run_id);
      expect(await lanes().acquire(ALICE, threadId, { writer_id: id() })).toBe("busy");
      await bench.storage.runs.finish(fence, outcome());
      expect(await held(threadId)).toMatchObject({ epoch: 2 });
    });

    it("writes like a run does while it holds the lane, and keeps runs waiting", async () => {
      const threadId = await thread({ a: 1 });
      const fence = await held(threadId);
      expect(await lanes().acquire(ALICE, threadId, { writer_id: id() })).toBe("busy");
      const waiting = await create(bench, threadId);
      expect(await bench.storage.runs.claim(WORKER)).toEqual([]);
      const row = checkpoint(fence, "c1", { run_id: null });
      expect(await bench.storage.checkpoints.commit([put(fence, row)])).toEqual(["written"]);
      const change = {
        scope: "s",
        state: state({ v: 1 }, { pending: true }),
        metadata: { b: 2 },
        events: [event(fence.epoch, 0)],
      };
      expect(await lanes().complete(fence, change)).toMatchObject({
        status: "busy",
        values: { v: 1 },
        metadata: { a: 1, b: 2 },
      });
      expect(await bench.storage.threads.lastScope(ALICE, threadId)).toBe("s");
      expect(await lanes().complete(fence, change)).toBe("fenced");
      expect((await bench.storage.checkpoints.commit([put(fence, row)]))[0]).toBe("fenced");
      expect((await bench.storage.runs.claim(WORKER)).map((r) => r.run_id)).toEqual([waiting.run_id]);
    });

    it("makes the status follow the new state and forgets the last failure", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.runs.finish(fence, outcome({ status: "error", error: { error: "E", message: "m" } }));
      const write = async (pending: boolean) => {
        const change = { scope: "", state: state({}, { pending }), metadata: {}, events: [] };
        return lanes().complete(await held(run.thread_id), change);
      };
      expect(await write(true)).toMatchObject({ status: "interrupted", error: null });
      expect(await write(false)).toMatchObject({ status: "idle" });
    });

    it("keeps the failure of the last run where it still stands", async () => {
      const threadId = await thread();
      const error = { error: "E", message: "m" };
      const change = { scope: "", state: state({ v: 1 }, { pending: true }), metadata: {}, events: [], error };
      const written = await lanes().complete(await held(threadId), change);
      expect(written).toMatchObject({ status: "error", error, values: { v: 1 } });
    });

    it("frees the lane after a failed write, once", async () => {
      const threadId = await thread();
      const fence = await held(threadId);
      await lanes().abandon(fence);
      const next = await held(threadId);
      await lanes().abandon(fence);
      expect(await lanes().acquire(ALICE, threadId, { writer_id: id() })).toBe("busy");
      expect(next.epoch).toBe(2);
    });

    it("takes the lane from a writer with its worker's lease, however long the write takes until then", async () => {
      const threadId = await thread();
      const fence = await lanes().acquire(ALICE, threadId, { writer_id: id(), worker_id: "w2" });
      if (typeof fence === "string") throw new Error(fence);
      const waiting = await create(bench, threadId);
      await bench.advance(90_000);
      await bench.storage.runs.sweep();
      expect(await bench.storage.runs.claim(WORKER)).toEqual([]);
      await lose(bench, "w2");
      await bench.storage.runs.sweep();
      expect((await bench.storage.runs.claim(WORKER)).map((r) => r.run_id)).toEqual([waiting.run_id]);
      expect(await lanes().complete(fence, { scope: "", state: state({}), metadata: {}, events: [] })).toBe("fenced");
    });

    it("takes the lane from a writer without a worker after a minute, never from one that has just begun", async () => {
      const threadId = await thread();
      const fence = await held(threadId);
      const waiting = await create(bench, threadId);
      await bench.storage.runs.sweep();
      expect(await bench.storage.runs.claim(WORKER)).toEqual([]);
      await bench.advance(61_000);
      await bench.storage.runs.sweep();
      expect((await bench.storage.runs.claim(WORKER)).map((r) => r.run_id)).toEqual([waiting.run_id]);
      expect(await lanes().complete(fence, { scope: "", state: state({}), metadata: {}, events: [] })).toBe("fenced");
    });
  });
}
