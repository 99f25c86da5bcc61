import { beforeAll, describe, expect, it } from "bun:test";
import { MemorySaver } from "@langchain/langgraph";
import { bindGraph } from "#core/graphs/bind";
import type { GraphAccess, GraphLike, GraphRegistry } from "#core/graphs/registry";
import { openProject } from "./project.ts";

const RUN: GraphAccess = { accessContext: "threads.create_run", config: { configurable: {} } };

/** The graphs that the engine's and the API's tests drive do what their comments promise. */
describe("the engine's test graphs", () => {
  let registry: GraphRegistry;
  const bound = async (id: string): Promise<GraphLike> =>
    bindGraph(await registry.build(id, RUN), { checkpointer: new MemorySaver() });
  const config = (more: object = {}) => ({ configurable: { thread_id: "t" }, streamMode: "values", ...more });
  const last = async (graph: GraphLike, given: { input: unknown; config?: object }) => {
    let values: Record<string, unknown> = {};
    for await (const next of await graph.stream(given.input, config(given.config))) values = next;
    return values;
  };

  beforeAll(async () => {
    ({ registry } = await openProject("engine"));
  });

  it("all load", () => {
    expect(registry.list().filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it("count their steps, and record each", async () => {
    const values = await last(await bound("counter"), { input: { steps: 3 }, config: { recursionLimit: 10 } });
    expect(values).toMatchObject({ count: 3, log: ["step-1", "step-2", "step-3"] });
  });

  it("call a tool and answer from it", async () => {
    const input = { messages: [{ role: "user", content: "weather in Paris" }] };
    const messages = (await last(await bound("tool_agent"), { input })).messages as { content: string }[];
    expect(messages.map((message) => message.content)).toEqual([
      "weather in Paris",
      "",
      "sunny in Paris",
      "The tool says: sunny in Paris",
    ]);
  });

  it("stop at each of two interrupts of one node, and at two at once", async () => {
    const { Command } = registry.toolkit("interrupting");
    const sequential = await bound("interrupting");
    expect((await last(sequential, { input: {} })).__interrupt__).toMatchObject([{ value: "name?" }]);
    expect((await last(sequential, { input: new Command({ resume: "Ann" }) })).__interrupt__).toMatchObject([
      { value: "age?" },
    ]);
    expect(await last(sequential, { input: new Command({ resume: 7 }) })).toMatchObject({ greeting: "Ann is 7" });
    const parallel = await bound("interrupting_parallel");
    await last(parallel, { input: {} });
    const { tasks } = await parallel.getState(config());
    const ids = Object.fromEntries(
      tasks.flatMap((t: { interrupts: { id: string; value: string }[] }) =>
        t.interrupts.map((i) => [i.id, `to ${i.value}`]),
      ),
    );
    const values = await last(parallel, { input: new Command({ resume: ids }) });
    expect(values.answers).toEqual(["left=to left?", "right=to right?", "joined"]);
  });

  it("ask two subgraphs down, and go on after the answer", async () => {
    const graph = await bound("subgraphs");
    expect((await last(graph, { input: {} })).__interrupt__).toMatchObject([{ value: "approve?" }]);
    const { Command } = registry.toolkit("subgraphs");
    const values = await last(graph, { input: new Command({ resume: "yes" }) });
    expect(values.trail).toEqual(["before", "child", "approved:yes", "after"]);
  });

  it("break, fail, stream tokens and write custom events", async () => {
    const breakpoints = await bound("breakpoints");
    await last(breakpoints, { input: {}, config: { interruptBefore: ["b"] } });
    expect(await breakpoints.getState(config())).toMatchObject({ values: { path: ["a"] }, next: ["b"] });
    expect((await last(breakpoints, { input: null })).path).toEqual(["a", "b", "c"]);
    const failing = await bound("failing");
    await expect(last(failing, { input: { reason: "no money" } })).rejects.toMatchObject({
      name: "PaymentDeclined",
      message: "no money",
    });
    expect((await failing.getState(config())).values.prepared).toBe(true);
    const tokens: string[] = [];
    const input = { messages: [], n: 5 };
    for await (const [message] of await (await bound("tokens")).stream(input, config({ streamMode: "messages" }))) {
      if (message.content !== "") tokens.push(message.content);
    }
    expect(tokens.map((token) => token.trim())).toEqual(["t1", "t2", "t3", "t4", "t5"]);
    const events = [];
    const writer = await bound("custom_writer");
    for await (const event of await writer.stream({ n: 2 }, config({ streamMode: "custom" }))) events.push(event);
    expect(events).toEqual([
      { progress: 1, of: 2 },
      { progress: 2, of: 2 },
    ]);
  });

  it("wait until they are told to stop, or until their time is up whatever they are told", async () => {
    const abortAfterStart = async (id: string, ms: number) => {
      const controller = new AbortController();
      const graph = await bound(id);
      const begun = performance.now();
      const stream = await graph.stream({ ms }, config({ signal: controller.signal }));
      try {
        for await (const values of stream) if (values.started) controller.abort(new Error("stop"));
      } catch (error) {
        return { error: (error as Error).message, took: performance.now() - begun };
      }
      return expect.unreachable();
    };
    const slow = await abortAfterStart("slow", 60_000);
    expect(slow.error).toBe("stop");
    expect(slow.took).toBeLessThan(5_000);
    expect((await abortAfterStart("deaf", 50)).error).toBe("stop");
    expect(await last(await bound("deaf"), { input: { ms: 30 } })).toMatchObject({ finished: true });
  });
});
