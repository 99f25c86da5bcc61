import { beforeAll, describe, expect, it } from "bun:test";
import { type BaseMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, messagesStateReducer, StateGraph, StateSchema } from "@langchain/langgraph";
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

  it("a context and an input require no field that has a default, at no depth", async () => {
    const fields = z.object({
      key: z.string(),
      style: z.string().default("dry"),
      inner: z.object({ depth: z.number().default(1), name: z.string() }),
      list: z.array(z.object({ size: z.number().default(2) })),
      required: z.string().default("x"),
    });
    const { registry } = await registryOf(() =>
      new StateGraph(z.object({ of: fields }), fields).addNode("a", () => ({})).addEdge("__start__", "a"),
    );
    const { context_schema, config_schema, input_schema, output_schema } = await registry.schemas("made");
    const needed = {
      required: ["key", "inner", "list"],
      properties: { inner: { required: ["name"] }, required: { type: "string", default: "x" } },
    };
    expect(context_schema).toMatchObject(needed);
    const needsSize = { list: { items: { required: expect.anything() } } };
    expect(context_schema).not.toMatchObject({ properties: needsSize });
    expect(config_schema).toEqual(context_schema);
    expect(input_schema).toMatchObject({ properties: { of: needed } });
    // What comes out has them all.
    expect(output_schema).toMatchObject({
      properties: { of: { required: ["key", "style", "inner", "list", "required"] } },
    });
  });

  it("a channel called messages are those of chat messages only where its reducer or its default says so", async () => {
    const text = Annotation<string[]>({ reducer: (old, more) => old.concat(more), default: () => [] });
    const wrapped = (old: BaseMessage[], more: BaseMessage[]) => messagesStateReducer(old, more).slice(-10);
    const made: [channel: unknown, input: object, kept: object][] = [
      [Annotation<string[]>(), {}, {}],
      [text, {}, { type: "array" }],
      [Annotation<BaseMessage[]>({ reducer: wrapped, default: () => [] }), messages, messages],
      [
        Annotation<BaseMessage[]>({ value: (_, next) => next, default: () => [new HumanMessage("hi")] }),
        messages,
        messages,
      ],
      [z.array(z.string()), { type: "array", items: { type: "string" } }, { type: "array", items: { type: "string" } }],
    ];
    for (const [channel, input, kept] of made) {
      const zod = channel instanceof z.ZodType;
      const plain = (messages: typeof text) => Annotation.Root({ messages });
      const state = zod ? z.object({ messages: channel }) : plain(channel as typeof text);
      const { registry } = await registryOf(() =>
        new StateGraph(state as ReturnType<typeof plain>).addNode("a", () => ({})).addEdge("__start__", "a"),
      );
      const { input_schema, state_schema } = await registry.schemas("made");
      expect(input_schema?.properties).toMatchObject({ messages: input });
      expect(state_schema?.properties).toMatchObject({ messages: kept });
      if (!("items" in input)) expect(input_schema?.properties).toEqual({ messages: {} });
    }
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
