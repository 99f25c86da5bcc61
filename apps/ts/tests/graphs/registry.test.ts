import { beforeAll, describe, expect, it } from "bun:test";
import { MemorySaver } from "@langchain/langgraph";
import type { RuntimeError } from "#core/errors";
import type { GraphAccess, GraphRegistry } from "#core/graphs/registry";
import type { GraphFactory } from "#core/graphs/spec";
import { type Logged, openProject } from "./project.ts";

const RUN: GraphAccess = { accessContext: "threads.create_run", config: { configurable: {} } };
const READ: GraphAccess = { accessContext: "threads.read", config: { configurable: {} } };

async function failure(work: Promise<unknown>): Promise<RuntimeError> {
  return work.then(
    () => expect.unreachable(),
    (error) => error as RuntimeError,
  );
}

/** Runs a graph to its end and gives the last values. */
async function run(registry: GraphRegistry, graphId: string, given: { input: unknown; access?: GraphAccess }) {
  const graph = await registry.build(graphId, given.access ?? RUN);
  let last: unknown;
  for await (const values of await graph.stream(given.input, { streamMode: "values" })) last = values;
  return last as Record<string, unknown>;
}

describe("a LangGraph.js project", () => {
  let registry: GraphRegistry;
  let logged: Logged[];

  beforeAll(async () => {
    ({ registry, logged } = await openProject("langgraph-project"));
  });

  it("lists every graph, the broken one with its error", () => {
    const list = registry.list();
    expect(list.map((graph) => graph.id)).toEqual([
      "chatbot",
      "joke",
      "support",
      "approval",
      "greeter",
      "research",
      "progress",
      "broken",
    ]);
    expect(list.filter((graph) => graph.error !== undefined).map((graph) => graph.id)).toEqual(["broken"]);
    expect(registry.find("broken")?.error).toStartWith("./src/broken.ts:graph: ");
    expect(registry.find("broken")?.error).toContain("a-package-that-is-not-installed");
    expect(logged.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(registry.find("joke")?.description).toBe("Writes a joke about a topic and rates it");
  });

  it("runs a compiled graph, a builder and a fan-out", async () => {
    const chat = await run(registry, "chatbot", { input: { messages: [{ role: "user", content: "hi" }] } });
    expect((chat.messages as { content: string }[]).at(-1)?.content).toBe("You said: hi");
    expect(await run(registry, "joke", { input: { topic: "cats" } })).toMatchObject({ joke: "A dry joke about cats" });
    expect(await run(registry, "support", { input: { question: "order 12" } })).toMatchObject({
      answer: "Order 12: shipped",
    });
    expect(await run(registry, "research", { input: { topics: ["b", "a"] } })).toMatchObject({
      report: "note on a; note on b",
    });
  });

  it("calls a factory with the run's config and context", async () => {
    const config = { configurable: { language: "de" } };
    const greet = (access: GraphAccess) => run(registry, "greeter", { input: { name: "Ann" }, access });
    expect((await greet({ ...RUN, config, context: { mood: "happy" } })).greeting).toBe(
      "Guten Morgen, Ann (happy, threads.create_run)",
    );
    expect((await greet({ ...READ, config, context: { mood: "happy" } })).greeting).toContain("(plain, threads.read)");
  });

  it("gives every graph but a factory's as one shared object", async () => {
    expect(await registry.build("joke", RUN)).toBe(await registry.build("joke", READ));
    expect(await registry.build("greeter", RUN)).not.toBe(await registry.build("greeter", RUN));
  });

  it("answers unavailable for a broken graph and not_found for an unknown one", async () => {
    const broken = await failure(registry.build("broken", RUN));
    expect([broken.code, broken.message]).toEqual(["unavailable", expect.stringContaining("./src/broken.ts:graph")]);
    expect((await failure(registry.build("nothing", RUN))).code).toBe("not_found");
    expect((await failure(registry.build("__proto__", RUN))).code).toBe("not_found");
    expect((await failure(registry.schemas("broken"))).code).toBe("unavailable");
    expect(() => registry.toolkit("nothing")).toThrow('Graph "nothing" not found');
  });

  it("gives the ids of the system assistants", () => {
    expect(registry.systemAssistantId("agent")).toBe("fe096781-5601-53d2-b2f6-0d3403f7e9ca");
    expect(registry.systemAssistantId("research_agent")).toBe("9dc0ca3b-1aa6-547d-93f0-e21597d2011c");
  });

  it("draws a graph, with its subgraph drawn out only when asked", async () => {
    const flat = (await registry.drawing("support", false)) as { nodes: { id: string }[]; edges: unknown[] };
    const deep = (await registry.drawing("support", true)) as { nodes: { id: string }[] };
    expect(flat.nodes.map((node) => node.id)).toEqual(["__start__", "triage", "orders", "other", "__end__"]);
    expect(deep.nodes.map((node) => node.id)).toContain("orders:find");
    expect(flat.edges).toContainEqual({ source: "__start__", target: "triage", conditional: false });
    expect((await registry.drawing("greeter", 1)) as object).toHaveProperty("nodes");
  });

  it("has one revision per content of the file", () => {
    const revisions = registry
      .list()
      .filter((graph) => graph.error === undefined)
      .map((graph) => graph.revision);
    expect(new Set(revisions).size).toBe(revisions.length);
    for (const revision of revisions) expect(revision).toMatch(/^[0-9a-f]{12}$/);
  });

  it("gives the classes of the copy that the graph itself uses", async () => {
    const { Command, Send, RunControl, isGraphDrained, serde } = registry.toolkit("approval");
    const langgraph = await import("@langchain/langgraph");
    expect(Command).toBe(langgraph.Command as never);
    expect(Send).toBe(langgraph.Send as never);
    expect(new RunControl!()).toBeInstanceOf(langgraph.RunControl);
    expect(isGraphDrained!(new langgraph.GraphDrained("x"))).toBe(true);
    const [type, bytes] = await serde.dumpsTyped(new Map([["a", 1]]));
    expect(await serde.loadsTyped(type, bytes)).toEqual(new Map([["a", 1]]));
  });

  it("resumes an interrupt with the toolkit's Command", async () => {
    const graph = Object.assign(Object.create(Object.getPrototypeOf(await registry.build("approval", RUN))), {
      ...(await registry.build("approval", RUN)),
      checkpointer: new MemorySaver(),
    });
    const config = { configurable: { thread_id: "t" } };
    expect(await graph.invoke({}, config)).toHaveProperty("__interrupt__");
    const { Command } = registry.toolkit("approval");
    expect(await graph.invoke(new Command({ resume: { approved: true } }), config)).toMatchObject({ sent: true });
  });
});

describe("isolation and revision", () => {
  const graph = (id: string) => ({ id, source: "./src/chatbot.ts:graph", exportName: "graph" });
  const builtIn = {
    description: "shipped",
    isolation: "assistant" as const,
    configSchema: { type: "object" },
    load: async (): Promise<GraphFactory> => expect.unreachable(),
  };

  it("shares a thread for the user's graphs and separates the assistants of shipped ones, unless told otherwise", async () => {
    const first = await openProject("langgraph-project", { builtIns: { agent: builtIn } });
    expect(first.registry.find("chatbot")?.isolation).toBe("thread");
    expect(first.registry.find("agent")?.isolation).toBe("assistant");
    const path = first.config.graphs[0]!.path;
    const own = { ...graph("own"), path, isolation: "thread" as const };
    const { registry } = await openProject("langgraph-project", {
      graphs: [{ ...graph("free"), path }, own],
      builtIns: { agent: builtIn },
      isolation: "assistant",
      revision: "r7",
    });
    expect(registry.find("free")?.isolation).toBe("assistant");
    expect(registry.find("own")?.isolation).toBe("thread");
    expect(registry.list().map((info) => info.revision)).toEqual(["r7", "r7", "r7"]);
  });

  it("lets a graph of the user hide a built-in one of the same id", async () => {
    const { registry } = await openProject("langgraph-project", { builtIns: { chatbot: builtIn } });
    expect(registry.list().filter((info) => info.id === "chatbot")).toHaveLength(1);
    expect(registry.find("chatbot")?.description).toBeUndefined();
  });
});
