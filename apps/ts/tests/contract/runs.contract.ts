import { describe, expect, it } from "bun:test";
import type { NewRun } from "#core/runs/repository";
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
  STRANGERS,
  useStorage,
  WORKER,
  write,
  writes,
} from "./harness.ts";

const PAGE = { limit: 10, offset: 0 };

export function runsContract(engine: Engine): void {
  describe(`RunRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const runs = () => bench.storage.runs;
    const thread = (threadId: string) => bench.storage.threads.find(ALICE, threadId);
    const statusOf = async (runId: string) => (await runs().find(ALICE, runId))?.status;
    const make = (threadId: string, changes: Partial<NewRun> = {}) => runs().create(ALICE, newRun(threadId, changes));

    describe("create", () => {
      it("returns the run as find gives it, and makes the thread busy", async () => {
        const run = await create(bench, id(), { metadata: { m: 1 }, revision: "abc" });
        expect(await runs().find(ALICE, run.run_id)).toEqual(run);
        expect(run).toMatchObject({ status: "pending", attempt: 0, epoch: 0, tenant: "default", owner: "alice" });
        expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
      });

      it("gives large kwargs back unchanged", async () => {
        const kwargs = { input: { text: "x".repeat(20_000) } };
        const run = await create(bench, id(), { kwargs });
        expect({ ...(await runs().find(ALICE, run.run_id)) }.kwargs).toEqual(kwargs);
      });

      it("refuses a missing thread unless it is to be created, and a foreign one always", async () => {
        expect((await make(id(), { if_not_exists: "reject" })).kind).toBe("no_thread");
        const { thread_id: threadId } = await create(bench, id());
        for (const scope of STRANGERS) {
          for (const choice of ["reject", "create"] as const) {
            expect((await runs().create(scope, newRun(threadId, { if_not_exists: choice }))).kind).toBe("no_thread");
          }
        }
      });

      it("names graph and assistant of the latest run in the thread's metadata", async () => {
        const [threadId, a, b] = [id(), id(), id()];
        await bench.storage.threads.insert(ALICE, { thread_id: threadId, metadata: { graph_id: "asked", keep: 1 } });
        await create(bench, threadId, { graph_id: "agent", assistant_id: a });
        await create(bench, threadId, { graph_id: "other", assistant_id: b });
        expect((await thread(threadId))?.metadata).toEqual({ graph_id: "other", assistant_id: b, keep: 1 });
        await create(bench, threadId, { graph_id: "agent", assistant_id: a, after_seconds: 5 });
        expect((await thread(threadId))?.metadata).toEqual({ graph_id: "agent", assistant_id: a, keep: 1 });
        const fresh = await create(bench, id(), { thread_metadata: { x: 1 }, assistant_id: b });
        expect((await thread(fresh.thread_id))?.metadata).toEqual({ x: 1, graph_id: "agent", assistant_id: b });
      });

      it("returns the earlier run for a repeated idempotency key of the same owner", async () => {
        const first = await create(bench, id(), { idempotency_key: "k" });
        const again = await make(id(), { idempotency_key: "k" });
        expect(again).toMatchObject({ kind: "replayed", run: { run_id: first.run_id } });
        const other = await runs().create(STRANGERS[0] as typeof ALICE, newRun(id(), { idempotency_key: "k" }));
        expect(other.kind).toBe("created");
      });

      it("refuses a run id that exists and changes nothing", async () => {
        const run = await create(bench, id());
        const threadId = id();
        await expect(make(threadId, { run_id: run.run_id })).rejects.toMatchObject({ code: "conflict" });
        expect(await thread(threadId)).toBeUndefined();
      });
    });

    describe("strategies", () => {
      it("reject refuses while a run is pending, delayed or running, and accepts after", async () => {
        const { run, fence } = await running(bench);
        expect((await make(run.thread_id, { multitask_strategy: "reject" })).kind).toBe("busy");
        await runs().finish(fence, outcome());
        const delayed = await create(bench, run.thread_id, { multitask_strategy: "reject", after_seconds: 60 });
        expect((await make(run.thread_id, { multitask_strategy: "reject" })).kind).toBe("busy");
        await runs().cancel(ALICE, { run_id: delayed.run_id }, "rollback");
        expect((await make(run.thread_id, { multitask_strategy: "reject" })).kind).toBe("created");
      });

      it("enqueue keeps the others and runs in the order of creation", async () => {
        const { run, fence } = await running(bench);
        const [second, third] = [await create(bench, run.thread_id), await create(bench, run.thread_id)];
        expect(await runs().claim(WORKER)).toEqual([]);
        await runs().finish(fence, outcome());
        expect(await runs().claimRun(WORKER, third.run_id)).toBeUndefined();
        expect((await runs().claim(WORKER)).map((r) => r.run_id)).toEqual([second.run_id]);
      });

      it("interrupt ends the pending runs, asks the running one to stop, and waits for it", async () => {
        const { run, fence } = await running(bench);
        const waiting = await create(bench, run.thread_id);
        const made = await make(run.thread_id, { multitask_strategy: "interrupt" });
        expect(made).toMatchObject({ kind: "created", cancelled: [run.run_id], ended: [waiting.run_id], removed: [] });
        expect(await statusOf(waiting.run_id)).toBe("interrupted");
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ status: "running", cancel_action: "interrupt" });
        expect(await runs().claim(WORKER)).toEqual([]);
        await runs().finish(fence, outcome({ status: "interrupted" }));
        expect((await runs().claim(WORKER))[0]).toMatchObject({ run_id: made.kind === "created" && made.run.run_id });
      });

      it("rollback deletes the pending runs and overrides an interrupt of the running one", async () => {
        const { run } = await running(bench);
        await make(run.thread_id, { multitask_strategy: "interrupt" });
        const made = await make(run.thread_id, { multitask_strategy: "rollback" });
        expect(made).toMatchObject({ kind: "created", cancelled: [run.run_id], ended: [] });
        expect(made.kind === "created" && made.removed).toHaveLength(1);
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ cancel_action: "rollback" });
        await make(run.thread_id, { multitask_strategy: "interrupt" });
        expect(await runs().find(ALICE, run.run_id)).toMatchObject({ cancel_action: "rollback" });
      });

      it("interrupt and rollback on a thread with only pending runs leave the new one at the head", async () => {
        for (const strategy of ["interrupt", "rollback"] as const) {
          const first = await create(bench, id());
          const made = await make(first.thread_id, { multitask_strategy: strategy });
          expect(await statusOf(first.run_id)).toBe(strategy === "interrupt" ? "interrupted" : undefined);
          const next = made.kind === "created" ? made.run.run_id : "";
          expect((await claimed(bench, next)).run.status).toBe("running");
        }
      });

      it("accepts exactly one of many concurrent rejecting creates", async () => {
        const { thread_id: threadId } = await create(bench, id());
        const cleared = await runs().inflight(ALICE, { thread_id: threadId, status: "all" });
        for (const run of cleared) await runs().cancel(ALICE, { run_id: run.run_id }, "rollback");
        const made = await Promise.all(
          Array.from({ length: 12 }, () => make(threadId, { multitask_strategy: "reject" })),
        );
        expect(made.filter((m) => m.kind === "created")).toHaveLength(1);
      });
    });

    describe("claim", () => {
      it("gives each lane to one worker, with a new epoch and attempt", async () => {
        const created = [await create(bench, id()), await create(bench, id())];
        const [a, b] = await Promise.all([runs().claim(WORKER), runs().claim({ ...WORKER, worker_id: "w2" })]);
        const all = [...(a ?? []), ...(b ?? [])];
        expect(all.map((r) => r.run_id).sort()).toEqual(created.map((r) => r.run_id).sort());
        for (const run of all) {
          expect(run).toMatchObject({ status: "running", attempt: 1, epoch: 1 });
          expect(await runs().find(ALICE, run.run_id)).toEqual(run);
        }
        expect(await runs().claimRun(WORKER, created[0]?.run_id as string)).toBeUndefined();
      });

      it("takes no more than the free slots, oldest first, and only graphs that are loaded", async () => {
        const first = await create(bench, id(), { graph_id: "missing" });
        const second = await create(bench, id());
        await create(bench, id());
        expect((await runs().claim({ ...WORKER, slots: 1 })).map((r) => r.run_id)).toEqual([second.run_id]);
        expect(await runs().claim({ ...WORKER, slots: 0 })).toEqual([]);
        expect(await runs().claimRun(WORKER, first.run_id)).toBeUndefined();
        expect((await runs().claim({ ...WORKER, graphs: ["missing"] }))[0]?.run_id).toBe(first.run_id);
      });

      it("names the graphs that due runs at the head of their lanes wait for, and how long", async () => {
        const first = await create(bench, id(), { graph_id: "missing" });
        await create(bench, first.thread_id, { graph_id: "behind" });
        await create(bench, id(), { graph_id: "late", after_seconds: 100 });
        await create(bench, id(), { graph_id: "agent" });
        await bench.advance(60_000);
        await create(bench, id(), { graph_id: "missing" });
        const waiting = await runs().waitingFor({ except: ["agent"] });
        expect(waiting).toEqual([{ graph_id: "missing", runs: 2, oldest_ms: expect.any(Number) }]);
        expect(waiting[0]?.oldest_ms).toBeGreaterThanOrEqual(60_000);
        expect(waiting[0]?.oldest_ms).toBeLessThan(90_000);
        await bench.advance(41_000);
        const graphs = async (except: string[]) =>
          (await runs().waitingFor({ except })).map(({ graph_id }) => graph_id);
        expect(await graphs([])).toEqual(["agent", "late", "missing"]);
        await runs().claim({ ...WORKER, graphs: ["missing", "agent"] });
        expect(await graphs([])).toEqual(["late"]);
      });

      it("counts epochs on over the runs of a thread", async () => {
        const { run, fence } = await running(bench);
        await runs().finish(fence, outcome());
        const next = await claimed(bench, (await create(bench, run.thread_id)).run_id);
        expect(next.run.epoch).toBe(2);
      });

      it("leaves a delayed run alone until it is due, and the thread busy from its creation on", async () => {
        const run = await create(bench, id(), { after_seconds: 5 });
        expect(Date.parse(run.run_at) - Date.parse(run.created_at)).toBe(5000);
        expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
        expect(await runs().claim(WORKER)).toEqual([]);
        const wait = (await runs().outlook([])).due_in_ms as number;
        expect(wait > 4000 && wait <= 5000).toBe(true);
        await bench.advance(5000);
        expect(await thread(run.thread_id)).toMatchObject({ status: "busy" });
        expect((await runs().claim(WORKER)).map((r) => r.run_id)).toEqual([run.run_id]);
        expect(await runs().outlook([])).toEqual({ due_in_ms: undefined, suspects_wait_ms: undefined });
      });

      it("runs a later run that is due before an earlier one that is not", async () => {
        const delayed = await create(bench, id(), { after_seconds: 60 });
        const now = await create(bench, delayed.thread_id);
        const { fence } = await claimed(bench, now.run_id);
        await runs().finish(fence, outcome());
        expect(await thread(delayed.thread_id)).toMatchObject({ status: "busy" });
        await bench.advance(60_000);
        expect((await claimed(bench, delayed.run_id)).run.epoch).toBe(2);
      });
    });

    describe("reads", () => {
      it("hides runs from other owners, tenants and conditions in every method", async () => {
        const run = await create(bench, id(), { thread_metadata: { team: "blue" } });
        for (const scope of STRANGERS) {
          expect(await runs().find(scope, run.run_id)).toBeUndefined();
          expect((await runs().list(scope, run.thread_id, PAGE)).items).toEqual([]);
          expect(await runs().inflight(scope, { status: "all" })).toEqual([]);
          expect(await runs().cancel(scope, { run_id: run.run_id }, "rollback")).toBeUndefined();
          expect(await runs().remove(scope, run.run_id)).toBe(false);
        }
        expect(await runs().find({ ...ALICE, filters: { team: "blue" } }, run.run_id)).toBeDefined();
      });

      it("lists newest first, by status, in pages", async () => {
        const { run, fence } = await running(bench);
        await runs().finish(fence, outcome());
        const [b, c] = [await create(bench, run.thread_id), await create(bench, run.thread_id)];
        const list = async (query: object) => {
          const page = await runs().list(ALICE, run.thread_id, { ...PAGE, ...query });
          return [page.items.map((r) => r.run_id), page.more];
        };
        expect(await list({})).toEqual([[c.run_id, b.run_id, run.run_id], false]);
        expect(await list({ limit: 1, offset: 1 })).toEqual([[b.run_id], true]);
        expect(await list({ status: "success" })).toEqual([[run.run_id], false]);
        expect(await runs().counts()).toMatchObject({ pending: 2, running: 0, ready: 1 });
        expect((await runs().inflight(ALICE, { status: "pending" })).map((r) => r.run_id)).toEqual([
          b.run_id,
          c.run_id,
        ]);
        expect(await runs().inflight(ALICE, { thread_id: id(), status: "all" })).toEqual([]);
      });

      it("removeOfAssistant deletes an assistant's ended runs with their events, and leaves the state", async () => {
        const [assistant_id, other] = [id(), id()];
        const { run, fence } = await running(bench, { assistant_id });
        await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]);
        await runs().finish(fence, outcome({ events: [event(1, 0, { run_id: run.run_id })] }));
        const next = await running(bench, { thread_id: run.thread_id, assistant_id: other });
        await runs().finish(next.fence, outcome({ events: [event(2, 0, { run_id: next.run.run_id })] }));
        const waiting = await create(bench, run.thread_id, { assistant_id });
        for (const scope of STRANGERS) expect(await runs().removeOfAssistant(scope, assistant_id)).toBe(0);
        expect(await runs().removeOfAssistant(ALICE, assistant_id)).toBe(1);
        expect(await runs().removeOfAssistant(ALICE, assistant_id)).toBe(0);
        expect(await runs().find(ALICE, run.run_id)).toBeUndefined();
        expect(await statusOf(next.run.run_id)).toBe("success");
        expect(await statusOf(waiting.run_id)).toBe("pending");
        expect(await bench.storage.checkpoints.list(ALICE, { thread_id: run.thread_id })).toHaveLength(1);
        const events = await bench.storage.events.read(ALICE, { thread_id: run.thread_id, limit: 9 });
        expect(events.map(({ run_id }) => run_id)).toEqual([next.run.run_id]);
        expect((await claimed(bench, waiting.run_id)).run.epoch).toBe(3);
      });

      it("deletes a finished run with what it wrote, and refuses one that is not finished", async () => {
        const { run, fence } = await running(bench);
        await expect(runs().remove(ALICE, run.run_id)).rejects.toMatchObject({ code: "conflict" });
        await bench.storage.checkpoints.commit([
          put(fence, checkpoint(fence, "c1")),
          writes(fence, write(fence, "c1")),
        ]);
        await runs().finish(fence, outcome({ events: [event(1, 0, { run_id: run.run_id })] }));
        expect(await runs().remove(ALICE, run.run_id)).toBe(true);
        expect(await bench.storage.checkpoints.list(ALICE, { thread_id: run.thread_id })).toEqual([]);
        expect(await bench.storage.events.read(ALICE, { thread_id: run.thread_id, limit: 9 })).toEqual([]);
        expect(await runs().remove(ALICE, run.run_id)).toBe(false);
      });
    });
  });
}
