import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "./fixtures/gate.ts";
import { RunServer, runPath, until } from "./server.ts";

describe("the queue of runs", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start({ N_JOBS_PER_WORKER: "3" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const one = { assistant_id: "counter", input: { steps: 1 } };

  it("holds more runs than there are slots, and starts the next as one ends", async () => {
    const names = Array.from({ length: 7 }, (_, i) => `slot-${i}`);
    const made = [];
    for (const name of names) {
      const thread = await server.thread();
      made.push((await server.post(thread.runs, { assistant_id: "gate", input: { name } })).body);
    }
    await Promise.all(names.slice(0, 3).map(arrival));
    expect(await server.storage.runs.counts()).toMatchObject({ running: 3, pending: 4 });
    for (const [i, name] of names.entries()) {
      await arrival(name);
      open(name);
      await server.reached(made[i], "success");
    }
  });

  it("answers a created run as pending with the fields that clients read", async () => {
    const thread = await server.thread();
    const { body: run, headers } = await server.post(thread.runs, { ...one, metadata: { a: 1 } });
    expect(run).toMatchObject({
      thread_id: thread.id,
      status: "pending",
      metadata: { a: 1 },
      kwargs: { input: { steps: 1 } },
      multitask_strategy: "enqueue",
    });
    expect(run.run_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(Date.parse(run.created_at)).toBeGreaterThan(0);
    expect(headers.get("content-location")).toBe(runPath(run));
    await server.reached(run, "success");
  });

  describe("after_seconds", () => {
    it("keeps the run pending until it is due, and its thread busy from the beginning", async () => {
      const thread = await server.thread();
      const name = "delayed";
      const began = performance.now();
      const body = { assistant_id: "gate", input: { name }, after_seconds: 0.4 };
      const { body: run } = await server.post(thread.runs, body);
      const status = async () => (await server.get(`/threads/${thread.id}`)).body.status;
      expect(await status()).toBe("busy");
      await arrival(name);
      expect(performance.now() - began).toBeGreaterThan(380);
      expect(await status()).toBe("busy");
      open(name);
      await server.reached(run, "success");
      expect(await status()).toBe("idle");
    });

    it("lets later runs pass that are due earlier", async () => {
      const thread = await server.thread();
      const add = (name: string, after_seconds: number) =>
        server.post(thread.runs, { assistant_id: "breakpoints", input: { path: [name] }, after_seconds });
      const last = (await add("late", 0.5)).body;
      await add("soon", 0.2);
      await add("now", 0);
      await server.reached(last, "success");
      const { path } = (await server.get(`/threads/${thread.id}`)).body.values;
      expect(path.filter((step: string) => step.length > 1)).toEqual(["now", "soon", "late"]);
    });

    it("can be waited for and streamed from the start", async () => {
      const thread = await server.thread();
      const streamed = server.stream(thread.runs, { ...one, after_seconds: 0.1 });
      const waited = server.post("/runs/wait", { ...one, after_seconds: 0.1 });
      expect((await streamed).map(({ event }) => event)).toEqual(["metadata", "values", "values", "end"]);
      expect((await waited).body.count).toBe(1);
    });
  });

  describe("Idempotency-Key", () => {
    const send = (path: string, key: string, body: object = one) =>
      server.call("POST", path, { body, headers: { "Idempotency-Key": key } });

    it("gives the earlier run in place of a second one, also when both come at once", async () => {
      const thread = await server.thread();
      const replies = await Promise.all(Array.from({ length: 5 }, () => send(thread.runs, "key-1")));
      expect(new Set(replies.map(({ body }) => body.run_id)).size).toBe(1);
      await server.reached(replies[0]?.body, "success");
      expect((await send(thread.runs, "key-1")).body).toMatchObject({
        run_id: replies[0]?.body.run_id,
        status: "success",
      });
      expect((await server.get(thread.runs)).body).toHaveLength(1);
      expect((await send(thread.runs, "key-2")).body.run_id).not.toBe(replies[0]?.body.run_id);
    });

    it("waits for and streams the run that is there already", async () => {
      const thread = await server.thread();
      const first = await send(`${thread.runs}/wait`, "key-3");
      expect((await send(`${thread.runs}/wait`, "key-3")).body).toEqual(first.body);
      const again = await send(`${thread.runs}/stream`, "key-3");
      expect(again.headers.get("content-location")).toBe(first.headers.get("content-location"));
      expect(again.text).toContain("event: end");
      expect((await server.get(thread.runs)).body).toHaveLength(1);
      expect(server.hub.size).toBe(0);
    });

    it("is none when it is empty, and refused when it is too long", async () => {
      const [one, two] = [await server.thread(), await server.thread()];
      const first = await send(one.runs, "");
      const second = await send(two.runs, "");
      expect([first.status, second.status]).toEqual([200, 200]);
      expect([first.body.thread_id, second.body.thread_id]).toEqual([one.id, two.id]);
      expect((await send(one.runs, "k".repeat(255))).status).toBe(200);
      expect(await send(two.runs, "k".repeat(256))).toMatchObject({
        status: 422,
        body: { detail: "Idempotency-Key: has 256 characters, the most is 255" },
      });
    });

    it("is refused for another request: that one's run would be lost without a word", async () => {
      const [thread, other] = [await server.thread(), await server.thread()];
      const first = await send(`${thread.runs}/wait`, "key-4");
      const refused = async (path: string, body: object, why: string) => {
        for (const form of ["", "/wait", "/stream"]) {
          const { status, body: answer } = await send(`${path}${form}`, "key-4", body);
          expect([status, answer.detail]).toEqual([422, `Idempotency-Key: was used for a run ${why}; no run was made`]);
        }
      };
      await refused(other.runs, one, "on another thread");
      await refused("/runs", one, "on another thread");
      await refused(thread.runs, { ...one, assistant_id: "breakpoints" }, "of another assistant");
      await refused(thread.runs, { ...one, input: { steps: 2 } }, "with another input");
      await refused(thread.runs, { ...one, command: { goto: "step" } }, "with another input");
      // The same again, whatever the order of its keys, and whatever else is asked for.
      const again = await send(`${thread.runs}/wait`, "key-4", { stream_mode: "updates", ...one });
      expect([again.status, again.body]).toEqual([200, first.body]);
      expect((await server.get(other.runs)).body).toEqual([]);
      expect((await server.get(thread.runs)).body).toHaveLength(1);
      expect(server.hub.size).toBe(0);
    });

    it("of a run without a thread gives that run again, and is refused on a thread", async () => {
      const first = await send("/runs", "key-5");
      expect((await send("/runs", "key-5")).body.run_id).toBe(first.body.run_id);
      expect((await send((await server.thread()).runs, "key-5")).status).toBe(422);
    });
  });

  describe("stateless runs", () => {
    it("leave no thread behind, unless it is to be kept", async () => {
      const before = (await server.post("/threads/count")).body;
      const { body: gone } = await server.post("/runs", one);
      await server.reached(gone, "success");
      expect((await server.post("/threads/count")).body).toBe(before);
      expect((await server.get(`/threads/${gone.thread_id}`)).status).toBe(404);
      const { body: kept } = await server.post("/runs", { ...one, on_completion: "keep" });
      await server.reached(kept, "success");
      expect((await server.get(`/threads/${kept.thread_id}`)).body).toMatchObject({
        status: "idle",
        values: { count: 1 },
      });
    });

    it("stay readable by their id after their end", async () => {
      const { body: run } = await server.post("/runs", { ...one, stream_resumable: true });
      await server.reached(run, "success");
      const answer = await server.call("GET", `/runs/${run.run_id}/stream`, { headers: { "Last-Event-ID": "-1" } });
      expect(answer.text).toContain("event: values");
      expect(answer.headers.get("location")).toBe(`/runs/${run.run_id}/stream`);
      expect((await server.get(`/runs/${crypto.randomUUID()}/stream`)).status).toBe(404);
    });

    it("stop at an interrupt with the question", async () => {
      const { body } = await server.post("/runs/wait", { assistant_id: "interrupting", input: {} });
      expect(body.__interrupt__).toMatchObject([{ value: "name?" }]);
    });
  });

  it("is woken for a run whose turn comes while every slot is taken", async () => {
    const threads = await Promise.all(Array.from({ length: 3 }, () => server.thread()));
    for (const [i, thread] of threads.entries()) {
      await server.post(thread.runs, { assistant_id: "gate", input: { name: `full-${i}` } });
    }
    await Promise.all(threads.map((_, i) => arrival(`full-${i}`)));
    const late = await Promise.all(Array.from({ length: 20 }, async () => (await server.post("/runs", one)).body));
    for (const i of threads.keys()) open(`full-${i}`);
    await Promise.all(late.map((run) => server.reached(run, "success")));
    await until(async () => (await server.storage.runs.counts()).running === 0);
    expect(server.worker.running).toBe(0);
    expect(server.hub.size).toBe(0);
  });
});
