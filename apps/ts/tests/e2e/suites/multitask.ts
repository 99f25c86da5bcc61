import { describe, expect, it } from "bun:test";
import type { SdkSession } from "../sdk-session.ts";

export function multitaskSuite(session: SdkSession): void {
  describe("a second run on a busy thread", () => {
    const busy = async (threadId: string) => {
      const run = await session.create(threadId, "slow", { input: { ms: 60_000 } });
      await session.reaches(threadId, run.run_id, "running");
      return run;
    };
    const counter = (threadId: string, multitaskStrategy?: string) =>
      session.create(threadId, "counter", { input: { steps: 1 }, multitaskStrategy });

    it("is refused by reject, and nothing is left of it", async () => {
      const id = await session.thread();
      const first = await busy(id);
      await expect(counter(id, "reject")).rejects.toThrow("409");
      expect(await session.client.runs.list(id)).toHaveLength(1);
      await expect(session.client.threads.updateState(id, { values: {} })).rejects.toThrow("409");
      await session.client.runs.cancel(id, first.run_id, true);
      await session.client.runs.join(id, (await counter(id, "reject")).run_id);
    });

    it("waits its turn by enqueue, which is the default", async () => {
      const { runs } = session.client;
      const id = await session.thread();
      const first = await session.create(id, "counter", { input: { steps: 2, sleep_ms: 60 } });
      const second = await counter(id, "enqueue");
      const third = await session.create(id, "counter", { input: { steps: 5, sleep_ms: 0 } });
      expect(await session.status(id, second.run_id)).toBe("pending");
      expect((await runs.list(id, { status: "pending" })).map(({ run_id }) => run_id)).toContain(third.run_id);
      expect((await runs.join(id, third.run_id)) as unknown).toMatchObject({ count: 5 });
      expect(await session.status(id, first.run_id)).toBe("success");
      expect(await session.status(id, second.run_id)).toBe("success");
    });

    it("takes over by interrupt, and goes on from what there was", async () => {
      const { runs, threads } = session.client;
      const id = await session.thread();
      const first = await busy(id);
      const queued = await counter(id);
      const taking = await session.create(id, "slow", { input: { ms: 1 }, multitaskStrategy: "interrupt" });
      expect((await runs.join(id, taking.run_id)) as unknown).toMatchObject({ finished: true });
      expect(await session.status(id, first.run_id)).toBe("interrupted");
      expect(await session.status(id, queued.run_id)).toBe("interrupted");
      expect((await threads.get(id)).status).toBe("idle");
    });

    it("takes over by rollback, as if the others had never been", async () => {
      const { runs, threads } = session.client;
      const id = await session.thread();
      const first = await busy(id);
      const taking = await counter(id, "rollback");
      expect((await runs.join(id, taking.run_id)) as unknown).toEqual({
        steps: 1,
        count: 1,
        log: ["step-1"],
      } as never);
      await expect(runs.get(id, first.run_id)).rejects.toThrow("404");
      expect(await threads.getHistory(id, { limit: 100 })).toHaveLength(3);
    });
  });
}
