import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { CrashServer } from "./server.ts";

setDefaultTimeout(60_000);

/** Creates a run, kills the server when the run has done everything but end, and starts a real one on its data. */
async function killBeforeTheEnd(server: CrashServer, threadId: string, body: object): Promise<string> {
  await server.startBlocked();
  const { run_id } = await server.json(`/threads/${threadId}/runs`, body);
  await server.finishReached();
  await server.kill();
  await server.start();
  return run_id;
}

/** What the run came to, and where the thread stands. */
async function standing(server: CrashServer, threadId: string, runId: string) {
  const values = await server.json(`/threads/${threadId}/runs/${runId}/join`);
  const run = await server.json(`/threads/${threadId}/runs/${runId}`);
  const thread = await server.json(`/threads/${threadId}`);
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  const asked = (Object.values(thread.interrupts).flat() as any[]).map(({ value }) => value);
  return { values, status: run.status, thread: thread.status, asked };
}

async function newThread(server: CrashServer): Promise<string> {
  await server.start();
  const threadId = await server.thread();
  await server.kill();
  return threadId;
}

describe("a run that was killed between its last checkpoint and its end", () => {
  it("stands at its interrupt afterwards, and goes on with the answer only", async () => {
    await using server = new CrashServer();
    const threadId = await newThread(server);
    const runId = await killBeforeTheEnd(server, threadId, { assistant_id: "interrupting", input: {} });
    const first = await standing(server, threadId, runId);
    expect([first.status, first.thread, first.asked]).toEqual(["success", "interrupted", ["name?"]]);
    expect(first.values.__interrupt__.map(({ value }: { value: string }) => value)).toEqual(["name?"]);
    await server.kill();

    // The resumed run reaches the node's second question; its answer to the first must not answer that too.
    const resumed = await killBeforeTheEnd(server, threadId, {
      assistant_id: "interrupting",
      command: { resume: "Ada" },
    });
    const second = await standing(server, threadId, resumed);
    expect([second.status, second.thread, second.asked]).toEqual(["success", "interrupted", ["age?"]]);
    const done = await server.json(`/threads/${threadId}/runs/wait`, {
      assistant_id: "interrupting",
      command: { resume: 36 },
    });
    expect(done.greeting).toBe("Ada is 36");
  });

  it("shows a later reader where it stands, in the modes that it was started with", async () => {
    const told = async (stream_mode: string[]) => {
      await using server = new CrashServer();
      const threadId = await newThread(server);
      const body = { assistant_id: "subgraphs", input: {}, stream_resumable: true, stream_mode };
      const runId = await killBeforeTheEnd(server, threadId, body);
      await standing(server, threadId, runId);
      const events = await (await server.rejoin(threadId, runId, "-1")).rest();
      const attempt = events.findLastIndex(({ event }) => event === "metadata");
      expect(events[attempt]?.data.attempt).toBe(2);
      return events.slice(attempt + 1, -1).map(({ event, data }) => [event, data]);
    };
    const __interrupt__ = [{ value: "approve?", id: expect.any(String) }];
    expect(await told(["values", "updates"])).toEqual([
      ["updates", { __interrupt__ }],
      ["values", { trail: ["before"], __interrupt__ }],
    ]);
    expect(await told(["custom"])).toEqual([]);
  });

  it("keeps both questions of parallel nodes", async () => {
    await using server = new CrashServer();
    const threadId = await newThread(server);
    const runId = await killBeforeTheEnd(server, threadId, { assistant_id: "interrupting_parallel", input: {} });
    const { status, thread, asked } = await standing(server, threadId, runId);
    expect([status, thread, asked.sort()]).toEqual(["success", "interrupted", ["left?", "right?"]]);
  });

  it("does not step past an interrupt inside a subgraph", async () => {
    await using server = new CrashServer();
    const threadId = await newThread(server);
    const runId = await killBeforeTheEnd(server, threadId, { assistant_id: "subgraphs", input: {} });
    const { status, thread, asked } = await standing(server, threadId, runId);
    expect([status, thread, asked]).toEqual(["success", "interrupted", ["approve?"]]);
    const resumed = { assistant_id: "subgraphs", command: { resume: "yes" } };
    const done = await server.json(`/threads/${threadId}/runs/wait`, resumed);
    expect(done.trail).toEqual(["before", "child", "approved:yes", "after"]);
  });

  it.each([
    ["before", { interrupt_before: ["b"] }, ["a"]],
    ["after", { interrupt_after: ["a"] }, ["a"]],
  ])("does not step past a breakpoint %s a node", async (_, breakpoints, path) => {
    await using server = new CrashServer();
    const threadId = await newThread(server);
    const runId = await killBeforeTheEnd(server, threadId, { assistant_id: "breakpoints", input: {}, ...breakpoints });
    const { values, status, thread } = await standing(server, threadId, runId);
    expect([values.path, status, thread]).toEqual([path, "success", "interrupted"]);
    const done = await server.json(`/threads/${threadId}/runs/wait`, { assistant_id: "breakpoints", input: null });
    expect(done.path).toEqual(["a", "b", "c"]);
  });

  it("ends with the values it had reached when nothing was left to do", async () => {
    await using server = new CrashServer();
    const threadId = await newThread(server);
    const runId = await killBeforeTheEnd(server, threadId, { assistant_id: "counter", input: { steps: 3 } });
    const { values, status, thread } = await standing(server, threadId, runId);
    expect([values.log, status, thread]).toEqual([["step-1", "step-2", "step-3"], "success", "idle"]);
  });
});
