import { describe, expect, it } from "bun:test";
import { ALICE, claimed, create, type Engine, event, outcome, running, STRANGERS, useStorage } from "./harness.ts";

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
      expect(await ids({ after: { epoch: 1, n: 99 } })).toEqual(["2-0", "2-1"]);
      expect(await ids({ run_id: run.run_id })).toEqual(["1-0", "1-1", "1-2"]);
      expect(await ids({ run_id: run.run_id, after: { epoch: 1, n: 1 } })).toEqual(["1-2"]);
      expect(await ids({ run_id: next.run.run_id, after: { epoch: 0, n: 5 } })).toEqual(["2-0"]);
      expect(await ids({ modes: ["messages", "end"] })).toEqual(["1-1", "1-2"]);
      expect(await ids({ run_id: run.run_id, modes: ["values"] })).toEqual(["1-0"]);
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
