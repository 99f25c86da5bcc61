import { describe, expect, it } from "bun:test";
import { idempotencyKey } from "@fractal-agents/infra/idempotency";
import { tool } from "@langchain/core/tools";
import { Annotation, type LangGraphRunnableConfig, MemorySaver, Send, START, StateGraph } from "@langchain/langgraph";
import { z } from "zod";

const State = Annotation.Root({
  item: Annotation<number>(),
  done: Annotation<number>({ reducer: (done, more) => done + more, default: () => 0 }),
});

/** Keys of the tasks in the order of their execution, and the task that fails. */
class Attempts {
  readonly keys: Record<string, string[]> = {};
  failing: string | undefined;

  note(name: string, config: LangGraphRunnableConfig, call?: string): void {
    this.keys[name] ??= [];
    this.keys[name].push(idempotencyKey(config, call));
  }

  trip(name: string): void {
    if (this.failing === name) throw new Error("the process died");
  }
}

/** Two parallel tasks of one node, a tool called in a node, a subgraph, and a step that may die. */
function graphOf(attempts: Attempts) {
  const pay = tool(async (_input, config) => attempts.note("tool", config as LangGraphRunnableConfig, "call-1"), {
    name: "pay",
    description: "",
    schema: z.object({}),
  });
  const inner = new StateGraph(State)
    .addNode("deep", async (_state, config) => {
      attempts.note("deep", config);
      attempts.trip("deep");
      return { done: 1 };
    })
    .addEdge(START, "deep")
    .compile();
  return new StateGraph(State)
    .addNode("each", async ({ item }, config) => {
      attempts.note(`each-${item}`, config);
      return { done: 1 };
    })
    .addNode("tools", async (_state, config) => {
      await pay.invoke({}, config);
      attempts.trip("tools");
      return { done: 1 };
    })
    .addNode("inner", inner)
    .addConditionalEdges(START, () => [new Send("each", { item: 1 }), new Send("each", { item: 2 })], ["each"])
    .addEdge("each", "tools")
    .addEdge("tools", "inner");
}

const on = (thread_id: string, run_id: string) => ({ configurable: { thread_id, run_id } });

describe("the idempotency key of a task", () => {
  it("is the same when the run goes on from its last checkpoint", async () => {
    const attempts = new Attempts();
    const graph = graphOf(attempts).compile({ checkpointer: new MemorySaver() });
    attempts.failing = "tools";
    await expect(graph.invoke({ done: 0 }, on("t", "r"))).rejects.toThrow("died");
    attempts.failing = "deep";
    await expect(graph.invoke(null, on("t", "r"))).rejects.toThrow("died");
    attempts.failing = undefined;
    await graph.invoke(null, on("t", "r"));
    for (const name of ["tool", "deep"]) {
      expect(attempts.keys[name]).toHaveLength(2);
      expect(new Set(attempts.keys[name]).size).toBe(1);
    }
  });

  it("is the same when the run starts over from its input", async () => {
    const attempts = new Attempts();
    for (const _ of [1, 2])
      await graphOf(attempts).compile({ checkpointer: new MemorySaver() }).invoke({}, on("t", "r"));
    for (const name of ["each-1", "each-2", "tool"]) {
      expect(attempts.keys[name]).toHaveLength(2);
      expect(new Set(attempts.keys[name]).size).toBe(1);
    }
  });

  it("differs from task to task, from call to call and from run to run", async () => {
    const attempts = new Attempts();
    for (const run of ["r1", "r2"]) {
      await graphOf(attempts).compile({ checkpointer: new MemorySaver() }).invoke({}, on("t", run));
    }
    const keys = Object.values(attempts.keys).flat();
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toHaveLength(8);
    const config = { configurable: { run_id: "r" }, metadata: { langgraph_checkpoint_ns: "a:1", langgraph_step: 1 } };
    expect(idempotencyKey(config, 1)).not.toBe(idempotencyKey(config, 2));
    expect(idempotencyKey(config)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("cannot be had outside of a run", () => {
    expect(() => idempotencyKey({ configurable: { thread_id: "t" } })).toThrow("of a run");
  });
});
