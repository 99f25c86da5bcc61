import { describe, expect, it } from "bun:test";
import type { ClaimRequest, NewRun } from "#core/runs/repository";
import {
  ALICE,
  claimed,
  crash,
  create,
  type Engine,
  enlist,
  fenceOf,
  id,
  lose,
  newRun,
  outcome,
  running,
  useStorage,
  WORKER,
} from "./harness.ts";

const OTHER = { ...WORKER, worker_id: "w2" };
const LEASE_MS = 60_000;

export function workersContract(engine: Engine): void {
  describe(`WorkerRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;
    const workers = () => bench.storage.workers;

    it("gives nothing to a worker that is not there", async () => {
      const run = await create(bench, id());
      const stranger = { ...WORKER, worker_id: "w9" };
      expect(await runs().claim(stranger)).toEqual([]);
      expect(await runs().claimRun(stranger, run.run_id)).toBeUndefined();
      await lose(bench);
      expect(await runs().claim(WORKER)).toEqual([]);
      expect(await runs().claimRun(WORKER, run.run_id)).toBeUndefined();
      await enlist(bench, "w1");
      expect((await runs().claim(WORKER)).map((r) => r.run_id)).toEqual([run.run_id]);
    });

    it("answers a beat while the worker is live, and undefined when it is not", async () => {
      expect(await workers().beat("w1", LEASE_MS)).toMatchObject({ cancels: [] });
      expect(await workers().beat("w9", LEASE_MS)).toBeUndefined();
      await lose(bench);
      expect(await workers().beat("w1", LEASE_MS)).toBeUndefined();
      await enlist(bench, "w1");
      expect((await workers().beat("w1", LEASE_MS))?.processes).toBeGreaterThan(0);
    });

    it("tells a worker with every beat which of its runs are to stop, until they have ended", async () => {
      const [a, b] = [await running(bench), await running(bench)];
      const elsewhere = await claimed(bench, (await create(bench, id())).run_id, OTHER);
      for (const { run } of [a, b, elsewhere]) await runs().cancel(ALICE, { run_id: run.run_id }, "interrupt");
      await runs().cancel(ALICE, { run_id: b.run.run_id }, "rollback");
      const told = async (worker: string): Promise<Record<string, string>> =>
        Object.fromEntries(
          ((await workers().beat(worker, LEASE_MS))?.cancels ?? []).map(({ run_id, action }) => [run_id, action]),
        );
      const both = { [a.run.run_id]: "interrupt", [b.run.run_id]: "rollback" };
      expect(await told("w1")).toEqual(both);
      expect(await told("w1")).toEqual(both);
      expect(await told("w2")).toEqual({ [elsewhere.run.run_id]: "interrupt" });
      await runs().finish(a.fence, outcome({ status: "interrupted" }));
      expect(await told("w1")).toEqual({ [b.run.run_id]: "rollback" });
      await runs().finish(b.fence, outcome());
      expect(await told("w1")).toEqual({});
    });

    it("lets a worker that drains claim nothing, and keep and finish what it runs", async () => {
      const { run, fence } = await running(bench);
      await workers().drain("w1");
      const next = await create(bench, id());
      expect(await runs().claim(WORKER)).toEqual([]);
      expect(await runs().claimRun(WORKER, next.run_id)).toBeUndefined();
      expect(await runs().sweep()).toEqual([]);
      expect(await workers().beat("w1", LEASE_MS)).toBeDefined();
      expect((await runs().finish(fence, outcome())).kind).toBe("finished");
      expect(await runs().find(ALICE, run.run_id)).toMatchObject({ status: "success" });
      expect((await runs().claim(OTHER)).map((r) => r.run_id)).toEqual([next.run_id]);
    });

    it("takes over from the worker that is gone only", async () => {
      const [mine, theirs] = [await running(bench), await create(bench, id())];
      const held = await claimed(bench, theirs.run_id, OTHER);
      expect((await crash(bench, "w2")).map((s) => s.run.run_id)).toEqual([theirs.run_id]);
      expect((await runs().finish(held.fence, outcome())).kind).toBe("fenced");
      expect((await runs().finish(mine.fence, outcome())).kind).toBe("finished");
    });

    it("keeps a lease until it is ended", async () => {
      const worker = { worker_id: "w3", instance: "host 1", role: "all" as const, version: "0.0.0", capacity: 1 };
      let lost = 0;
      const lease = await bench.storage.keeper.keep(worker, { beat: () => undefined, lost: () => lost++ });
      const run = await create(bench, id());
      const request = { ...WORKER, worker_id: "w3" };
      const mine = await runs().claimRun(request, run.run_id);
      expect(mine).toMatchObject({ status: "running" });
      await lease.end();
      expect(await workers().beat("w3", LEASE_MS)).toBeUndefined();
      expect((await runs().sweep()).map((s) => s.run.run_id)).toEqual([run.run_id]);
      expect(lost).toBe(0);
    });

    describe("a run that is claimed as it is created", () => {
      const make = (changes: Partial<NewRun> = {}, claim: ClaimRequest = WORKER) =>
        runs().create(ALICE, newRun(changes.thread_id ?? id(), changes), claim);

      it("runs at once, on a new thread, a new lane and an old one", async () => {
        const threadId = id();
        await bench.storage.threads.insert(ALICE, { thread_id: threadId, metadata: {} });
        for (const [thread_id, epoch] of [
          [id(), 1],
          [threadId, 1],
          [threadId, 2],
        ] as const) {
          const made = await make({ thread_id, metadata: { m: 1 } });
          if (made.kind !== "created") throw new Error(made.kind);
          expect(made).toMatchObject({
            claimed: true,
            run: { status: "running", attempt: 1, epoch, first_epoch: epoch },
          });
          expect(await runs().find(ALICE, made.run.run_id)).toEqual(made.run);
          expect(await bench.storage.threads.find(ALICE, thread_id)).toMatchObject({ status: "busy" });
          expect(await runs().claim(OTHER)).toEqual([]);
          expect((await runs().finish(fenceOf(made.run), outcome())).kind).toBe("finished");
        }
      });

      it("waits like others when it is delayed, its lane is taken, or the worker cannot have it", async () => {
        const { run } = await running(bench);
        await workers().drain("w2");
        for (const [changes, claim] of [
          [{ after_seconds: 60 }, WORKER],
          [{ thread_id: run.thread_id }, WORKER],
          [{ graph_id: "missing" }, WORKER],
          [{}, { ...WORKER, worker_id: "w9" }],
          [{}, OTHER],
        ] as const) {
          const made = await make(changes, claim);
          expect(made).toMatchObject({
            kind: "created",
            claimed: false,
            run: { status: "pending", attempt: 0, epoch: 0 },
          });
          if (made.kind === "created") expect(await runs().find(ALICE, made.run.run_id)).toEqual(made.run);
        }
        expect(await create(bench, id())).toMatchObject({ status: "pending" });
      });

      it("does not overtake a run that waits, save one that is due later", async () => {
        const waiting = await create(bench, id());
        expect(await make({ thread_id: waiting.thread_id })).toMatchObject({ claimed: false });
        const delayed = await create(bench, id(), { after_seconds: 60 });
        expect(await make({ thread_id: delayed.thread_id })).toMatchObject({ claimed: true });
        const { run } = await running(bench);
        await crash(bench);
        expect(await make({ thread_id: run.thread_id })).toMatchObject({ claimed: false });
      });

      it("takes the place of the pending runs that its strategy ends, and waits for the running one", async () => {
        for (const strategy of ["interrupt", "rollback"] as const) {
          const waiting = await create(bench, id());
          const made = await make({ thread_id: waiting.thread_id, multitask_strategy: strategy });
          const gone = { ended: [waiting.run_id], removed: [], claimed: true };
          const removed = { ended: [], removed: [waiting.run_id], claimed: true };
          expect(made).toMatchObject(strategy === "interrupt" ? gone : removed);
          const second = await make({ thread_id: waiting.thread_id, multitask_strategy: strategy });
          expect(second).toMatchObject({ claimed: false, cancelled: [made.kind === "created" && made.run.run_id] });
        }
      });

      it("is given back as it is when its idempotency key was seen", async () => {
        const first = await make({ idempotency_key: "k" });
        expect(await make({ idempotency_key: "k" })).toMatchObject({
          kind: "replayed",
          run: { run_id: first.kind === "created" && first.run.run_id, status: "running" },
        });
      });
    });
  });
}
