import { describe, expect, it } from "bun:test";
import { all, names, type SdkSession } from "../sdk-session.ts";
import { eventually } from "../spawn-server.ts";

export function runsSuite(session: SdkSession): void {
  describe("runs", () => {
    it("creates in the background, joins, lists, gets and deletes", async () => {
      const { runs } = session.client;
      const id = await session.thread();
      const created: unknown[] = [];
      const input = { steps: 2 };
      const onRunCreated = (run: unknown) => created.push(run);
      const run = await session.create(id, "counter", { input, metadata: { tag: "one" }, onRunCreated });
      expect(created).toEqual([{ run_id: run.run_id, thread_id: id }]);
      expect(run).toMatchObject({ thread_id: id, status: "pending", metadata: { tag: "one" }, kwargs: { input } });
      expect((await runs.join(id, run.run_id)) as unknown).toMatchObject({ count: 2 });
      expect(await runs.get(id, run.run_id)).toMatchObject({ status: "success", multitask_strategy: "enqueue" });
      await session.wait(id, "counter", { input });
      expect((await runs.list(id)).map(({ status }) => status)).toEqual(["success", "success"]);
      expect((await runs.list(id, { limit: 1, offset: 1 })).map(({ run_id }) => run_id)).toEqual([run.run_id]);
      expect(await runs.list(id, { status: "error" })).toEqual([]);
      await runs.delete(id, run.run_id);
      await expect(runs.get(id, run.run_id)).rejects.toThrow("404");
      expect(await runs.list(id)).toHaveLength(1);
    });

    it("waits for the final state, which is the thread's from then on", async () => {
      const id = await session.thread();
      const values = await session.wait(id, "counter", { input: { steps: 3 } });
      expect(values).toMatchObject({ count: 3, log: ["step-1", "step-2", "step-3"] });
      const thread = await session.client.threads.get(id);
      expect([thread.status, thread.values as unknown]).toEqual(["idle", values]);
      expect(thread.metadata).toMatchObject({ graph_id: "counter" });
    });

    it("tells of failures: the error event is last, wait throws, join does not, the thread knows", async () => {
      const { client } = session;
      const id = await session.thread();
      const parts = await session.stream(id, "failing", { input: {}, streamMode: "values" });
      expect(names(parts).at(0)).toBe("metadata");
      expect(parts.at(-1)).toMatchObject({
        event: "error",
        data: { error: "PaymentDeclined", message: "the card was declined" },
      });
      const input = { reason: "no funds" };
      await expect(session.wait(id, "failing", { input })).rejects.toThrow("PaymentDeclined: no funds");
      const kept = await session.wait(id, "failing", { input, raiseError: false });
      expect(kept.__error__).toMatchObject({ error: "PaymentDeclined", message: "no funds" });
      const [run] = await client.runs.list(id);
      expect(run?.status).toBe("error");
      expect((await client.runs.join(id, run?.run_id as string)) as unknown).toHaveProperty("__error__");
      const thread = await client.threads.get(id);
      expect(thread).toMatchObject({ status: "error", values: { prepared: true } });
      expect((await client.threads.getState(id)).tasks.at(-1)?.error).toContain("no funds");
    });

    it("cancels a running run: it ends interrupted, what it had done stays", async () => {
      const { client } = session;
      const id = await session.thread();
      const run = await session.create(id, "slow", { input: { ms: 60_000 } });
      await eventually(
        () => client.threads.getState<{ started?: boolean }>(id),
        ({ values }) => values.started === true,
      );
      await client.runs.cancel(id, run.run_id, true);
      expect(await session.status(id, run.run_id)).toBe("interrupted");
      expect(await client.threads.get(id)).toMatchObject({ values: { started: true } });
      await expect(client.runs.cancel(id, run.run_id)).rejects.toThrow("404");
    });

    it("cancels without waiting, and the stream of the run just ends", async () => {
      const { client } = session;
      const id = await session.thread();
      const open = session.open(id, "slow", { input: { ms: 60_000 }, streamMode: "updates" });
      const first = (await open.next()).value;
      await client.runs.cancel(id, first.data.run_id);
      expect(names(await all(open))).not.toContain("error");
      expect(await session.status(id, first.data.run_id)).toBe("interrupted");
    });

    it("cancels with rollback: the run is gone and the state is as before", async () => {
      const { client } = session;
      const id = await session.thread();
      await session.wait(id, "counter", { input: { steps: 2 } });
      const before = await client.threads.getState(id);
      const run = await session.create(id, "counter", { input: { steps: 9, sleep_ms: 300 } });
      await session.reaches(id, run.run_id, "running");
      await client.runs.cancel(id, run.run_id, true, "rollback");
      await expect(client.runs.get(id, run.run_id)).rejects.toThrow("404");
      const after = await client.threads.getState(id);
      expect([after.values, after.checkpoint]).toEqual([before.values, before.checkpoint]);
    });

    // Older lines cannot ask for it.
    const several = session.has("runs.cancelMany") ? it : undefined;
    several?.("cancels several runs of a thread at once", async () => {
      const { client } = session;
      const id = await session.thread();
      const runIds: string[] = [];
      for (let i = 0; i < 3; i++) runIds.push((await session.create(id, "slow", { input: { ms: 60_000 } })).run_id);
      await session.reaches(id, runIds[0] as string, "running");
      await client.runs.cancelMany({ threadId: id, runIds });
      for (const runId of runIds) await session.reaches(id, runId, "interrupted");
      await expect(client.runs.cancelMany({ threadId: id, runIds })).rejects.toThrow("404");
    });

    it("continues a thread by what was there, not from nothing", async () => {
      const id = await session.thread();
      await session.wait(id, "counter", { input: { steps: 2 } });
      const { count, log } = await session.wait(id, "counter", { input: { steps: 4 } });
      expect([count, (log as string[]).at(-1)]).toEqual([4, "step-4"]);
    });

    it("makes the thread when told to, and refuses to guess otherwise", async () => {
      const id = crypto.randomUUID();
      const input = { steps: 1 };
      await expect(session.wait(id, "counter", { input })).rejects.toThrow("404");
      expect((await session.wait(id, "counter", { input, ifNotExists: "create" })).count).toBe(1);
      expect((await session.client.threads.get(id)).status).toBe("idle");
    });

    it("starts a delayed run when its time has come", async () => {
      const { client } = session;
      const id = await session.thread();
      const asked = Date.now();
      const run = await session.create(id, "counter", { input: { steps: 1 }, afterSeconds: 1 });
      expect((await client.runs.get(id, run.run_id)).status).toBe("pending");
      expect((await client.threads.get(id)).status).toBe("busy");
      expect((await client.runs.join(id, run.run_id)) as unknown).toMatchObject({ count: 1 });
      expect(Date.now() - asked).toBeGreaterThanOrEqual(990);
    });

    it.each([
      ["sync", 4],
      ["async", 4],
      ["exit", 1],
    ])("keeps the checkpoints that durability %s promises", async (durability, checkpoints) => {
      const id = await session.thread();
      expect((await session.wait(id, "counter", { input: { steps: 2 }, durability })).count).toBe(2);
      expect(await session.client.threads.getHistory(id, { limit: 100 })).toHaveLength(checkpoints);
    });
  });

  describe("stateless runs", () => {
    it("waits, streams and leaves no thread behind", async () => {
      const { client } = session;
      const total = await client.threads.count();
      expect((await session.wait(null, "counter", { input: { steps: 2 } })).count).toBe(2);
      const parts = await session.stream(null, "counter", { input: { steps: 1 } });
      expect(names(parts)).toEqual(["metadata", "values", "values", "end"]);
      expect(await client.threads.count()).toBe(total);
    });

    it("keeps the thread when asked to", async () => {
      const { client } = session;
      const made: { thread_id?: string }[] = [];
      const onRunCreated = (run: { thread_id?: string }) => made.push(run);
      const parts = await session.stream(null, "counter", { input: { steps: 1 }, onCompletion: "keep", onRunCreated });
      const threadId = parts[0]?.data.thread_id;
      expect(made).toHaveLength(1);
      expect(await client.threads.getState(threadId)).toMatchObject({ values: { count: 1 } });
    });

    it("takes a batch, in its order, and runs each", async () => {
      const { client } = session;
      const payloads = [1, 2, 3].map((steps) => ({ assistantId: "counter", input: { steps }, onCompletion: "keep" }));
      const runs = await client.runs.createBatch(payloads as never);
      const inputs = (runs as unknown as { kwargs: { input: unknown } }[]).map(({ kwargs }) => kwargs.input);
      expect(inputs).toEqual([{ steps: 1 }, { steps: 2 }, { steps: 3 }]);
      for (const [i, run] of runs.entries()) {
        expect((await client.runs.join(run.thread_id, run.run_id)) as unknown).toMatchObject({ count: i + 1 });
      }
    });

    it("joins the stream of a background run by its id alone", async () => {
      const run = await session.client.runs.create(null, "counter", {
        input: { steps: 2 },
        streamMode: ["updates"],
        streamResumable: true,
      } as never);
      const parts = await all(session.client.runs.joinStream(null, run.run_id, { lastEventId: "-1" } as never));
      expect(names(parts)).toEqual(["metadata", "updates", "updates", "end"]);
    });
  });
}
