import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "./fixtures/gate.ts";
import { RunServer, runPath, type Thread, until } from "./server.ts";

const FIRST = { assistant_id: "breakpoints", input: {}, metadata: { mine: 1 } };
const SECOND = { assistant_id: "interrupting", input: {}, metadata: { yours: 2 } };

describe("a thread that several graphs run on", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const wait = async (thread: Thread, body: object) => (await server.post(`${thread.runs}/wait`, body)).body;
  const shown = async (thread: Thread) => (await server.get(`/threads/${thread.id}`)).body;
  const state = async (thread: Thread, query = "") => (await server.get(`/threads/${thread.id}/state${query}`)).body;
  const history = async (thread: Thread, query: object) =>
    (await server.post(`/threads/${thread.id}/history`, { limit: 100, ...query })).body;

  it("is read with the graph of its latest run: the state had no next, no interrupts and other values", async () => {
    const thread = await server.thread();
    await wait(thread, FIRST);
    const { __interrupt__: asked, ...values } = await wait(thread, SECOND);
    const { metadata, status } = await shown(thread);
    expect([status, metadata.graph_id]).toEqual(["interrupted", "interrupting"]);
    const now = await state(thread);
    expect(now).toMatchObject({ next: ["ask"], interrupts: asked, values });
    const [newest, ...older] = await history(thread, {});
    expect(newest).toEqual(now);
    expect(older.length).toBeGreaterThanOrEqual(5);
    // The question is answered by a run, and by a write as the node that asked.
    expect(
      (await wait(thread, { ...SECOND, input: undefined, command: { resume: "Ann" } })).__interrupt__,
    ).toMatchObject([{ value: "age?" }]);
    const written = await server.post(`/threads/${thread.id}/state`, { values: { name: "Bob" }, as_node: "ask" });
    expect(written.status).toBe(200);
    expect((await state(thread)).values).toMatchObject({ name: "Bob" });
    await wait(thread, FIRST);
    expect((await shown(thread)).metadata.graph_id).toBe("breakpoints");
    expect((await state(thread)).values).toMatchObject({ path: expect.arrayContaining(["a", "b", "c"]) });
  });

  it("names the latest run in its metadata at once, and is read as it stands until that has written", async () => {
    const thread = await server.thread();
    await wait(thread, FIRST);
    const before = await state(thread);
    const delayed = { ...SECOND, after_seconds: 900 };
    const { body: run } = await server.post(thread.runs, delayed);
    expect((await shown(thread)).metadata.graph_id).toBe("interrupting");
    expect(await state(thread)).toEqual(before);
    await server.post(`${runPath(run)}/cancel?wait=1&action=rollback`);
    expect(await state(thread)).toEqual(before);
    // A rollback of a run that has written takes its checkpoints with it.
    const name = "several-graphs";
    const { body: gated } = await server.post(thread.runs, { assistant_id: "gate", input: { name } });
    await arrival(name);
    await until(async () => (await state(thread)).next[0] === "wait");
    await server.post(`${runPath(gated)}/cancel?wait=1&action=rollback`);
    open(name);
    expect(await state(thread)).toEqual(before);
    const { body: copy } = await server.post(`/threads/${thread.id}/copy`, {});
    expect((await server.get(`/threads/${copy.thread_id}/state`)).body.values).toEqual(before.values);
  });

  it("finds checkpoints by what their run, thread and assistant say", async () => {
    const { body: assistant } = await server.post("/assistants", {
      graph_id: "breakpoints",
      metadata: { of: "assistant" },
    });
    const thread = await server.thread({ metadata: { of_thread: "t" } });
    await wait(thread, { ...FIRST, assistant_id: assistant.assistant_id });
    await wait(thread, SECOND);
    const [second, first] = (await server.get(thread.runs)).body;
    const found = async (metadata: object) => (await history(thread, { metadata })).length;
    const all = (await history(thread, {})).length;
    expect(all).toBe(7);
    for (const [metadata, count] of [
      [{ mine: 1 }, 5],
      [{ yours: 2 }, 2],
      [{ run_id: first.run_id }, 5],
      [{ run_id: second.run_id }, 2],
      [{ graph_id: "breakpoints" }, 5],
      [{ graph_id: "interrupting" }, 2],
      [{ assistant_id: assistant.assistant_id }, 5],
      [{ of: "assistant" }, 5],
      [{ of_thread: "t" }, 7],
      [{ run_attempt: 1, langgraph_host: "self-hosted" }, 7],
      [{ mine: 1, source: "input" }, 1],
      [{ mine: 2 }, 0],
    ] as const) {
      expect([metadata, await found(metadata)]).toEqual([metadata, count]);
    }
    const { metadata } = await state(thread);
    expect(metadata).toMatchObject({ source: "loop", step: 5, parents: {}, yours: 2, run_id: second.run_id });
    expect(Object.keys(metadata).filter((key) => /auth|user/.test(key))).toEqual([]);
  });

  it("keeps the run's words in the checkpoints of its subgraphs, and the writer's own in those of a state write", async () => {
    const thread = await server.thread();
    await wait(thread, { assistant_id: "subgraphs", input: {}, metadata: { mine: 1 } });
    const { tasks } = (await server.get(`/threads/${thread.id}/state?subgraphs=true`)).body;
    const [run] = (await server.get(thread.runs)).body;
    expect(tasks[0].state.metadata).toMatchObject({ mine: 1, run_id: run.run_id, graph_id: "subgraphs" });
    const written = { values: {}, as_node: "a" };
    const other = await server.thread();
    await wait(other, SECOND);
    await server.post(`/threads/${other.id}/state?assistant_id=breakpoints`, written);
    expect((await state(other)).metadata).toMatchObject({ source: "update", graph_id: "breakpoints" });
  });
});
