import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { RemoteGraph } from "@langchain/langgraph/remote";
import { CrashServer } from "../crash/server.ts";

setDefaultTimeout(30_000);

describe("RemoteGraph", () => {
  let server: CrashServer;
  beforeAll(async () => {
    server = await CrashServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const remote = (graphId: string) => new RemoteGraph({ graphId, url: server.url });
  const at = (threadId: string) => ({ configurable: { thread_id: threadId } });

  it("streams values and updates of a graph that runs here", async () => {
    const chunks: unknown[] = [];
    const stream = await remote("counter").stream(
      { steps: 2 },
      { ...at(await server.thread()), streamMode: ["values", "updates"] },
    );
    for await (const chunk of stream) chunks.push(chunk);
    const modes = (chunks as [string, unknown][]).map(([mode]) => mode);
    expect(modes).toEqual(["values", "updates", "values", "updates", "values"]);
    expect((chunks.at(-1) as [string, { log: string[] }])[1].log).toEqual(["step-1", "step-2"]);
  });

  it("invokes, reads and writes state and history", async () => {
    const graph = remote("breakpoints");
    const config = at(await server.thread());
    expect(await graph.invoke({}, config)).toMatchObject({ path: ["a", "b", "c"] });
    expect((await graph.getState(config)).values).toMatchObject({ path: ["a", "b", "c"] });
    await graph.updateState(config, { path: ["d"] }, "c");
    expect((await graph.getState(config)).values).toMatchObject({ path: ["a", "b", "c", "d"] });
    const past: unknown[] = [];
    for await (const state of graph.getStateHistory(config)) past.push(state);
    expect(past.length).toBeGreaterThan(4);
    expect(Object.keys((await graph.getGraphAsync()).nodes)).toContain("a");
  });

  it("shows an interrupt", async () => {
    const threadId = await server.thread();
    await remote("interrupting")
      .invoke({}, at(threadId))
      .catch((error: Error) => expect(error.name).toBe("GraphInterrupt"));
    const state = await remote("interrupting").getState(at(threadId));
    expect(state.tasks.flatMap((task) => task.interrupts.map(({ value }) => value))).toEqual(["name?"]);
  });
});
