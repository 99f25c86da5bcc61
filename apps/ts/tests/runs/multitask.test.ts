import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { arrival, open } from "./fixtures/gate.ts";
import { queuedRun } from "./queued-run.ts";
import { RunServer, type Thread, until } from "./server.ts";
import { SseReader } from "./sse-client.ts";

const BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.";

describe("double texting", () => {
  let server: RunServer;
  let gates = 0;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const status = async (thread: Thread) => (await server.get(`/threads/${thread.id}`)).body.status;
  const runs = async (thread: Thread) => (await server.get(`${thread.runs}?limit=100`)).body;

  /** A thread with one value, a run that stands at a gate, and one that waits behind it. */
  async function crowded() {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, {
      assistant_id: "gate",
      input: { trail: ["first"] },
      interrupt_before: ["wait"],
    });
    const name = `multitask-${gates++}`;
    const body = { assistant_id: "gate", input: { name } };
    const { body: running } = await server.post(thread.runs, body);
    await arrival(name);
    const { body: pending } = await server.post(thread.runs, {
      assistant_id: "gate",
      input: { name, trail: ["second"] },
    });
    const readers = [running, pending].map(async (run) => {
      const answer = await server.open("GET", `${thread.runs}/${run.run_id}/stream`);
      return new SseReader(answer).rest();
    });
    await until(() => readers.length === 2 && server.hub.find(pending.run_id)?.readers === 1);
    return { thread, name, running, pending, readers };
  }

  const next = { assistant_id: "gate", interrupt_before: ["wait"], input: { trail: ["next"] } };

  it("reject refuses the run and changes nothing, while one runs and while one waits", async () => {
    const { thread, name, running, pending } = await crowded();
    for (const path of ["", "/wait", "/stream"]) {
      const reply = await server.post(`${thread.runs}${path}`, { ...next, multitask_strategy: "reject" });
      expect([reply.status, reply.body]).toEqual([409, { detail: BUSY }]);
    }
    expect((await runs(thread)).map((run: { status: string }) => run.status)).toEqual([
      "pending",
      "running",
      "success",
    ]);
    open(name);
    await server.reached(running, "success");
    await server.reached(pending, "success");
    const free = await server.post(`${thread.runs}/wait`, { ...next, multitask_strategy: "reject" });
    expect(free.body.trail.at(-1)).toBe("before");
  });

  it("reject refuses a run while another waits for its time", async () => {
    const thread = await server.thread();
    await server.post(thread.runs, { ...next, after_seconds: 3600 });
    expect((await server.post(thread.runs, { ...next, multitask_strategy: "reject" })).status).toBe(409);
  });

  it("enqueue, the default, runs them in the order of their creation", async () => {
    const thread = await server.thread();
    const made = [];
    for (let i = 0; i < 8; i++) {
      const multitask_strategy = i % 2 === 0 ? "enqueue" : undefined;
      const body = { assistant_id: "breakpoints", input: { path: [`run-${i}`] }, multitask_strategy };
      made.push((await server.post(thread.runs, body)).body);
    }
    await server.reached(made[7], "success");
    const { path } = (await server.get(`/threads/${thread.id}`)).body.values;
    expect(path.filter((name: string) => name.startsWith("run-"))).toEqual(made.map((_, i) => `run-${i}`));
    expect(await status(thread)).toBe("idle");
  });

  it("interrupt stops what runs and what waits, keeps their steps, and goes on from there", async () => {
    const { thread, running, pending, readers } = await crowded();
    const reply = await server.post(`${thread.runs}/wait`, { ...next, multitask_strategy: "interrupt" });
    expect(reply.body.trail).toEqual(["first", "before", "before", "next", "before"]);
    const [newest] = await runs(thread);
    expect([(await server.run(running)).status, (await server.run(pending)).status]).toEqual([
      "interrupted",
      "interrupted",
    ]);
    expect(newest.status).toBe("success");
    for (const events of await Promise.all(readers)) expect(events.at(-1)?.event).toBe("end");
    expect((await Promise.all(readers)).flat().map(({ event }) => event)).not.toContain("error");
    expect(await status(thread)).toBe("interrupted");
  });

  it("rollback removes what runs and what waits, with all that they did", async () => {
    const { thread, running, pending, readers } = await crowded();
    const reply = await server.post(`${thread.runs}/wait`, { ...next, multitask_strategy: "rollback" });
    expect(reply.body.trail).toEqual(["first", "before", "next", "before"]);
    for (const { run_id } of [running, pending]) {
      expect((await server.get(`${thread.runs}/${run_id}`)).status).toBe(404);
    }
    expect((await runs(thread)).map((run: { status: string }) => run.status)).toEqual(["success", "success"]);
    for (const events of await Promise.all(readers)) expect(events.at(-1)?.event).toBe("end");
    const history = (await server.get(`/threads/${thread.id}/history?limit=100`)).body;
    expect(JSON.stringify(history)).not.toContain("second");
  });

  it("rollback leaves the thread as it was when the run is taken back and none follows", async () => {
    const { thread, name, running, pending } = await crowded();
    await server.post(`${thread.runs}/${pending.run_id}/cancel?action=rollback&wait=1`);
    await server.post(`${thread.runs}/${running.run_id}/cancel?action=rollback&wait=1`);
    const shown = (await server.get(`/threads/${thread.id}`)).body;
    expect(shown).toMatchObject({ status: "interrupted", values: { trail: ["first", "before"] } });
    const state = (await server.get(`/threads/${thread.id}/state`)).body;
    expect([state.values.trail, state.next]).toEqual([["first", "before"], ["wait"]]);
    open(name);
  });

  it("goes back to the state before the run, also when the rollback comes after the run has taken note of an interrupt", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
    const { runs: queue } = server.storage;
    const worker_id = server.worker.id as string;
    // A graph that this server has not loaded: nobody else takes the run.
    const claimed = async () => {
      const graph_id = "elsewhere";
      const { run_id } = await insertRun({ thread_id: thread.id, graph_id });
      return await queue.claimRun({ worker_id, slots: 1, graphs: [graph_id] }, run_id);
    };
    const insertRun = async (changes: object) => {
      const made = await queue.create(ANONYMOUS, queuedRun(changes));
      if (made.kind !== "created") throw new Error(made.kind);
      return made.run;
    };
    for (const [actions, end] of [
      [["interrupt", "rollback"], "removed"],
      [["rollback", "interrupt"], "removed"],
      [["interrupt"], "finished"],
    ] as const) {
      const run = await claimed();
      if (run === undefined) throw new Error("not claimed");
      for (const action of actions) await queue.cancel(ANONYMOUS, { run_id: run.run_id }, action);
      const state = { values: '{"half":"done"}', interrupts: {}, pending: false };
      const result = await queue.finish(
        { threadId: thread.id, runId: run.run_id, epoch: run.epoch },
        { status: "interrupted", error: null, scope: "", state, events: [] },
      );
      expect(result.kind).toBe(end);
      const { values } = (await server.get(`/threads/${thread.id}`)).body;
      expect(values).toEqual(end === "removed" ? { steps: 1, count: 1, log: ["step-1"] } : { half: "done" });
    }
  });

  it("does all this atomically: of many at once with reject one is accepted", async () => {
    for (let round = 0; round < 10; round++) {
      const thread = await server.thread();
      const name = `atomic-${round}`;
      const body = { assistant_id: "gate", input: { name }, multitask_strategy: "reject" };
      const replies = await Promise.all(Array.from({ length: 8 }, () => server.post(thread.runs, body)));
      expect(replies.map((reply) => reply.status).sort()).toEqual([200, ...Array(7).fill(409)]);
      open(name);
    }
  });

  it("never has two runs of a thread running, whatever strategies come in", async () => {
    const thread = await server.thread();
    const strategies = ["enqueue", "interrupt", "rollback", "enqueue"];
    const made = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        server.post(thread.runs, {
          assistant_id: "slow",
          input: { ms: 1 },
          multitask_strategy: strategies[i % strategies.length],
        }),
      ),
    );
    expect(made.every((reply) => reply.status === 200)).toBe(true);
    await until(async () => {
      const now: { status: string }[] = await runs(thread);
      expect(now.filter((run) => run.status === "running").length).toBeLessThanOrEqual(1);
      return now.every((run) => run.status !== "running" && run.status !== "pending");
    });
    expect(await status(thread)).not.toBe("busy");
  });
});
