import { describe, expect, it } from "bun:test";
import type { Fence } from "#core/runs/fence";
import {
  ALICE,
  claimed,
  crash,
  create,
  type Engine,
  event,
  id,
  outcome,
  running,
  STRANGERS,
  useStorage,
} from "./harness.ts";

export function eventsContract(engine: Engine): void {
  describe(`EventRepository (${engine.name})`, () => {
    const bench = useStorage(engine);

    it("reads a thread's log or a run's, in order, after a cursor, within a limit, by mode", async () => {
      const { run, fence } = await running(bench);
      const own = { run_id: run.run_id };
      await bench.storage.checkpoints.commit([
        { kind: "events", fence, rows: [event(1, 0, own), event(1, 1, { ...own, mode: "messages", ns: "a|b" })] },
      ]);
      await bench.storage.runs.finish(fence, outcome({ events: [event(1, 2, { ...own, mode: "end" })] }));
      const next = await claimed(bench, (await create(bench, run.thread_id)).run_id);
      const rows = [event(2, 0, { run_id: next.run.run_id }), event(2, 1)];
      await bench.storage.checkpoints.commit([{ kind: "events", fence: next.fence, rows }]);

      const read = (query: object) =>
        bench.storage.events.read(ALICE, { thread_id: run.thread_id, limit: 100, ...query });
      const ids = async (query: object) => (await read(query)).map((row) => `${row.epoch}-${row.n}`);
      expect((await read({}))[1]).toEqual(event(1, 1, { ...own, mode: "messages", ns: "a|b" }));
      expect(await ids({})).toEqual(["1-0", "1-1", "1-2", "2-0", "2-1"]);
      expect(await ids({ after: { epoch: 1, n: 1 }, limit: 2 })).toEqual(["1-2", "2-0"]);
      for (const n of [99, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        expect(await ids({ after: { epoch: 1, n } })).toEqual(["2-0", "2-1"]);
      }
      expect(await ids({ after: { epoch: Number.MAX_SAFE_INTEGER, n: Number.MAX_SAFE_INTEGER } })).toEqual([]);
      expect(await ids({ run_id: run.run_id })).toEqual(["1-0", "1-1", "1-2"]);
      expect(await ids({ run_id: run.run_id, after: { epoch: 1, n: 1 } })).toEqual(["1-2"]);
      expect(await ids({ run_id: next.run.run_id, after: { epoch: 0, n: 5 } })).toEqual(["2-0"]);
      expect(await ids({ modes: ["messages", "end"] })).toEqual(["1-1", "1-2"]);
      expect(await ids({ run_id: run.run_id, modes: ["values"] })).toEqual(["1-0"]);
    });

    it("reads no more rows than it takes to have so many bytes, whatever they were written with", async () => {
      const { run, fence } = await running(bench);
      const sized = (n: number, mode: string) =>
        event(1, n, { run_id: run.run_id, mode, data: JSON.stringify(`${n}`.padEnd(998, "x")) });
      const write = (...rows: ReturnType<typeof sized>[]) =>
        bench.storage.checkpoints.commit([{ kind: "events", fence, rows }]);
      await write(...[0, 1, 2, 3, 4].map((n) => sized(n, "values")));
      await write(sized(5, "updates"), sized(6, "values"));
      for (let n = 7; n < 50; n++) await write(sized(n, "updates"));
      await write(sized(50, "values"));
      const ids = async (query: object) => {
        const wanted = { thread_id: run.thread_id, run_id: run.run_id, limit: 100, ...query };
        return (await bench.storage.events.read(ALICE, wanted)).map(({ n }) => n);
      };
      expect(await ids({ bytes: 1 })).toEqual([0]);
      expect(await ids({ bytes: 1_000 })).toEqual([0]);
      expect(await ids({ bytes: 1_001 })).toEqual([0, 1]);
      expect(await ids({ bytes: 2_500, after: { epoch: 1, n: 2 } })).toEqual([3, 4, 5]);
      expect(await ids({ bytes: 2_500, limit: 2, after: { epoch: 1, n: 2 } })).toEqual([3, 4]);
      // Over packs of which nothing is wanted.
      expect(await ids({ bytes: 2_000, modes: ["values"], after: { epoch: 1, n: 4 } })).toEqual([6, 50]);
      expect(await ids({ bytes: 1, limit: 1, modes: ["values"], after: { epoch: 1, n: 6 } })).toEqual([50]);
      expect(await ids({ bytes: 1, after: { epoch: 1, n: 50 } })).toEqual([]);
      expect((await ids({ bytes: 1_000_000 })).length).toBe(51);
    });

    describe("news", () => {
      const START = { epoch: 0, n: -1 };
      const append = (fence: Fence, ...ns: number[]) =>
        bench.storage.checkpoints.commit([
          { kind: "events", fence, rows: ns.map((n) => event(fence.epoch, n, { run_id: fence.runId })) },
        ]);
      const news = (runs: { thread_id: string; run_id: string; after?: object }[], limit = 100) =>
        bench.storage.events.news(
          runs.map(({ thread_id, run_id, after }) => ({ thread_id, run_id, after: { ...START, ...after } })),
          limit,
        );

      it("tells of every run asked for: one that goes on, one that ended, one that waits, one that is not there", async () => {
        const [going, done] = [await running(bench), await running(bench)];
        const waiting = await create(bench, going.run.thread_id);
        const missing = { thread_id: id(), run_id: id() };
        await append(going.fence, 0, 1);
        await append(done.fence, 0);
        const end = event(done.fence.epoch, 1, { run_id: done.run.run_id, mode: "end" });
        await bench.storage.runs.finish(done.fence, outcome({ events: [end] }));
        const told = await news([going.run, done.run, waiting, missing]);
        const byRun = new Map(told.map((each) => [each.run_id, each]));
        expect(told).toHaveLength(4);
        expect(byRun.get(going.run.run_id)).toEqual({
          run_id: going.run.run_id,
          over: false,
          rows: [0, 1].map((n) => event(going.fence.epoch, n, { run_id: going.run.run_id })),
          more: false,
        });
        expect(byRun.get(done.run.run_id)).toMatchObject({ over: true, rows: [{ n: 0 }, end], more: false });
        expect(byRun.get(waiting.run_id)).toMatchObject({ over: false, rows: [], more: false });
        expect(byRun.get(missing.run_id)).toEqual({ run_id: missing.run_id, over: true, rows: [], more: false });
        expect(await news([{ thread_id: id(), run_id: done.run.run_id }])).toMatchObject([{ over: true, rows: [] }]);
        expect(await news([])).toEqual([]);
      });

      it("goes on after the position of each reader, in pages, over attempts, and leaves other runs out", async () => {
        const { run, fence } = await running(bench);
        await append(fence, 0, 1, 2);
        await crash(bench);
        const again = await claimed(bench, run.run_id);
        await append(again.fence, 0, 1);
        await bench.storage.runs.finish(again.fence, outcome());
        const next = await claimed(bench, (await create(bench, run.thread_id)).run_id);
        await append(next.fence, 0);
        const read = async (after: object, limit: number) => {
          const [told] = await news([{ ...run, after }], limit);
          return [told?.rows.map((row) => `${row.epoch}-${row.n}`), told?.more, told?.over];
        };
        expect(await read({}, 2)).toEqual([["1-0", "1-1"], true, true]);
        expect(await read({ epoch: 1, n: 1 }, 2)).toEqual([["1-2", "3-0"], true, true]);
        expect(await read({ epoch: 1, n: 2 }, 2)).toEqual([["3-0", "3-1"], false, true]);
        for (const n of [1, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
          expect(await read({ epoch: 3, n }, 2)).toEqual([[], false, true]);
        }
        expect(await read({}, 5)).toEqual([["1-0", "1-1", "1-2", "3-0", "3-1"], false, true]);
      });

      it("gives a large log in several answers", async () => {
        const { run, fence } = await running(bench);
        const data = JSON.stringify("x".repeat(100_000));
        const written = Array.from({ length: 12 }, (_, n) => event(1, n, { run_id: run.run_id, data }));
        for (const row of written) await bench.storage.checkpoints.commit([{ kind: "events", fence, rows: [row] }]);
        let after = START;
        const seen: number[] = [];
        for (let more = true; more; ) {
          const [told] = await news([{ ...run, after }]);
          for (const { epoch, n } of told?.rows ?? []) {
            after = { epoch, n };
            seen.push(n);
          }
          more = told?.more === true;
        }
        expect(seen).toEqual(written.map(({ n }) => n));
      });

      it("says of a run that was rolled back that it is over", async () => {
        const { run, fence } = await running(bench);
        await append(fence, 0);
        await bench.storage.runs.cancel(ALICE, { run_id: run.run_id }, "rollback");
        expect(await news([run])).toMatchObject([{ over: false, rows: [{ n: 0 }] }]);
        await bench.storage.runs.finish(fence, outcome());
        expect(await news([run])).toEqual([{ run_id: run.run_id, over: true, rows: [], more: false }]);
      });
    });

    it("keeps the first of two rows with one id", async () => {
      const { run, fence } = await running(bench);
      const append = (data: string) =>
        bench.storage.checkpoints.commit([{ kind: "events", fence, rows: [event(1, 0, { data })] }]);
      expect([...(await append("1")), ...(await append("2"))]).toEqual(["written", "written"]);
      const log = await bench.storage.events.read(ALICE, { thread_id: run.thread_id, limit: 9 });
      expect(log.map((row) => row.data)).toEqual(["1"]);
    });

    it("shows a log to nobody else", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.checkpoints.commit([{ kind: "events", fence, rows: [event(1, 0, { run_id: run.run_id })] }]);
      for (const scope of STRANGERS) {
        for (const runId of [undefined, run.run_id]) {
          expect(await bench.storage.events.read(scope, { thread_id: run.thread_id, run_id: runId, limit: 9 })).toEqual(
            [],
          );
        }
      }
    });
  });
}
