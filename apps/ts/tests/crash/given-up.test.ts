import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { CrashServer, eventually } from "./server.ts";

setDefaultTimeout(60_000);

/** The last id of a stream, and the id of its run. */
function placeIn(events: readonly { id?: string; data: { run_id?: string } }[]) {
  return { runId: events[0]?.data.run_id as string, last: events.at(-1)?.id as string };
}

describe("a run that ends at the start after a kill", () => {
  it("tells that its attempts are used up, and leaves the thread with what it had reached", async () => {
    await using server = await CrashServer.start("bun", { FRACTAL_MAX_ATTEMPTS: "1" });
    const threadId = await server.thread();
    const body = { assistant_id: "counter", input: { steps: 50, sleep_ms: 50 }, stream_mode: "updates" };
    const stream = await server.stream(`/threads/${threadId}/runs/stream`, body);
    const isUpdate = ({ event }: { event: string }) => event === "updates";
    const seen = await stream.readUntil(({ events }) => events.filter(isUpdate).length >= 4);
    const { runId, last } = placeIn(seen);
    await server.kill();
    await server.start();

    const joined = await server.json(`/threads/${threadId}/runs/${runId}/join`);
    expect(joined.__error__).toMatchObject({ error: "RunAttemptsExhausted" });
    const rest = await (await server.rejoin(threadId, runId, last)).rest();
    expect(rest.at(-1)).toMatchObject({ event: "error", data: joined.__error__ });
    const whole = await (await server.rejoin(threadId, runId, "-1")).rest();
    expect(whole.filter(({ event }) => event === "error" || event === "end")).toHaveLength(1);
    const [run, thread, state] = [
      await server.json(`/threads/${threadId}/runs/${runId}`),
      await eventually(
        () => server.json(`/threads/${threadId}`),
        ({ values }) => values !== null,
      ),
      await server.json(`/threads/${threadId}/state`),
    ];
    expect([run.status, thread.status, thread.error]).toEqual(["error", "error", joined.__error__]);
    expect(thread.values).toEqual(state.values);
    // A step that a client has seen may have died with the process; never more than the one under way.
    expect(thread.values.count).toBeGreaterThanOrEqual(3);

    const next = await server.json(`/threads/${threadId}/runs/wait`, { assistant_id: "counter", input: { steps: 1 } });
    expect(next.count).toBe(thread.values.count + 1);
  });

  it("is interrupted if its cancel had been accepted, and leaves the thread where it stood", async () => {
    await using server = await CrashServer.start("bun", { FRACTAL_CANCEL_GRACE_SECONDS: "60" });
    const threadId = await server.thread();
    const body = { assistant_id: "deaf", input: { ms: 60_000 }, stream_mode: "updates" };
    const stream = await server.stream(`/threads/${threadId}/runs/stream`, body);
    const { runId, last } = placeIn(
      await stream.readUntil(({ events }) => events.some(({ event }) => event === "updates")),
    );
    await eventually(
      () => server.json(`/threads/${threadId}/state`),
      (state) => state.next[0] === "wait",
    );
    await server.post(`/threads/${threadId}/runs/${runId}/cancel`, {});
    await server.kill();
    await server.start();

    const rest = await (await server.rejoin(threadId, runId, last)).rest();
    expect(rest.at(-1)?.event).toBe("end");
    expect((await server.json(`/threads/${threadId}/runs/${runId}`)).status).toBe("interrupted");
    const thread = await eventually(
      () => server.json(`/threads/${threadId}`),
      ({ values }) => values !== null,
    );
    expect([thread.status, thread.values.started, thread.values.finished]).toEqual(["interrupted", true, undefined]);
  });
});

describe("a run whose code throws where nobody catches", () => {
  it("is given up after its attempts, and others that ran beside it lose none", async () => {
    const env = { FRACTAL_MAX_ATTEMPTS: "2" };
    await using server = await CrashServer.start("bun", env, join(import.meta.dir, "fixtures"));
    const [bomb, other] = [await server.thread(), await server.thread()];
    const long = { assistant_id: "counter", input: { steps: 60, sleep_ms: 50 }, config: { recursion_limit: 100 } };
    const beside = await server.json(`/threads/${other}/runs`, long);
    const { run_id: runId } = await server.json(`/threads/${bomb}/runs`, { assistant_id: "timebomb", input: {} });
    expect(await server.exited()).toBe(1);
    await server.start();
    expect(await server.exited()).toBe(1);
    await server.start();
    const run = await eventually(
      () => server.json(`/threads/${bomb}/runs/${runId}`),
      ({ status }) => status === "error",
    );
    const joined = await server.json(`/threads/${bomb}/runs/${run.run_id}/join`);
    expect(joined.__error__.error).toBe("RunAttemptsExhausted");
    expect(joined.__error__.message).toContain("thrown outside of every node");
    const values = await server.json(`/threads/${other}/runs/${beside.run_id}/join`);
    expect(values.count).toBe(60);
  });
});
