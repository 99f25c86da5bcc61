import { describe, expect, it } from "bun:test";
import {
  ALICE,
  checkpoint,
  claimed,
  create,
  type Engine,
  event,
  id,
  newRun,
  outcome,
  put,
  running,
  state,
  useStorage,
  write,
  writes,
} from "./harness.ts";

const PAGE = { limit: 10, offset: 0 };

export function runsFinishContract(engine: Engine): void {
  describe(`RunRepository, how a run ends (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;
    const thread = (threadId: string) => bench.storage.threads.find(ALICE, threadId);
    const statusOf = async (runId: string) => (await runs().find(ALICE, runId))?.status;

    it("commits run, thread, values and log together", async () => {
      const { run, fence } = await running(bench);
      const result = await runs().finish(
        fence,
        outcome({ scope: "assistant:a", state: state({ a: 1 }), events: [event(1, 0, { run_id: run.run_id })] }),
      );
      expect(result).toMatchObject({ kind: "finished", thread_status: "idle", run: { status: "success" } });
      expect(await runs().find(ALICE, run.run_id)).toEqual(result.kind === "finished" ? result.run : undefined);
      expect(await thread(run.thread_id)).toMatchObject({
        status: "idle",
        values: { a: 1 },
        interrupts: {},
        error: null,
      });
      expect(await bench.storage.threads.lastScope(ALICE, run.thread_id)).toBe("assistant:a");
      expect(await bench.storage.events.read(ALICE, { thread_id: run.thread_id, limit: 9 })).toHaveLength(1);
    });

    it("answers fenced to everybody but the holder, and writes nothing", async () => {
      const { run, fence } = await running(bench);
      for (const stale of [
        { ...fence, epoch: 0 },
        { ...fence, epoch: 2 },
        { ...fence, runId: id() },
        { ...fence, threadId: id() },
      ]) {
        expect((await runs().finish(stale, outcome({ state: state({ a: 1 }), events: [event(1, 0)] }))).kind).toBe(
          "fenced",
        );
      }
      expect(await statusOf(run.run_id)).toBe("running");
      expect(await thread(run.thread_id)).toMatchObject({ status: "busy", values: null });
      expect((await runs().finish(fence, outcome())).kind).toBe("finished");
      expect((await runs().finish(fence, outcome({ status: "error" }))).kind).toBe("fenced");
      expect(await statusOf(run.run_id)).toBe("success");
    });

    it("sets the thread's status by how the run ended and what is left to do", async () => {
      const interrupts = { t: [{ id: "i", value: 1 }] };
      const failure = { error: "ValueError", message: "no" };
      const table = [
        { end: outcome({ state: state({}) }), status: "idle", error: null },
        { end: outcome({ state: state({}, { interrupts, pending: true }) }), status: "interrupted", error: null },
        { end: outcome({ state: state({}, { pending: true }) }), status: "interrupted", error: null },
        {
          end: outcome({ status: "error", error: failure, state: state({}, { pending: true }) }),
          status: "error",
          error: failure,
        },
        { end: outcome({ status: "timeout", error: failure }), status: "error", error: failure },
        {
          end: outcome({ status: "interrupted", state: state({}, { pending: true }) }),
          status: "interrupted",
          error: null,
        },
        { end: outcome({ status: "interrupted", state: state({}) }), status: "idle", error: null },
      ] as const;
      const threadId = id();
      for (const { end, status, error } of table) {
        const { fence } = await claimed(bench, (await create(bench, threadId)).run_id);
        expect(await runs().finish(fence, end)).toMatchObject({ thread_status: status });
        expect(await thread(threadId)).toMatchObject({ status, error });
      }
    });

    it("leaves the thread busy while another run waits", async () => {
      const { run, fence } = await running(bench);
      await create(bench, run.thread_id);
      expect(await runs().finish(fence, outcome())).toMatchObject({ thread_status: "busy" });
      expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
    });

    it("keeps the values when the run made no checkpoint, and shows those of the last run's scope", async () => {
      const { run, fence } = await running(bench);
      await runs().finish(
        fence,
        outcome({ scope: "assistant:a", state: state({ a: 1 }, { interrupts: { t: [{ value: 1 }] } }) }),
      );
      const second = await claimed(bench, (await create(bench, run.thread_id)).run_id);
      await runs().finish(second.fence, outcome({ scope: "assistant:a", state: undefined }));
      expect(await thread(run.thread_id)).toMatchObject({ values: { a: 1 }, status: "interrupted" });
      const third = await claimed(bench, (await create(bench, run.thread_id)).run_id);
      await runs().finish(
        third.fence,
        outcome({ scope: "assistant:b", state: state({ b: 1 }, { interrupts: { u: [{ value: 2 }] } }) }),
      );
      expect(await thread(run.thread_id)).toMatchObject({
        values: { b: 1 },
        status: "interrupted",
        interrupts: { t: [{ value: 1 }], u: [{ value: 2 }] },
      });
    });

    it("replaces NUL in the values cache and leaves escaped backslashes alone", async () => {
      const { run, fence } = await running(bench);
      const values = { nul: "a\u0000b", slash: "\\u0000", both: "\\\u0000" };
      await runs().finish(fence, outcome({ state: state(values) }));
      expect((await thread(run.thread_id))?.values).toEqual({ nul: "a\ufffdb", slash: "\\u0000", both: "\\\ufffd" });
    });

    it("removes every row of a rolled-back run and goes back to the state before it", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]);
      await runs().finish(fence, outcome({ state: state({ v: 1 }) }));
      const second = await claimed(bench, (await create(bench, run.thread_id)).run_id);
      const { checkpoints, events } = bench.storage;
      await checkpoints.commit([
        put(second.fence, checkpoint(second.fence, "c2")),
        writes(second.fence, write(second.fence, "c1"), write(second.fence, "c2")),
        { kind: "events", fence: second.fence, rows: [event(2, 0, { run_id: second.run.run_id })] },
      ]);
      await runs().cancel(ALICE, { run_id: second.run.run_id }, "rollback");
      expect(await runs().finish(second.fence, outcome({ state: state({ v: 2 }) }))).toEqual({ kind: "removed" });
      expect(await runs().find(ALICE, second.run.run_id)).toBeUndefined();
      expect(await thread(run.thread_id)).toMatchObject({ status: "idle", values: { v: 1 } });
      const left = await checkpoints.list(ALICE, { thread_id: run.thread_id });
      expect(left.map((c) => [c.row.checkpoint_id, c.writes.length])).toEqual([["c1", 0]]);
      expect(await events.read(ALICE, { thread_id: run.thread_id, limit: 9 })).toEqual([]);
    });

    it("keeps a stateless run readable for ten minutes; its thread is seen until it ends, and listed nowhere", async () => {
      const { run, fence } = await running(bench, { stateless: true, on_completion: "delete" });
      expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
      expect((await bench.storage.threads.search(ALICE, PAGE)).items).toEqual([]);
      expect(await bench.storage.threads.count(ALICE, {})).toBe(0);
      expect((await runs().create(ALICE, newRun(run.thread_id))).kind).toBe("no_thread");
      expect(
        await runs().finish(fence, outcome({ state: state({ v: 1 }), events: [event(1, 0, { run_id: run.run_id })] })),
      ).toMatchObject({ thread_status: null });
      expect(await thread(run.thread_id)).toBeUndefined();
      expect(await statusOf(run.run_id)).toBe("success");
      await bench.storage.retention.sweep({ eventHours: 24, batch: 100 });
      expect(
        await bench.storage.events.read(ALICE, { thread_id: run.thread_id, run_id: run.run_id, limit: 9 }),
      ).toHaveLength(1);
      await bench.advance(10 * 60_000);
      await bench.storage.retention.sweep({ eventHours: 24, batch: 100 });
      expect(await statusOf(run.run_id)).toBeUndefined();
    });

    it("shows the thread of a stateless run that is to be kept", async () => {
      const { run, fence } = await running(bench, { stateless: true, on_completion: "keep" });
      expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
      expect((await bench.storage.threads.search(ALICE, PAGE)).items).toEqual([]);
      expect(await runs().finish(fence, outcome({ state: state({ v: 1 }) }))).toMatchObject({
        thread_status: "idle",
      });
      expect(await thread(run.thread_id)).toMatchObject({ values: { v: 1 } });
    });
  });
}
