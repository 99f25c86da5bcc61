import { beforeAll, describe, expect, it } from "bun:test";
import { Annotation, StateGraph, StateSchema } from "@langchain/langgraph";
import { createAgent } from "langchain";
import { z } from "zod";
import type { GraphRegistry } from "#core/graphs/registry";
import { type Logged, openProject } from "./project.ts";

const messages = { type: "array", langgraph_type: "messages", items: { type: "object" } };

describe("the JSON Schemas of a project's graphs", () => {
  let registry: GraphRegistry;

  beforeAll(async () => {
    ({ registry } = await openProject("langgraph-project"));
  });

  it("come from zod where the state is one", async () => {
    const schemas = await registry.schemas("joke");
    expect(schemas.graph_id).toBe("joke");
    expect(schemas.input_schema?.properties).toMatchObject({
      topic: { type: "string", description: "What the joke is about" },
      score: { type: "number" },
    });
    expect(schemas.context_schema).toMatchObject({ properties: { style: { enum: ["dry", "silly"], default: "dry" } } });
    expect(schemas.config_schema).toEqual(schemas.context_schema);
  });

  it("name the channels where the types are gone at run time", async () => {
    const chatbot = await registry.schemas("chatbot");
    for (const schema of [chatbot.input_schema, chatbot.output_schema, chatbot.state_schema]) {
      expect(schema?.properties).toMatchObject({ messages });
    }
    expect(chatbot.config_schema).toBeNull();
    const approval = await registry.schemas("approval");
    expect(approval.state_schema).toEqual({
      type: "object",
      properties: { draft: {}, approved: {}, sent: { type: "boolean" } },
    });
    expect(approval.input_schema?.properties).toEqual({ draft: {}, approved: {}, sent: {} });
  });

  it("are worked out once", async () => {
    expect(await registry.schemas("joke")).toBe(await registry.schemas("joke"));
  });

  it("are there for subgraphs by namespace, one or all levels deep", async () => {
    const engine = (await openProject("engine")).registry;
    const direct = await engine.subgraphs("subgraphs", { recurse: false });
    const all = await engine.subgraphs("subgraphs", { recurse: true });
    expect(Object.keys(direct)).toEqual(["child"]);
    expect(Object.keys(all).sort()).toEqual(["child", "child|grandchild"]);
    expect(all["child|grandchild"]?.state_schema).toEqual({ type: "object", properties: { trail: { type: "array" } } });
    const named = await engine.subgraphs("subgraphs", { namespace: "child|grandchild", recurse: true });
    expect(Object.keys(named)).toEqual(["child|grandchild"]);
    expect(await engine.subgraphs("subgraphs", { namespace: "nowhere", recurse: false })).toEqual({});
  });
});

/** A registry with one built-in graph made by `make`. */
async function registryOf(make: () => unknown, configSchema: Record<string, unknown> | null = null) {
  const logged: Logged[] = [];
  const log = (level: Logged["level"]) => (_: object, message: string) => logged.push({ level, message });
  const graph = { description: "", isolation: "thread" as const, configSchema, load: async () => make };
  const logger = { warn: log("warn"), error: log("error") };
  const { registry } = await openProject("langgraph-project", { graphs: [], builtIns: { made: graph }, logger });
  return { registry, logged };
}

describe("the JSON Schemas of", () => {
  it("a StateSchema graph carry one dialect at most, at the top", async () => {
    const state = new StateSchema({ n: z.number().default(1), $schema: z.string() });
    const { registry } = await registryOf(() =>
      new StateGraph(state).addNode("a", () => ({})).addEdge("__start__", "a"),
    );
    const { state_schema } = await registry.schemas("made");
    expect(state_schema).toEqual({
      type: "object",
      properties: { n: { default: 1, type: "number" }, $schema: { type: "string" } },
      required: ["$schema"],
    });
  });

  it("an agent say what its messages are", async () => {
    const { registry } = await registryOf(() => createAgent({ model: "openai:none", tools: [] }));
    expect((await registry.schemas("made")).input_schema?.properties).toMatchObject({ messages });
  });

  it("a built-in graph have its own configuration in place of the context", async () => {
    const own = { type: "object", properties: { model_name: { type: "string" } } };
    const graph = () =>
      new StateGraph(Annotation.Root({ x: Annotation<number> })).addNode("a", () => ({})).addEdge("__start__", "a");
    const { registry } = await registryOf(graph, own);
    const { config_schema, context_schema } = await registry.schemas("made");
    expect([config_schema, context_schema]).toEqual([own, null]);
  });

  it("a state that zod cannot describe fall back to the names of its channels, with a warning", async () => {
    const state = z.object({ when: z.custom<Date>(), n: z.bigint() });
    const { registry, logged } = await registryOf(() =>
      new StateGraph(state).addNode("a", () => ({})).addEdge("__start__", "a"),
    );
    expect(Object.keys((await registry.schemas("made")).state_schema?.properties as object)).toEqual(["when", "n"]);
    expect(logged.some(({ level, message }) => level === "warn" && message.includes('graph "made"'))).toBe(true);
  });

  it("a graph whose factory fails are an error this time and tried again the next", async () => {
    let calls = 0;
    const { registry } = await registryOf(() => {
      calls += 1;
      if (calls === 1) throw new Error("no model yet");
      return new StateGraph(Annotation.Root({ x: Annotation<number> }))
        .addNode("a", () => ({}))
        .addEdge("__start__", "a");
    });
    await expect(registry.schemas("made")).rejects.toMatchObject({
      code: "unavailable",
      message: 'Graph "made" could not be built: no model yet',
    });
    expect((await registry.schemas("made")).state_schema).toEqual({ type: "object", properties: { x: {} } });
  });
});
