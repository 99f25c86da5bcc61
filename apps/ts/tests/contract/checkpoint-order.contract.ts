import { describe, expect, it } from "bun:test";
import {
  ALICE,
  checkpoint,
  claimed,
  crash,
  type Engine,
  id,
  newRun,
  outcome,
  put,
  running,
  useStorage,
  write,
  writes,
} from "./harness.ts";

/** Ids come from the clocks of processes, which differ: only the order of writing counts. */
export function checkpointOrderContract(engine: Engine): void {
  describe(`order of checkpoints (${engine.name})`, () => {
    const bench = useStorage(engine);
    const checkpoints = () => bench.storage.checkpoints;
    const threads = () => bench.storage.threads;
    const list = async (threadId: string, query: object = {}) =>
      (await checkpoints().list(ALICE, { thread_id: threadId, checkpoint_ns: "", ...query })).map(
        ({ row }) => row.checkpoint_id,
      );
    const head = async (threadId: string) =>
      (await checkpoints().get(ALICE, { thread_id: threadId, checkpoint_ns: "" }))?.row.checkpoint_id;

    it("takes what was written last for the newest, though its id sorts below", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit([put(fence, checkpoint(fence, "c9"))]);
      await checkpoints().commit([put(fence, checkpoint(fence, "c3")), put(fence, checkpoint(fence, "c4"))]);
      await checkpoints().commit([put(fence, checkpoint(fence, "c1"))]);
      expect(await head(run.thread_id)).toBe("c1");
      expect(await list(run.thread_id)).toEqual(["c1", "c4", "c3", "c9"]);
      expect(await list(run.thread_id, { limit: 2 })).toEqual(["c1", "c4"]);
      expect(await list(run.thread_id, { filter: { source: "loop" }, limit: 3 })).toEqual(["c1", "c4", "c3"]);
      const place = { thread_id: run.thread_id, checkpoint_ns: "", run_id: run.run_id };
      expect(await checkpoints().newestOfRun(ALICE, place)).toBe("c1");
      expect(await checkpoints().newestOfRun(ALICE, { ...place, run_id: id() })).toBeUndefined();
    });

    it("keeps the order of a batch, and the place of a checkpoint that is put again", async () => {
      const { run, fence } = await running(bench);
      const ids = Array.from({ length: 120 }, (_, i) => `c${String(999 - i)}`);
      await checkpoints().commit([
        ...ids.map((name) => put(fence, checkpoint(fence, name))),
        put(fence, checkpoint(fence, ids[5] as string, { metadata: '{"again":1}' })),
      ]);
      expect(await list(run.thread_id)).toEqual([...ids].reverse());
      await checkpoints().commit([put(fence, checkpoint(fence, ids[0] as string, { metadata: '{"again":2}' }))]);
      expect(await list(run.thread_id)).toEqual([...ids].reverse());
      expect(await list(run.thread_id, { filter: { again: 2 } })).toEqual(ids.slice(0, 1));
      expect(await list(run.thread_id, { filter: { again: 1 } })).toEqual(ids.slice(5, 6));
    });

    it("lists what was written before a checkpoint, also one of another namespace", async () => {
      const { run, fence } = await running(bench);
      const sub = (name: string) => put(fence, checkpoint(fence, name, { checkpoint_ns: "sub" }));
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c9")),
        sub("s5"),
        put(fence, checkpoint(fence, "c3")),
        sub("s1"),
        put(fence, checkpoint(fence, "c4")),
      ]);
      expect(await list(run.thread_id, { before: "c4" })).toEqual(["c3", "c9"]);
      expect(await list(run.thread_id, { before: "c3" })).toEqual(["c9"]);
      expect(await list(run.thread_id, { before: "c9" })).toEqual([]);
      expect(await list(run.thread_id, { before: "s1" })).toEqual(["c3", "c9"]);
      expect(await list(run.thread_id, { before: "c3", checkpoint_ns: "sub" })).toEqual(["s5"]);
      expect(await list(run.thread_id, { before: "c4", checkpoint_ns: "sub", limit: 1 })).toEqual(["s1"]);
      expect(await list(run.thread_id, { before: "c4", checkpoint_ns: undefined })).toEqual(["s1", "c3", "s5", "c9"]);
      const query = { thread_id: run.thread_id, checkpoint_ns: "", before: "c4" };
      expect((await checkpoints().get(ALICE, query))?.row.checkpoint_id).toBe("c3");
    });

    it("lists what sorts below an id that the thread does not have", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit(["c9", "c3", "c4"].map((name) => put(fence, checkpoint(fence, name))));
      expect(await list(run.thread_id, { before: "c5" })).toEqual(["c4", "c3"]);
      expect(await list(run.thread_id, { before: "a" })).toEqual([]);
    });

    it("follows the lane from one run to the next", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit([put(fence, checkpoint(fence, "c9"))]);
      await crash(bench);
      const next = await claimed(bench, run.run_id);
      await checkpoints().commit([put(next.fence, checkpoint(next.fence, "c1"))]);
      expect(await head(run.thread_id)).toBe("c1");
      await bench.storage.runs.finish(next.fence, outcome());
      const last = await bench.storage.runs.create(ALICE, newRun(run.thread_id));
      const holder = await claimed(bench, last.kind === "created" ? last.run.run_id : "");
      await checkpoints().commit([put(holder.fence, checkpoint(holder.fence, "c0", { run_id: holder.run.run_id }))]);
      expect(await list(run.thread_id)).toEqual(["c0", "c1", "c9"]);
      const place = { thread_id: run.thread_id, checkpoint_ns: "", run_id: run.run_id };
      expect(await checkpoints().newestOfRun(ALICE, place)).toBe("c1");
    });

    it("prunes to what was written last, and copies in the order of writing", async () => {
      const { run, fence } = await running(bench);
      const sub = (name: string) => put(fence, checkpoint(fence, name, { checkpoint_ns: "sub" }));
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c9")),
        sub("s9"),
        put(fence, checkpoint(fence, "c3")),
        sub("s2"),
        put(fence, checkpoint(fence, "c5")),
        writes(fence, write(fence, "c9"), write(fence, "c5")),
      ]);
      await bench.storage.runs.finish(fence, outcome());
      const copy = id();
      await threads().copy(ALICE, run.thread_id, copy);
      expect(await list(copy)).toEqual(["c5", "c3", "c9"]);
      expect(await list(copy, { checkpoint_ns: undefined })).toEqual(["c5", "s2", "c3", "s9", "c9"]);
      for (const threadId of [copy, run.thread_id]) {
        expect(await threads().prune(ALICE, [threadId], "keep_latest")).toBe(1);
        expect(await list(threadId, { checkpoint_ns: undefined })).toEqual(["c5", "s2"]);
      }
    });

    it("prunes an expired thread to what was written last", async () => {
      const { run, fence } = await running(bench);
      await threads().patch(ALICE, run.thread_id, { ttl: { strategy: "keep_latest", ttl_minutes: 1 } });
      await checkpoints().commit(["c9", "c5"].map((name) => put(fence, checkpoint(fence, name))));
      await bench.storage.runs.finish(fence, outcome());
      await bench.advance(2 * 60_000);
      await bench.storage.retention.sweep({ eventHours: 1, batch: 100 });
      expect(await list(run.thread_id)).toEqual(["c5"]);
    });

    it("goes back to what was written last when a run is rolled back", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit(["c9", "c5"].map((name) => put(fence, checkpoint(fence, name, { run_id: id() }))));
      await checkpoints().commit(["c7", "c8"].map((name) => put(fence, checkpoint(fence, name))));
      await bench.storage.runs.finish(fence, outcome());
      expect(await head(run.thread_id)).toBe("c8");
      await bench.storage.runs.remove(ALICE, run.run_id);
      expect(await head(run.thread_id)).toBe("c5");
    });
  });
}
