import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "./fixtures/gate.ts";
import { RunServer, runPath, type Thread, until } from "./server.ts";
import { dataOf, SseReader, shapeOf } from "./sse-client.ts";

describe("cancelling runs", () => {
  let server: RunServer;
  let gates = 0;
  beforeAll(async () => {
    server = await RunServer.start({ FRACTAL_CANCEL_GRACE_SECONDS: "1" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const shown = async (thread: Thread) => (await server.get(`/threads/${thread.id}`)).body;

  /** A run that stands at its gate. */
  async function running(more: object = {}, thread?: Thread) {
    const on = thread ?? (await server.thread());
    const name = `cancel-${gates++}`;
    const { body: run } = await server.post(on.runs, { assistant_id: "gate", input: { name }, ...more });
    await arrival(name);
    return { thread: on, run, name };
  }

  it("answers 202 at once, and 200 with a body when asked to wait", async () => {
    const first = await running();
    const told = await server.post(`${runPath(first.run)}/cancel`);
    expect([told.status, told.text]).toEqual([202, ""]);
    await server.reached(first.run, "interrupted");
    const second = await running();
    const over = await server.post(`${runPath(second.run)}/cancel?wait=1&action=interrupt`);
    expect([over.status, over.headers.get("location")]).toEqual([200, `${runPath(second.run)}/join`]);
    expect(over.headers.get("content-location")).toBe(runPath(second.run));
    expect(over.body).toMatchObject({ trail: ["before"] });
    expect((await server.run(second.run)).status).toBe("interrupted");
  });

  it("takes wait=0 for no", async () => {
    const { run } = await running();
    expect((await server.post(`${runPath(run)}/cancel?wait=0&action=interrupt&reason=taken`)).status).toBe(202);
    await server.reached(run, "interrupted");
  });

  it("keeps the steps that were done, and the next run goes on from there", async () => {
    const { thread, run, name } = await running();
    await server.post(`${runPath(run)}/cancel?wait=true`);
    expect(await shown(thread)).toMatchObject({ status: "interrupted", values: { trail: ["before"] }, interrupts: {} });
    open(name);
    const goneOn = await server.post(`${thread.runs}/wait`, { assistant_id: "gate", input: null });
    expect(goneOn.body.trail).toEqual(["before", "after"]);
    expect((await shown(thread)).status).toBe("idle");
  });

  it("ends the stream of a cancelled run with end and without an error", async () => {
    const thread = await server.thread();
    const name = `cancel-${gates++}`;
    const answer = await server.open("POST", `${thread.runs}/stream`, {
      body: { assistant_id: "gate", input: { name }, stream_mode: ["values", "updates"] },
    });
    await arrival(name);
    await server.post(`${answer.headers.get("content-location")}/cancel`);
    const events = await new SseReader(answer).rest();
    expect(shapeOf(events)).toEqual(["metadata", "values", "updates", "values", "end"]);
    expect(dataOf(events, "values").at(-1).trail).toEqual(["before"]);
    const joined = await server.join({ thread_id: thread.id, run_id: events[0]?.data.run_id }, { from: "-1" });
    expect(joined).toEqual(events);
  });

  it("ends a pending run at once, and what waits behind it moves up", async () => {
    const { thread, run: first, name } = await running();
    const body = { assistant_id: "counter", input: { steps: 1 } };
    const { body: second } = await server.post(thread.runs, body);
    const { body: third } = await server.post(thread.runs, body);
    const reader = server.join(second);
    await until(() => server.hub.find(second.run_id)?.readers === 1);
    const reply = await server.post(`${runPath(second)}/cancel?wait=1`);
    expect(reply.status).toBe(200);
    expect((await server.run(second)).status).toBe("interrupted");
    expect((await reader).map(({ event }) => event)).toEqual(["end"]);
    open(name);
    await server.reached(third, "success");
    expect((await server.run(first)).status).toBe("success");
    await server.post(thread.runs, { ...body, after_seconds: 100 });
    expect((await shown(thread)).status).toBe("busy");
  });

  it("removes a pending run that is rolled back", async () => {
    const { thread, name } = await running();
    const { body: pending } = await server.post(thread.runs, { assistant_id: "counter", input: { steps: 1 } });
    expect((await server.post(`${runPath(pending)}/cancel?action=rollback`)).status).toBe(202);
    expect((await server.get(runPath(pending))).status).toBe(404);
    open(name);
  });

  it("leaves the thread interrupted, not idle, when a run is cancelled before it answered a question", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, { assistant_id: "interrupting", input: {} });
    const { body: pending } = await server.post(thread.runs, { assistant_id: "interrupting", after_seconds: 100 });
    await server.post(`${runPath(pending)}/cancel`);
    expect((await shown(thread)).status).toBe("interrupted");
  });

  it("answers 404 for what is over, for what is not there, and for a run of another thread", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
    const [over] = (await server.get(thread.runs)).body;
    expect((await server.post(`${runPath(over)}/cancel`)).status).toBe(404);
    expect((await server.post(`${thread.runs}/${crypto.randomUUID()}/cancel`)).status).toBe(404);
    const { run, name } = await running();
    expect((await server.post(`${thread.runs}/${run.run_id}/cancel`)).status).toBe(404);
    expect((await server.post(`${runPath(run)}/cancel?action=explode`)).status).toBe(422);
    expect((await server.run(run)).status).toBe("running");
    open(name);
  });

  it("survives being told many times", async () => {
    const { run } = await running();
    const replies = await Promise.all(Array.from({ length: 20 }, () => server.post(`${runPath(run)}/cancel?wait=1`)));
    for (const { status } of replies) expect([200, 404]).toContain(status);
    expect((await server.run(run)).status).toBe("interrupted");
  });

  describe("in bulk", () => {
    const cancel = (body: object, query = "") => server.post(`/runs/cancel${query}`, body);

    it("by ids on a thread, in any case, passing over what is over", async () => {
      const { thread, run } = await running();
      const body = { assistant_id: "counter", input: { steps: 1 } };
      const { body: pending } = await server.post(thread.runs, body);
      const other = await running();
      const run_ids = [run.run_id.toUpperCase(), pending.run_id, other.run.run_id, crypto.randomUUID()];
      expect((await cancel({ thread_id: thread.id.toUpperCase(), run_ids })).status).toBe(204);
      await server.reached(run, "interrupted");
      expect((await server.run(pending)).status).toBe("interrupted");
      expect((await server.run(other.run)).status).toBe("running");
      expect((await cancel({ thread_id: thread.id, run_ids: [run.run_id] })).status).toBe(404);
      open(other.name);
      await server.reached(other.run, "success");
    });

    it("by status, and all", async () => {
      const { thread, run } = await running();
      const { body: pending } = await server.post(thread.runs, { assistant_id: "counter", input: { steps: 1 } });
      expect((await cancel({ status: "pending" })).status).toBe(204);
      expect([(await server.run(run)).status, (await server.run(pending)).status]).toEqual(["running", "interrupted"]);
      expect((await cancel({ status: "running" }, "?action=rollback")).status).toBe(204);
      await until(async () => (await server.get(runPath(run))).status === 404);
      const again = await running();
      expect((await cancel({ status: "all" })).status).toBe(204);
      await server.reached(again.run, "interrupted");
      expect((await cancel({ status: "all" })).status).toBe(404);
    });

    it("by DELETE, by prune, by ids and by status: no run that waits begins because the one before it is stopped", async () => {
      const ways: Record<string, (threads: { thread: Thread; ids: string[] }[]) => Promise<unknown>> = {
        "DELETE of the thread": (all) =>
          Promise.all(all.map(({ thread }) => server.call("DELETE", `/threads/${thread.id}`))),
        prune: (all) =>
          server.post("/threads/prune", { thread_ids: all.map(({ thread }) => thread.id), strategy: "delete" }),
        "cancel by ids": (all) =>
          Promise.all(all.map(({ thread, ids }) => cancel({ thread_id: thread.id, run_ids: ids }))),
        "cancel of all": () => cancel({ status: "all" }),
      };
      for (const [way, stop] of Object.entries(ways)) {
        const began: string[] = [];
        const first = await Promise.all(Array.from({ length: 10 }, () => running()));
        const threads = await Promise.all(
          first.map(async ({ thread, run }) => {
            const name = `cancel-${gates++}`;
            void arrival(name).then(() => began.push(way));
            const enqueued = { assistant_id: "gate", input: { name }, multitask_strategy: "enqueue" };
            const { body } = await server.post(thread.runs, enqueued);
            return { thread, ids: [run.run_id, body.run_id] };
          }),
        );
        await stop(threads);
        for (const { thread, ids } of threads) {
          for (const run_id of ids) {
            const status = async () => (await server.get(runPath({ thread_id: thread.id, run_id }))).body.status;
            await until(async () => !["pending", "running"].includes(await status()));
          }
        }
        expect(began).toEqual([]);
      }
    }, 60_000);

    it("refuses both forms at once, neither, and half of one", async () => {
      const run_ids = [crypto.randomUUID()];
      const thread_id = crypto.randomUUID();
      for (const body of [
        {},
        { status: "all", thread_id, run_ids },
        { run_ids },
        { thread_id },
        { status: "nonsense" },
      ]) {
        expect((await cancel(body)).status).toBe(422);
      }
      expect((await cancel({ thread_id, run_ids: [] })).status).toBe(422);
      expect((await cancel({ thread_id, run_ids })).status).toBe(404);
    });
  });

  it("takes the thread away from a run that ignores its cancel, and answers whoever waits for it", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
    const answer = await server.open("POST", `${thread.runs}/stream`, {
      body: { assistant_id: "stubborn", input: { name: "stubborn" }, stream_mode: ["custom", "values"] },
    });
    await arrival("stubborn");
    const run = { thread_id: thread.id, run_id: (await server.get(thread.runs)).body[0].run_id };
    const [cancelled, waited] = await Promise.all([
      server.post(`${runPath(run)}/cancel?wait=1`),
      server.get(`${runPath(run)}/join`),
    ]);
    expect([cancelled.status, cancelled.body.count]).toEqual([200, 1]);
    expect(waited.body).toEqual(cancelled.body);
    expect((await server.run(run)).status).toBe("interrupted");
    expect((await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } })).status).toBe(
      200,
    );
    const reader = new SseReader(answer);
    await reader.readUntil(({ text }) => text.includes("event: end"));
    // It goes on and wants to say more, to nobody.
    open("stubborn");
    const events = await reader.rest();
    expect(events.at(-1)).toMatchObject({ event: "end" });
    await arrival("stubborn-done");
    expect(JSON.stringify(await shown(thread))).not.toContain("too late");
    expect((await server.get(thread.runs)).body.map((each: { status: string }) => each.status)).toEqual([
      "success",
      "interrupted",
      "success",
    ]);
  });
});
