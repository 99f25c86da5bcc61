import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "./fixtures/gate.ts";
import { RunServer, runPath } from "./server.ts";

describe("the rows of runs and threads", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const one = { assistant_id: "counter", input: { steps: 1 } };
  const ids = (runs: { run_id: string }[]) => runs.map(({ run_id }) => run_id);

  describe("listing", () => {
    it("gives the newest first, in pages, with the headers that say whether more follow", async () => {
      const thread = await server.thread();
      const made: string[] = [];
      for (let i = 0; i < 12; i++)
        made.unshift((await server.post(thread.runs, { ...one, after_seconds: 900 })).body.run_id);
      const first = await server.get(thread.runs);
      expect(ids(first.body)).toEqual(made.slice(0, 10));
      expect([first.headers.get("x-pagination-next"), first.headers.get("x-pagination-total")]).toEqual(["10", "11"]);
      const last = await server.get(`${thread.runs}?limit=5&offset=10`);
      expect(ids(last.body)).toEqual(made.slice(10));
      expect([last.headers.get("x-pagination-next"), last.headers.get("x-pagination-total")]).toEqual([null, "12"]);
      expect((await server.get(`${thread.runs}?offset=100`)).body).toEqual([]);
      const pending = await server.get(
        `${thread.runs}?status=pending&limit=1000&select=run_id&select=kwargs&select=created_at`,
      );
      expect(pending.body).toHaveLength(12);
      expect(Object.keys(pending.body[0]).sort()).toEqual(["created_at", "kwargs", "run_id"]);
      expect(pending.body[0].kwargs.input).toEqual({ steps: 1 });
      await server.post("/runs/cancel", { status: "all" });
      expect((await server.get(`${thread.runs}?status=pending`)).body).toEqual([]);
      expect((await server.get(`${thread.runs}?status=interrupted&limit=1000`)).body).toHaveLength(12);
    });

    it("takes select in every form that clients send", async () => {
      const thread = await server.thread();
      await server.post(`${thread.runs}/wait`, one);
      for (const query of ["select=run_id&select=status", 'select=["run_id","status"]', "select=run_id,status"]) {
        const [run] = (await server.get(`${thread.runs}?${query}`)).body;
        expect(Object.keys(run).sort()).toEqual(["run_id", "status"]);
      }
    });

    it("refuses what it does not know", async () => {
      const { runs } = await server.thread();
      for (const query of ["select=nonsense", "status=nonsense", "limit=0", "limit=1001", "offset=-1", "limit=x"]) {
        expect([query, (await server.get(`${runs}?${query}`)).status]).toEqual([query, 422]);
      }
      expect((await server.get(`/threads/${crypto.randomUUID()}/runs`)).status).toBe(404);
    });
  });

  describe("one run", () => {
    it("is found on its own thread only", async () => {
      const [thread, other] = [await server.thread(), await server.thread()];
      const { body: run } = await server.post(thread.runs, one);
      await server.reached(run, "success");
      for (const suffix of ["", "/join", "/stream"]) {
        expect((await server.get(`${thread.runs}/${run.run_id}${suffix}`)).status).toBe(200);
        expect((await server.get(`${other.runs}/${run.run_id}${suffix}`)).status).toBe(404);
        expect((await server.get(`${thread.runs}/${crypto.randomUUID()}${suffix}`)).status).toBe(404);
      }
    });

    it("shows its arguments under LangGraph's names, its secrets masked", async () => {
      const { runs } = await server.thread();
      const configurable = { mine: 1, api_key: "sk-secret-of-the-run" };
      const asked = {
        assistant_id: "breakpoints",
        command: { goto: "b", update: { path: ["u"] } },
        config: { configurable, tags: ["t"] },
        interrupt_before: ["c"],
        stream_mode: ["values", "updates"],
        durability: "sync",
      };
      const { body: run } = await server.post(runs, asked);
      await server.reached(run, "success");
      for (const row of [run, await server.run(run), (await server.get(runs)).body[0]]) {
        expect(row.kwargs).toEqual({
          input: null,
          command: asked.command,
          config: {
            tags: ["t"],
            metadata: {},
            configurable: {
              mine: 1,
              api_key: "********",
              run_id: run.run_id,
              thread_id: run.thread_id,
              assistant_id: run.assistant_id,
              graph_id: "breakpoints",
              langgraph_request_id: expect.any(String),
            },
          },
          context: { mine: 1, api_key: "********" },
          stream_mode: ["values", "updates"],
          subgraphs: false,
          interrupt_before: ["c"],
          interrupt_after: null,
          durability: "sync",
          checkpoint_during: true,
          temporary: false,
          resumable: false,
          feedback_keys: null,
          webhook: null,
        });
      }
      const { body: stateless } = await server.post("/runs", { assistant_id: "counter", input: { steps: 1 } });
      expect(stateless.kwargs).toMatchObject({ command: null, context: null, durability: "async", temporary: true });
    });

    it("is deleted with its checkpoints once it is over", async () => {
      const thread = await server.thread();
      await server.post(`${thread.runs}/wait`, { assistant_id: "breakpoints", input: { path: ["one"] } });
      await server.post(`${thread.runs}/wait`, { assistant_id: "breakpoints", input: { path: ["two"] } });
      const [second] = (await server.get(thread.runs)).body;
      const gone = await server.call("DELETE", runPath(second));
      expect([gone.status, gone.text]).toEqual([204, ""]);
      expect((await server.get(runPath(second))).status).toBe(404);
      expect((await server.call("DELETE", runPath(second))).status).toBe(404);
      const { values } = (await server.get(`/threads/${thread.id}/state`)).body;
      expect(values.path).toEqual(["one", "a", "b", "c"]);
    });

    it("is stopped when it is deleted while it runs or waits, and what it wrote is taken back", async () => {
      const thread = await server.thread();
      await server.post(`${thread.runs}/wait`, {
        assistant_id: "gate",
        input: { name: "x", trail: ["first"] },
        interrupt_before: ["wait"],
      });
      const { body: run } = await server.post(thread.runs, { assistant_id: "gate", input: { name: "deleted" } });
      await arrival("deleted");
      const { body: pending } = await server.post(thread.runs, one);
      const { body: last } = await server.post(thread.runs, { assistant_id: "breakpoints", input: {} });
      const joined = server.get(`${runPath(run)}/join`);
      for (const each of [pending, run]) {
        const gone = await server.call("DELETE", runPath(each));
        expect([gone.status, gone.text]).toEqual([204, ""]);
        expect((await server.get(runPath(each))).status).toBe(404);
      }
      expect((await joined).status).toBe(200);
      await server.reached(last, "success");
      open("deleted");
      const { values } = (await server.get(`/threads/${thread.id}/state`)).body;
      expect(values).toEqual({ path: ["a", "b", "c"] });
      expect((await server.get(thread.runs)).body.map(({ run_id }: { run_id: string }) => run_id)).not.toContain(
        run.run_id,
      );
    });
  });

  it("show the thread of a stateless run while it runs, and list it nowhere", async () => {
    for (const on_completion of ["keep", "delete"]) {
      const name = `stateless-${on_completion}`;
      const metadata = { mark: name };
      const wanted = { assistant_id: "gate", input: { name }, on_completion, metadata };
      const { body: run } = await server.post("/runs", wanted);
      await arrival(name);
      const path = `/threads/${run.thread_id}`;
      const thread = (await server.get(path)).body;
      expect(thread).toMatchObject({ thread_id: run.thread_id, status: "busy", metadata: { graph_id: "gate" } });
      const reads = [`${path}/state`, `${path}/history`, `${path}/runs`, `${path}/runs/${run.run_id}`];
      for (const read of reads) expect([read, (await server.get(read)).status]).toEqual([read, 200]);
      expect((await server.get(`${path}/runs`)).body).toMatchObject([{ run_id: run.run_id }]);
      expect((await server.post("/threads/search", { ids: [run.thread_id] })).body).toEqual([]);
      const write = await server.post(`${path}/state`, { values: { trail: ["no"] } });
      const second = await server.post(`${path}/runs`, one);
      expect([write.status, second.status]).toEqual([409, 404]);
      open(name);
      await server.reached(run, "success");
      const ended = await server.get(path);
      expect([on_completion, ended.status]).toEqual([on_completion, on_completion === "keep" ? 200 : 404]);
      expect((await server.get(`/runs/${run.run_id}/stream`)).status).toBe(200);
    }
    const { body: gone } = await server.post("/runs", { assistant_id: "gate", input: { name: "stateless-deleted" } });
    await arrival("stateless-deleted");
    expect((await server.call("DELETE", `/threads/${gone.thread_id}`)).status).toBe(204);
    expect((await server.get(`/threads/${gone.thread_id}`)).status).toBe(404);
    expect((await server.get(`/runs/${gone.run_id}/stream`)).status).toBe(404);
  });

  it("of an assistant go with it, also those that wait and run; threads keep their state", async () => {
    const { body: assistant } = await server.post("/assistants", { graph_id: "gate" });
    const { assistant_id } = assistant;
    const thread = await server.thread();
    const name = "of-an-assistant";
    const { body: done } = await server.post(thread.runs, { assistant_id, input: { name: `${name}-0` } });
    await arrival(`${name}-0`);
    open(`${name}-0`);
    await server.reached(done, "success");
    const { body: running } = await server.post(thread.runs, { assistant_id, input: { name } });
    await arrival(name);
    const { body: waiting } = await server.post(thread.runs, { assistant_id, input: { name } });
    const { body: kept } = await server.post((await server.thread()).runs, one);
    expect((await server.call("DELETE", `/assistants/${assistant_id}`)).status).toBe(204);
    for (const run of [done, running, waiting]) expect((await server.get(runPath(run))).status).toBe(404);
    expect((await server.get(thread.runs)).body).toEqual([]);
    const { values } = (await server.get(`/threads/${thread.id}/state`)).body;
    expect(values.trail.slice(0, 2)).toEqual(["before", "after"]);
    await server.reached(kept, "success");
    open(name);
    const next = await server.post(`${thread.runs}/wait`, { assistant_id: "gate", input: { name: `${name}-0` } });
    expect(next.body.trail.slice(-2)).toEqual(["before", "after"]);
  });

  it("show the thread's status as each kind of end leaves it", async () => {
    const shown = async (id: string) => (await server.get(`/threads/${id}`)).body;
    const ends = [
      { body: one, run: "success", thread: { status: "idle", error: null, interrupts: {} } },
      { body: { assistant_id: "failing", input: {} }, run: "error", thread: { status: "error" } },
      { body: { assistant_id: "interrupting", input: {} }, run: "success", thread: { status: "interrupted" } },
      {
        body: { assistant_id: "breakpoints", input: {}, interrupt_after: ["a"] },
        run: "success",
        thread: { status: "interrupted", interrupts: {} },
      },
    ];
    for (const end of ends) {
      const thread = await server.thread();
      expect(await shown(thread.id)).toMatchObject({ status: "idle", values: null });
      const { body: run } = await server.post(thread.runs, end.body);
      await server.get(`${runPath(run)}/join`);
      expect((await server.run(run)).status).toBe(end.run);
      expect(await shown(thread.id)).toMatchObject(end.thread);
    }
  });

  it("show a thread busy from the moment a run is accepted, with its values kept meanwhile", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, {
      assistant_id: "gate",
      input: { trail: ["first"] },
      interrupt_before: ["wait"],
    });
    const { body: run } = await server.post(thread.runs, { assistant_id: "gate", input: { name: "busy" } });
    const shown = (await server.get(`/threads/${thread.id}`)).body;
    expect(shown).toMatchObject({ status: "busy", values: { trail: ["first", "before"] } });
    await arrival("busy");
    const write = await server.post(`/threads/${thread.id}/state`, { values: { trail: ["no"] } });
    expect(write.status).toBe(409);
    open("busy");
    await server.reached(run, "success");
    expect((await server.get(`/threads/${thread.id}`)).body.values.trail).toEqual([
      "first",
      "before",
      "before",
      "after",
    ]);
  });

  it("time out a run that takes too long, as an error that says so", async () => {
    await using hasty = await RunServer.start({ BG_JOB_TIMEOUT_SECS: "1" });
    const thread = await hasty.thread();
    const events = await hasty.stream(thread.runs, { assistant_id: "slow", input: { ms: 60_000 } });
    expect(events.at(-1)).toMatchObject({ event: "error", data: { error: "RunTimeout", message: expect.any(String) } });
    expect((await hasty.get(thread.runs)).body[0].status).toBe("timeout");
    expect((await hasty.get(`/threads/${thread.id}`)).body.status).toBe("error");
  });
});

