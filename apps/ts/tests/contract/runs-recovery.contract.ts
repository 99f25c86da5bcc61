import { describe, expect, it } from "bun:test";
import type { RunRecord } from "#core/runs/repository";
import {
  ALICE,
  checkpoint,
  claimed,
  crash,
  create,
  type Engine,
  event,
  fenceOf,
  id,
  lose,
  outcome,
  put,
  running,
  state,
  useStorage,
  WORKER,
  write,
  writes,
} from "./harness.ts";

export function runsRecoveryContract(engine: Engine): void {
  describe(`RunRepository, lost workers and cancelling (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;
    const thread = (threadId: string) => bench.storage.threads.find(ALICE, threadId);
    const claimAfter = async (ms: number, run: RunRecord) => {
      await bench.advance(ms);
      const worker = { ...WORKER, worker_id: "w2" };
      return (await runs().claimRun(worker, run.run_id)) ?? (await runs().claimSuspects(worker))[0];
    };

    describe("sweep", () => {
      it("leaves the lanes of living workers alone", async () => {
        const { run, fence } = await running(bench);
        expect(await runs().sweep()).toEqual([]);
        await lose(bench, "w2");
        expect(await runs().sweep()).toEqual([]);
        expect((await runs().finish(fence, outcome())).kind).toBe("finished");
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ status: "success" });
      });

      it("puts the run of a dead worker back at once, and refuses everything it still writes", async () => {
        const { run, fence } = await running(bench);
        expect(await crash(bench)).toMatchObject([
          { result: "requeued", run: { run_id: run.run_id, status: "pending", attempt: 1 } },
        ]);
        expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
        const late = await bench.storage.checkpoints.commit([
          put(fence, checkpoint(fence, "c1")),
          writes(fence, write(fence, "c1")),
          { kind: "events", fence, rows: [event(1, 0)] },
        ]);
        expect(late).toEqual(["fenced", "fenced", "fenced"]);
        expect((await runs().finish(fence, outcome())).kind).toBe("fenced");
        expect(await runs().release(fence)).toBeUndefined();
        expect(await runs().retry(fence, { error: "E", message: "m" }, "outage")).toBeUndefined();
        expect(await runs().evict(fence)).toBeUndefined();
        const second = await claimAfter(0, run);
        expect(second).toMatchObject({ attempt: 2, epoch: 3 });
        expect((await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]))[0]).toBe("fenced");
      });

      it("waits longer after each attempt, then gives up with an error", async () => {
        const run = await create(bench, id(), { max_attempts: 4 });
        for (const wait of [0, 0, 1000, 3000]) {
          if (wait > 0) expect(await claimAfter(wait - 100, run)).toBeUndefined();
          expect(await claimAfter(wait > 0 ? 100 : 0, run)).toBeDefined();
          await crash(bench, "w2");
        }
        const end = await runs().find(ALICE, run.run_id);
        expect(end).toMatchObject({ status: "error", attempt: 4, error: { error: "RunAttemptsExhausted" } });
        expect(await thread(run.thread_id)).toMatchObject({
          status: "error",
          error: { error: "RunAttemptsExhausted" },
        });
        expect(await crash(bench, "w2")).toEqual([]);
      });

      it("lets nothing overtake a run that has been tried, not even while it waits out its backoff", async () => {
        const { run } = await running(bench, { max_attempts: 5 });
        await crash(bench);
        await claimed(bench, run.run_id);
        await crash(bench);
        const later = await create(bench, run.thread_id);
        expect(await runs().claim(WORKER)).toEqual([]);
        expect(await runs().claimRun(WORKER, later.run_id)).toBeUndefined();
        expect(await runs().claimSuspects(WORKER)).toEqual([]);
        await bench.advance(1000);
        expect(await runs().claim(WORKER)).toEqual([]);
        expect((await runs().claimSuspects(WORKER)).map((r) => r.run_id)).toEqual([run.run_id]);
      });

      it("is claimed before runs of other threads that were never tried", async () => {
        const older = await create(bench, id());
        const { run, fence } = await running(bench);
        await runs().retry(fence, { error: "E", message: "m" }, "outage");
        expect((await runs().claim({ ...WORKER, slots: 1 })).map((r) => r.run_id)).toEqual([run.run_id]);
        expect((await runs().claim(WORKER)).map((r) => r.run_id)).toEqual([older.run_id]);
      });

      it("ends a run that was being cancelled as it was asked to", async () => {
        const [a, b] = [await running(bench), await running(bench)];
        await runs().cancel(ALICE, { run_id: a.run.run_id }, "interrupt");
        await runs().cancel(ALICE, { run_id: b.run.run_id }, "rollback");
        const swept = await crash(bench);
        expect(Object.fromEntries(swept.map((s) => [s.run.run_id, s.result]))).toEqual({
          [a.run.run_id]: "interrupted",
          [b.run.run_id]: "removed",
        });
        expect(await runs().find(ALICE, a.run.run_id)).toMatchObject({ status: "interrupted" });
        expect(await runs().find(ALICE, b.run.run_id)).toBeUndefined();
        expect(await thread(a.run.thread_id)).toMatchObject({ status: "idle" });
      });
    });

    describe("sweep of runs that do not stop", () => {
      it("takes the lane of a run that was asked to stop too long ago, by its cancel; its worker lives", async () => {
        const [deaf, other] = [await running(bench), await running(bench)];
        await runs().cancel(ALICE, { run_id: deaf.run.run_id }, "interrupt");
        await bench.advance(20_000);
        // Asked once more: the time counts from the first.
        await runs().cancel(ALICE, { run_id: deaf.run.run_id }, "interrupt");
        await bench.advance(20_000);
        await runs().cancel(ALICE, { run_id: other.run.run_id }, "rollback");
        expect(await runs().sweep()).toEqual([]);
        expect(await runs().sweep({ cancelGraceMs: 60_000 })).toEqual([]);
        expect(await runs().sweep({ cancelGraceMs: 30_000 })).toMatchObject([
          { result: "interrupted", run: { run_id: deaf.run.run_id, status: "interrupted" } },
        ]);
        expect((await runs().finish(deaf.fence, outcome())).kind).toBe("fenced");
        expect(await thread(deaf.run.thread_id)).toMatchObject({ status: "idle" });
        await bench.advance(30_000);
        expect(await runs().sweep({ cancelGraceMs: 30_000 })).toMatchObject([
          { result: "removed", run: { run_id: other.run.run_id } },
        ]);
      });

      it("takes all runs of a dead worker at once, and the next worker with the next sweep", async () => {
        const all = [await running(bench), await running(bench), await running(bench)];
        const other = await claimed(bench, (await create(bench, id())).run_id, { ...WORKER, worker_id: "w2" });
        await lose(bench);
        await lose(bench, "w2");
        const first = await runs().sweep({ batch: 2 });
        const rest = await runs().sweep({ batch: 2 });
        expect(first.map((s) => s.run.run_id).sort()).toEqual(all.map((a) => a.run.run_id).sort());
        expect(rest.map((s) => s.run.run_id)).toEqual([other.run.run_id]);
        expect(await runs().sweep({ batch: 2 })).toEqual([]);
      });
    });

    describe("release and retry", () => {
      it("release gives the attempt back and keeps the place in the order", async () => {
        const { run, fence } = await running(bench);
        const later = await create(bench, run.thread_id);
        const given = { status: "pending", attempt: 0 };
        expect(await runs().release(fence)).toMatchObject({ result: "requeued", run: given });
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ status: "pending", attempt: 0 });
        expect(await runs().claimRun(WORKER, later.run_id)).toBeUndefined();
        expect((await claimed(bench, run.run_id)).run).toMatchObject({ attempt: 1, epoch: 2 });
        expect(await runs().release(fence)).toBeUndefined();
      });

      it("release ends a run whose cancel came at the same time", async () => {
        const { run, fence } = await running(bench);
        await runs().cancel(ALICE, { run_id: run.run_id }, "interrupt");
        expect(await runs().release(fence)).toMatchObject({ result: "interrupted", run: { status: "interrupted" } });
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ status: "interrupted" });
      });

      it("a fault is a strike like a death alone, and the last one is named", async () => {
        const { run, fence } = await running(bench, { max_attempts: 2 });
        const failure = { error: "ProcessFault", message: "thrown" };
        expect(await runs().retry(fence, failure, "fault")).toMatchObject({ result: "requeued", run: { strikes: 1 } });
        expect(await runs().claim(WORKER)).toEqual([]);
        const second = await claimed(bench, run.run_id);
        expect(await runs().retry(second.fence, failure, "fault")).toMatchObject({
          result: "exhausted",
          run: {
            status: "error",
            error: {
              error: "RunAttemptsExhausted",
              message: "The run was given up: it ended its process 2 times; the last time: ProcessFault: thrown",
            },
          },
        });
      });

      it("an outage is no strike, waits longer each time, and counts only until the run makes progress", async () => {
        const created = await create(bench, id(), { max_attempts: 1 });
        const failure = { error: "Unavailable", message: "no database" };
        const fail = async (progress = false) => {
          await bench.advance(60_000);
          const { fence } = await claimed(bench, created.run_id);
          if (progress) await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, `c${fence.epoch}`))]);
          return runs().retry(fence, failure, "outage");
        };
        for (let n = 1; n <= 10; n++) {
          expect(await fail()).toMatchObject({
            result: "requeued",
            run: { restarts: n, strikes: 0, quarantine: null },
          });
        }
        expect(await fail(true)).toMatchObject({ result: "requeued", run: { restarts: 1, not_before: null } });
        for (let n = 2; n <= 10; n++) expect(await fail()).toMatchObject({ result: "requeued" });
        expect(await fail()).toMatchObject({
          result: "exhausted",
          run: { error: { message: "The run was given up after 11 failures; the last one: Unavailable: no database" } },
        });
      });
    });

    describe("cancel and evict", () => {
      it("ends a pending run at once and sets the thread to what it was", async () => {
        const interrupts = { t: [{ id: "i", value: 1 }] };
        const failure = { error: "E", message: "m" };
        const table = [
          { end: outcome(), status: "idle" },
          { end: outcome({ state: state({}, { interrupts }) }), status: "interrupted" },
          { end: outcome({ state: state({}, { pending: true }) }), status: "interrupted" },
          { end: outcome({ status: "error", error: failure }), status: "error" },
        ];
        for (const { end, status } of table) {
          for (const action of ["interrupt", "rollback"] as const) {
            const { run, fence } = await running(bench);
            await runs().finish(fence, end);
            const waiting = await create(bench, run.thread_id);
            const done = await runs().cancel(ALICE, { thread_id: run.thread_id, run_id: waiting.run_id }, action);
            expect(done?.result).toBe(action === "interrupt" ? "ended" : "removed");
            expect(await thread(run.thread_id)).toMatchObject({ status });
            expect((await runs().find(ALICE, waiting.run_id))?.status).toBe(
              action === "interrupt" ? "interrupted" : undefined,
            );
          }
        }
      });

      it("moves the next pending run up when the head is cancelled", async () => {
        const first = await create(bench, id());
        const second = await create(bench, first.thread_id);
        await runs().cancel(ALICE, { run_id: first.run_id }, "interrupt");
        expect(await thread(first.thread_id)).toMatchObject({ status: "busy" });
        expect((await claimed(bench, second.run_id)).run.status).toBe("running");
      });

      it("signals a running run; rollback overrides interrupt, never the reverse", async () => {
        const { run } = await running(bench);
        const cancel = (action: "interrupt" | "rollback") => runs().cancel(ALICE, { run_id: run.run_id }, action);
        expect(await cancel("interrupt")).toMatchObject({ result: "signalled", run: { cancel_action: "interrupt" } });
        expect(await cancel("rollback")).toMatchObject({ result: "signalled", run: { cancel_action: "rollback" } });
        expect(await cancel("interrupt")).toMatchObject({ result: "signalled", run: { cancel_action: "rollback" } });
      });

      it("answers undefined for finished, absent and misplaced runs", async () => {
        const { run, fence } = await running(bench);
        expect(await runs().cancel(ALICE, { thread_id: id(), run_id: run.run_id }, "interrupt")).toBeUndefined();
        await runs().finish(fence, outcome());
        expect(await runs().cancel(ALICE, { run_id: run.run_id }, "interrupt")).toBeUndefined();
        expect(await runs().cancel(ALICE, { run_id: id() }, "interrupt")).toBeUndefined();
      });

      it("evict takes the lane from a run that does not stop; its next writes are refused", async () => {
        const { run, fence } = await running(bench);
        const next = await create(bench, run.thread_id, { multitask_strategy: "interrupt" });
        expect(await runs().evict(fence)).toMatchObject({
          result: "interrupted",
          run: { run_id: run.run_id, status: "interrupted" },
        });
        expect((await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c"))]))[0]).toBe("fenced");
        expect((await claimed(bench, next.run_id)).run.epoch).toBe(3);
        expect(await runs().evict(fence)).toBeUndefined();
      });

      it("a cancelled stateless run leaves no thread behind", async () => {
        const waiting = await create(bench, id(), { stateless: true, on_completion: "delete" });
        await runs().cancel(ALICE, { run_id: waiting.run_id }, "rollback");
        const ended = await create(bench, id(), { stateless: true, on_completion: "delete" });
        await runs().cancel(ALICE, { run_id: ended.run_id }, "interrupt");
        expect(await runs().find(ALICE, ended.run_id)).toMatchObject({ status: "interrupted" });
        const before = await bench.storage.retention.sweep({ eventHours: 24, batch: 100 });
        await bench.advance(10 * 60_000);
        const after = await bench.storage.retention.sweep({ eventHours: 24, batch: 100 });
        expect([before > 0, after > 0]).toEqual([true, true]);
        expect(await runs().find(ALICE, ended.run_id)).toBeUndefined();
      });
    });

    it("sees a run's whole log across its attempts", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.checkpoints.commit([{ kind: "events", fence, rows: [event(1, 0, { run_id: run.run_id })] }]);
      await crash(bench);
      const again = await claimed(bench, run.run_id);
      await runs().finish(fenceOf(again.run), outcome({ events: [event(3, 0, { run_id: run.run_id })] }));
      const log = await bench.storage.events.read(ALICE, { thread_id: run.thread_id, run_id: run.run_id, limit: 9 });
      expect(log.map((row) => row.epoch)).toEqual([1, 3]);
    });
  });
}
