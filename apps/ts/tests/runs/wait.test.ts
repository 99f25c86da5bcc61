import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "./fixtures/gate.ts";
import { RunServer, until } from "./server.ts";
import { SseReader } from "./sse-client.ts";

/** The ids of interrupts are made from the thread's checkpoints. */
const withoutIds = (body: object) => JSON.parse(JSON.stringify(body, (key, value) => (key === "id" ? "" : value)));

describe("wait and join", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("answer with the last root values, on a thread and without one", async () => {
    const thread = await server.thread();
    const body = { assistant_id: "counter", input: { steps: 2 } };
    for (const path of [thread.runs, "/runs"]) {
      expect((await server.post(`${path}/wait`, body)).body).toMatchObject({ count: 2, log: ["step-1", "step-2"] });
    }
  });

  it("answer with all interrupts of a step beside the values", async () => {
    const body = { assistant_id: "interrupting_parallel", input: { answers: ["early"] } };
    const asked = [{ value: "left?" }, { value: "right?" }];
    const thread = await server.thread();
    const first = (await server.post(`${thread.runs}/wait`, body)).body;
    expect(first).toMatchObject({ answers: ["early"], __interrupt__: asked });
    const [run] = (await server.get(thread.runs)).body;
    expect(run.status).toBe("success");
    expect((await server.get(`${thread.runs}/${run.run_id}/join`)).body).toEqual(first);
    expect((await server.post("/runs/wait", body)).body).toMatchObject({ answers: ["early"], __interrupt__: asked });
  });

  it("answer a later join as they answered at once, whatever the run was streamed in", async () => {
    for (const [graph, input] of [
      ["interrupting_parallel", { answers: ["early"] }],
      ["counter", { steps: 2 }],
      ["failing", {}],
      ["subgraphs", {}],
    ] as const) {
      for (const stream_mode of ["values", "updates", "custom", "messages-tuple"]) {
        const thread = await server.thread();
        await server.stream(thread.runs, { assistant_id: graph, input, stream_mode });
        const [run] = (await server.get(thread.runs)).body;
        const joined = (await server.get(`${thread.runs}/${run.run_id}/join`)).body;
        const fresh = (await server.post(`${(await server.thread()).runs}/wait`, { assistant_id: graph, input })).body;
        expect(withoutIds(joined)).toEqual(withoutIds(fresh));
      }
    }
  });

  it("answer an error in place of values and interrupts", async () => {
    const { body, status } = await server.post("/runs/wait", { assistant_id: "failing", input: {} });
    expect(status).toBe(200);
    expect(body).toEqual({ __error__: { error: "PaymentDeclined", message: "the card was declined" } });
  });

  it("never answer null, whatever there is to say", async () => {
    const thread = await server.thread();
    for (const path of ["/runs", thread.runs]) {
      const reply = await server.post(`${path}/wait`, {
        assistant_id: "breakpoints",
        input: {},
        interrupt_before: "*",
      });
      expect(reply.body).toBeObject();
    }
  });

  it("name the run and where to come back in their headers", async () => {
    const thread = await server.thread();
    const stateful = await server.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
    const [run] = (await server.get(thread.runs)).body;
    expect(stateful.headers.get("content-location")).toBe(`/threads/${thread.id}/runs/${run.run_id}`);
    expect(stateful.headers.get("location")).toBe(`/threads/${thread.id}/runs/${run.run_id}/join`);
    const stateless = await server.post("/runs/wait", { assistant_id: "counter", input: { steps: 1 } });
    expect(stateless.headers.get("content-location")).toMatch(/^\/(threads\/[0-9a-f-]{36}\/)?runs\/[0-9a-f-]{36}$/);
    const again = await server.get(stateless.headers.get("location") as string);
    expect(again.body).toEqual(stateless.body);
  });

  it("send the headers before the run ends", async () => {
    const thread = await server.thread();
    const answer = await server.open("POST", `${thread.runs}/wait`, {
      body: { assistant_id: "gate", input: { name: "headers" } },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("application/json");
    await arrival("headers");
    const join = await server.open("GET", answer.headers.get("location") as string);
    const stream = await server.open("GET", `${answer.headers.get("content-location")}/stream`);
    expect([join.status, stream.status]).toEqual([200, 200]);
    expect((await server.get(thread.runs)).body[0].status).toBe("running");
    open("headers");
    expect(await answer.json()).toMatchObject({ trail: ["before", "after"] });
    expect(await join.json()).toMatchObject({ trail: ["before", "after"] });
    expect((await new SseReader(stream).rest()).at(-1)?.event).toBe("end");
  });

  it("send them while the run is still queued, and then its result", async () => {
    const thread = await server.thread();
    await server.post(thread.runs, { assistant_id: "gate", input: { name: "ahead" } });
    await arrival("ahead");
    const answer = await server.open("POST", `${thread.runs}/wait`, {
      body: { assistant_id: "counter", input: { steps: 1 } },
    });
    expect(answer.status).toBe(200);
    const queued = (await server.get(`${thread.runs}?status=pending`)).body;
    expect(queued).toHaveLength(1);
    open("ahead");
    expect(await answer.json()).toMatchObject({ count: 1 });
  });

  it("give the thread's stored values to those who waited for a run that was taken back", async () => {
    const thread = await server.thread();
    await server.post(`${thread.runs}/wait`, {
      assistant_id: "gate",
      input: { name: "kept", trail: ["kept"] },
      interrupt_before: ["wait"],
    });
    const kept = (await server.get(`/threads/${thread.id}`)).body.values;
    expect(kept.trail).toEqual(["kept", "before"]);
    const body = { assistant_id: "gate", input: { name: "taken-back" } };
    const running = await server.open("POST", `${thread.runs}/wait`, { body });
    await arrival("taken-back");
    const pending = await server.open("POST", `${thread.runs}/wait`, { body });
    const instead = { assistant_id: "gate", input: { name: "instead" }, multitask_strategy: "rollback" };
    await server.post(thread.runs, instead);
    expect(await pending.json()).toEqual(kept);
    expect(await running.json()).toEqual(kept);
    open("instead");
  });

  it("cancel the run of a client that leaves, if it asked for that, and only then", async () => {
    for (const [on_disconnect, status] of [
      ["cancel", "interrupted"],
      ["continue", "running"],
    ] as const) {
      const thread = await server.thread();
      const leaving = new AbortController();
      const name = `leaves-${on_disconnect}`;
      const answer = await server.open("POST", `${thread.runs}/wait`, {
        body: { assistant_id: "gate", input: { name }, on_disconnect },
        signal: leaving.signal,
      });
      await arrival(name);
      leaving.abort();
      await answer.text().catch(() => undefined);
      const now = async () => (await server.get(thread.runs)).body[0].status;
      if (status === "interrupted") await until(async () => (await now()) === status);
      else expect(await now()).toBe("running");
      open(name);
      await until(async () => (await now()) !== "running");
    }
  });

  it("join with cancel_on_disconnect takes the run along", async () => {
    const thread = await server.thread();
    const { body: run } = await server.post(thread.runs, { assistant_id: "gate", input: { name: "joined-leaves" } });
    await arrival("joined-leaves");
    const leaving = new AbortController();
    const path = `${thread.runs}/${run.run_id}/join?cancel_on_disconnect=true`;
    const answer = await server.open("GET", path, { signal: leaving.signal });
    leaving.abort();
    await answer.text().catch(() => undefined);
    await server.reached(run, "interrupted");
  });
});