describe("who sees the end of a run reads its final state (I9)", () => {
  it("300 times, by wait, by stream and by join", async () => {
    await using server = await RunServer.start();
    const graphs = [
      { body: { assistant_id: "counter", input: { steps: 2 } }, run: "success", thread: "idle" },
      { body: { assistant_id: "interrupting", input: {} }, run: "success", thread: "interrupted" },
      { body: { assistant_id: "failing", input: {} }, run: "error", thread: "error" },
    ];
    for (let i = 0; i < 300; i++) {
      const { body, ...end } = graphs[i % graphs.length] as (typeof graphs)[number];
      const thread = await server.thread();
      if (i % 4 === 0) await server.post(`${thread.runs}/wait`, body);
      else if (i % 4 === 1) await server.stream(thread.runs, { ...body, stream_mode: "updates" });
      else {
        const { body: run } = await server.post(thread.runs, body);
        if (i % 4 === 2) await server.join(run);
        else await server.get(`${runPath(run)}/join`);
      }
      const [runs, shown] = await Promise.all([server.get(thread.runs), server.get(`/threads/${thread.id}`)]);
      expect([runs.body[0].status, shown.body.status]).toEqual([end.run, end.thread]);
      expect(shown.body.values).not.toBeNull();
    }
  }, 120_000);
});
