import { describe, expect, it } from "bun:test";
import type { RunRecord } from "#core/runs/repository";
import {
  ALICE,
  checkpoint,
  claimed,
  crash,
  create,
  type Engine,
  enlist,
  fenceOf,
  id,
  lose,
  outcome,
  put,
  running,
  useStorage,
  WORKER,
} from "./harness.ts";

const OTHER = { ...WORKER, worker_id: "w2" };

export function runsSuspectsContract(engine: Engine): void {
  describe(`RunRepository, runs whose process died (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;
    const find = async (run: RunRecord) => (await runs().find(ALICE, run.run_id)) as RunRecord;
    const ids = (all: readonly RunRecord[]) => all.map(({ run_id }) => run_id);

    /** So many runs that "w1" executes. */
    async function together(count: number): Promise<RunRecord[]> {
      const all: RunRecord[] = [];
      for (let i = 0; i < count; i++) all.push((await running(bench)).run);
      return all;
    }

    it("are no attempts of theirs, wait for no backoff, and are claimed by no ordinary claim", async () => {
      const [a, b] = (await together(2)) as [RunRecord, RunRecord];
      for (const { result, run } of await crash(bench)) {
        expect(result).toBe("requeued");
        expect(run).toMatchObject({ attempt: 1, strikes: 0, restarts: 1, not_before: null });
      }
      expect(await runs().claim(WORKER)).toEqual([]);
      expect(await runs().claimRun(WORKER, a.run_id)).toBeUndefined();
      expect(await runs().counts()).toMatchObject({ pending: 2, ready: 0, quarantined: 2 });
      const fresh = await create(bench, id());
      expect(ids(await runs().claim(WORKER))).toEqual([fresh.run_id]);
      // Nor does a new run of the thread pass it.
      await create(bench, b.thread_id);
      expect(await runs().claim(WORKER)).toEqual([]);
    });

    it("are tried in halves, each by a worker that executes nothing else", async () => {
      const all = await together(5);
      await crash(bench);
      const { run } = await running(bench);
      expect(await runs().claimSuspects(WORKER)).toEqual([]);
      expect(await runs().claimSuspects({ ...OTHER, graphs: ["missing"] })).toEqual([]);
      const first = await runs().claimSuspects(OTHER);
      expect(ids(first)).toEqual(ids(all.slice(0, 3)));
      expect(first[0]).toMatchObject({ attempt: 2, status: "running" });
      expect(await runs().claimSuspects(OTHER)).toEqual([]);
      await runs().finish(fenceOf(run), outcome());
      expect(ids(await runs().claimSuspects(WORKER))).toEqual(ids(all.slice(3)));
      expect(await runs().claimSuspects(WORKER)).toEqual([]);
    });

    it("are halved again when they die again, and the others are exonerated, wherever they are", async () => {
      const all = await together(9);
      await crash(bench);
      const first = await runs().claimSuspects({ ...WORKER, slots: 3 });
      const running2 = await runs().claimSuspects({ ...OTHER, slots: 2 });
      expect(ids(first)).toEqual(ids(all.slice(0, 3)));
      expect(ids(running2)).toEqual(ids(all.slice(3, 5)));
      const swept = await crash(bench);
      expect(swept.map(({ result }) => result)).toEqual([...Array(3).fill("requeued"), ...Array(6).fill("exonerated")]);
      const innocent = { quarantine: null, strikes: 0, restarts: 0 };
      expect(await find(all[3] as RunRecord)).toMatchObject({ ...innocent, status: "running" });
      expect(ids(await runs().claim(WORKER))).toEqual(ids(all.slice(5)));
      for (const run of all.slice(5)) {
        expect(await find(run)).toMatchObject(innocent);
        await runs().finish(fenceOf(await find(run)), outcome());
      }
      expect(ids(await runs().claimSuspects(WORKER))).toEqual(ids(all.slice(0, 2)));
    });

    it("leave the one that dies alone, which is given up after its strikes", async () => {
      const all = await together(8);
      let suspects = all.length;
      await crash(bench);
      while (suspects > 1) {
        const half = await runs().claimSuspects(WORKER);
        suspects = half.length;
        expect(half.every(({ strikes, restarts }) => strikes === 0 && restarts === 1)).toBe(true);
        await crash(bench);
      }
      const guilty = all[0] as RunRecord;
      expect(await find(guilty)).toMatchObject({ strikes: 1, restarts: 1, status: "pending" });
      for (const wait of [0, 1_000]) {
        if (wait > 0) expect(await runs().claimSuspects(WORKER)).toEqual([]);
        await bench.advance(wait);
        expect(ids(await runs().claimSuspects(WORKER))).toEqual([guilty.run_id]);
        await crash(bench);
      }
      expect(await find(guilty)).toMatchObject({
        status: "error",
        error: { error: "RunAttemptsExhausted", message: "The run was given up: it ended its process 3 times" },
      });
      expect(ids(await runs().claim(WORKER))).toEqual(ids(all.slice(1)));
      expect(await runs().counts()).toMatchObject({ quarantined: 0 });
    });

    it("are suspects no more when they survive, but what counts against them stays", async () => {
      const [alone] = (await together(1)) as [RunRecord];
      await crash(bench);
      expect(ids(await runs().claimSuspects(WORKER))).toEqual([alone.run_id]);
      expect(await runs().clearSuspects("w2")).toBe(0);
      expect(await runs().clearSuspects("w1")).toBe(1);
      expect(await runs().clearSuspects("w1")).toBe(0);
      expect(await find(alone)).toMatchObject({ quarantine: null, strikes: 1, restarts: 1 });
      await crash(bench);
      expect(await find(alone)).toMatchObject({ strikes: 2, restarts: 2 });
    });

    it("lose their strikes by progress, save one that was alone", async () => {
      const [run] = (await together(1)) as [RunRecord];
      const progress = async () => {
        const fence = fenceOf(await find(run));
        await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, `c${fence.epoch}`))]);
      };
      await progress();
      await crash(bench);
      await claimed(bench, run.run_id);
      await progress();
      await crash(bench);
      expect(await find(run)).toMatchObject({ strikes: 2 });
      await bench.advance(1_000);
      await claimed(bench, run.run_id);
      await runs().clearSuspects("w1");
      await running(bench);
      await progress();
      await crash(bench);
      expect(await find(run)).toMatchObject({ strikes: 0, restarts: 2 });
    });

    it("end after ten restarts from which they were not exonerated", async () => {
      const all = await together(2);
      for (let n = 1; n <= 11; n++) {
        await crash(bench);
        if (n === 11) break;
        expect(await find(all[0] as RunRecord)).toMatchObject({ status: "pending", restarts: n, strikes: 0 });
        // Each time they live for as long as they are observed, and the process dies later.
        await runs().claimSuspects(WORKER);
        await runs().clearSuspects("w1");
        const rest = await runs().claimSuspects(OTHER);
        expect(rest).toHaveLength(1);
        await runs().clearSuspects("w2");
        await runs().release(fenceOf(rest[0] as RunRecord));
        await runs().claim(WORKER);
      }
      for (const run of all) {
        expect(await find(run)).toMatchObject({ status: "error", error: { error: "RunAttemptsExhausted" } });
      }
    });

    it("can be cancelled and deleted while they wait, and stay suspects through a clean stop", async () => {
      const all = await together(4);
      await crash(bench);
      await runs().cancel(ALICE, { run_id: (all[0] as RunRecord).run_id }, "interrupt");
      await runs().cancel(ALICE, { run_id: (all[1] as RunRecord).run_id }, "rollback");
      expect(await runs().counts()).toMatchObject({ quarantined: 2 });
      const [third] = (await runs().claimSuspects({ ...WORKER, slots: 1 })) as [RunRecord];
      expect(third.run_id).toBe((all[2] as RunRecord).run_id);
      const released = await runs().release(fenceOf(third));
      expect(released).toMatchObject({ run: { attempt: 1, quarantine: third.quarantine } });
      expect(ids(await runs().claimSuspects(WORKER))).toEqual(ids(all.slice(2)));
      expect(await runs().audit()).toBe(0);
    });

    it("are not those that were being cancelled, and who died beside one was not alone", async () => {
      const [cancelled, other] = (await together(2)) as [RunRecord, RunRecord];
      await runs().cancel(ALICE, { run_id: cancelled.run_id }, "interrupt");
      await crash(bench);
      expect(await find(cancelled)).toMatchObject({ status: "interrupted" });
      expect(await find(other)).toMatchObject({ strikes: 0, restarts: 1 });
    });

    it("wait for no longer than ten minutes for a worker that tries them apart", async () => {
      const all = await together(2);
      await crash(bench);
      await running(bench);
      await bench.advance(599_000);
      expect(await runs().claim(WORKER)).toEqual([]);
      await bench.advance(1_000);
      expect(ids(await runs().claim(WORKER))).toEqual(ids(all));
      expect(await runs().audit()).toBe(0);
    });

    it("are all the runs of each process, when several die", async () => {
      await together(2);
      for (let i = 0; i < 2; i++) await claimed(bench, (await create(bench, id())).run_id, OTHER);
      await lose(bench, "w1");
      await lose(bench, "w2");
      const swept = await runs().sweep();
      for (const worker of ["w1", "w2"]) await enlist(bench, worker);
      const crashes = new Set(swept.map(({ run }) => run.quarantine?.slice(0, -2)));
      expect([swept.length, crashes.size]).toEqual([4, 2]);
    });
  });
}
