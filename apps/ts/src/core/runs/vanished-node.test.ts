import { describe, expect, it } from "bun:test";
import { Annotation, END, MemorySaver, Send, START, StateGraph } from "@langchain/langgraph";
import { vanishedNode } from "./vanished-node.ts";

const State = Annotation.Root({
  path: Annotation<string[]>({ reducer: (path, more) => [...path, ...more], default: () => [] }),
});

/** Nodes a and b at the same time, then what `then` makes of them; each adds its name to `path`. */
function fork(nodes: string[], then: (graph: ReturnType<typeof base>) => unknown) {
  const graph = base(nodes);
  then(graph);
  return graph;
}

function base(nodes: string[]) {
  const graph = new StateGraph(State);
  for (const node of nodes) graph.addNode(node, async () => ({ path: [node] }));
  return graph as unknown as StateGraph<typeof State.spec, typeof State.State, typeof State.Update, string>;
}

/** Runs the old code up to its breakpoint, then looks from the new code. */
async function look(old: ReturnType<typeof base>, now: ReturnType<typeof base>, interruptBefore: string[]) {
  const saver = new MemorySaver();
  const configurable = { thread_id: "t" };
  await old.compile({ checkpointer: saver, interruptBefore }).invoke({}, { configurable });
  return vanishedNode(now.compile({ checkpointer: saver }) as never, saver as never, "t");
}

const without = fork(["a", "b"], (graph) => graph.addEdge(START, "a").addEdge("a", "b").addEdge("b", END));

describe("a node that has vanished", () => {
  it("is found behind an edge", async () => {
    const old = fork(["a", "b", "c"], (graph) => graph.addEdge(START, "a").addEdge("a", "b").addEdge("b", "c"));
    expect(await look(old, without, ["c"])).toBe("c");
    expect(await look(old, old, ["c"])).toBeUndefined();
  });

  it("is not missed before its turn, nor after it", async () => {
    const old = fork(["a", "b", "c"], (graph) => graph.addEdge(START, "a").addEdge("a", "b").addEdge("b", "c"));
    expect(await look(old, without, ["b"])).toBeUndefined();
    const early = fork(["c", "a", "b"], (graph) => graph.addEdge(START, "c").addEdge("c", "a").addEdge("a", "b"));
    expect(await look(early, without, ["b"])).toBeUndefined();
  });

  it("is found behind a join of several nodes, once all of them are done", async () => {
    const old = fork(["a", "b", "c"], (graph) =>
      graph
        .addEdge(START, "a")
        .addEdge(START, "b")
        .addEdge(["a", "b"] as never, "c"),
    );
    expect(await look(old, without, ["c"])).toBe("c");
    expect(await look(old, without, ["b"])).toBeUndefined();
  });

  it("is found where something was sent to it", async () => {
    const old = fork(["a", "c"], (graph) =>
      graph.addEdge(START, "a").addConditionalEdges("a", () => [new Send("c", {})], ["c"]),
    );
    expect(await look(old, without, ["c"])).toBe("c");
    expect(await look(old, old, ["c"])).toBeUndefined();
  });

  it("is none where nothing ran yet", async () => {
    const saver = new MemorySaver();
    expect(await vanishedNode(without.compile() as never, saver as never, "t")).toBeUndefined();
  });
});
