import { describe, expect, it } from "bun:test";
import { Command, INTERRUPT, isInterrupted } from "@langchain/langgraph";
import { human, rejection, withNetworkClosed, withSaver } from "../../tests/support.ts";
import { createReactAgent } from "./graph.ts";

const thread = { configurable: { thread_id: "t" } };

async function agent(configurable: Record<string, unknown> = {}, environment: Record<string, string> = {}) {
  return withSaver(await createReactAgent(environment)({ configurable }));
}

describe("the agent", () => {
  it("calls its tools and answers from them, without a key and without the network", async () => {
    const tried = await withNetworkClosed(async () => {
      const graph = await agent();
      const { messages } = await graph.invoke(human("What is 6 * 7, and what time is it in Europe/Berlin?"), thread);
      expect(messages.map((message) => message.type)).toEqual(["human", "ai", "tool", "tool", "ai"]);
      expect(messages.at(-1)?.text).toContain("The calculator says 6 * 7 = 42.");
      expect(messages.at(-1)?.text).toContain("(Europe/Berlin, GMT+0");
    });
    expect(tried).toEqual([]);
  });

  it("streams the model's tokens when they are asked for, under the id of the final message", async () => {
    const graph = await agent({ model_name: "fake:echo" });
    const tokens: string[] = [];
    const ids = new Set<string | undefined>();
    for await (const part of await graph.stream(human("one two three"), { ...thread, streamMode: "messages" })) {
      const [message] = part as unknown as [{ text: string; id?: string }];
      tokens.push(message.text);
      ids.add(message.id);
    }
    expect(tokens.filter((token) => token !== "")).toEqual(["echo:", " one", " two", " three"]);
    const { messages } = (await graph.getState(thread)).values as { messages: { id?: string }[] };
    expect([...ids]).toEqual([messages.at(-1)?.id]);
  });

  it("stops for a person, shows what to decide, and goes on after a yes", async () => {
    const graph = await agent();
    const stopped = await graph.invoke(human("Compute 2 + 3 with my approval"), thread);
    expect(isInterrupted(stopped)).toBe(true);
    const args = { action: "Compute 2 + 3 with my approval" };
    const request = { name: "request_approval", args, description: `Approval needed: ${args.action}` };
    const decisions = ["approve", "edit", "reject"];
    expect((stopped as unknown as Record<string, { value: unknown }[]>)[INTERRUPT]?.[0]?.value).toEqual({
      action_requests: [request],
      review_configs: [{ action_name: "request_approval", allowed_decisions: decisions }],
      actionRequests: [request],
      reviewConfigs: [{ actionName: "request_approval", allowedDecisions: decisions }],
    });
    expect((await graph.getState(thread)).next).toEqual(["tools"]);
    const { messages } = await graph.invoke(new Command({ resume: { approved: true } }), thread);
    expect(messages.at(-1)?.text).toContain("You approved");
    expect(messages.at(-1)?.text).toContain("2 + 3 = 5");
    expect((await graph.getState(thread)).next).toEqual([]);
  });

  it("does not act after a no, and passes the feedback on", async () => {
    const graph = await agent();
    await graph.invoke(human("Send it with my approval"), thread);
    const { messages } = await graph.invoke(
      new Command({ resume: { approved: false, feedback: "wrong address" } }),
      thread,
    );
    expect(messages.find((message) => message.type === "tool")?.text).toBe(
      '{"approved":false,"feedback":"wrong address"}',
    );
    expect(messages.at(-1)?.text).toContain("wrong address");
  });

  it("stops at once when the run is aborted", async () => {
    const graph = await agent({ model_name: "fake:echo?delay_ms=60000" });
    const controller = new AbortController();
    const reason = new Error("cancelled");
    const callbacks = [{ handleChatModelStart: () => controller.abort(reason) }];
    const running = graph.invoke(human("x"), { ...thread, signal: controller.signal, callbacks });
    expect(await rejection(running)).toBe(reason);
  });

  it("honours the recursion limit of the run", async () => {
    const graph = await agent();
    const error = await rejection(graph.invoke(human("calculate 1+1"), { ...thread, recursionLimit: 2 }));
    expect(error.name).toBe("GraphRecursionError");
  });
});

describe("the agent's factory", () => {
  it("shares one compiled graph between equal configurations, and none between different ones", async () => {
    const factory = createReactAgent({});
    const first = await factory({ configurable: { temperature: 0.1, thread_id: "a" } });
    expect(await factory({ configurable: { temperature: "0.1", thread_id: "b" } })).toBe(first);
    expect(await factory({ configurable: { temperature: 0.2 } })).not.toBe(first);
    expect(await factory({ configurable: { temperature: 0.1, system_prompt: "x" } })).not.toBe(first);
    expect(first.checkpointer).toBeUndefined();
    expect(first.store).toBeUndefined();
  });

  it("never keeps or shares a graph that holds a caller's key", async () => {
    const factory = createReactAgent({});
    const configurable = { model_name: "openai:gpt-4o", apiKeys: { OPENAI_API_KEY: "caller" } };
    expect(await factory({ configurable })).not.toBe(await factory({ configurable }));
  });

  it("keeps a bounded number of graphs, those used last", async () => {
    const factory = createReactAgent({});
    const build = (max_tokens: number) => factory({ configurable: { max_tokens } });
    const first = await build(1);
    for (let n = 2; n <= 32; n++) await build(n);
    expect(await build(1)).toBe(first);
    const second = await build(2);
    for (let n = 100; n < 131; n++) await build(n);
    expect(await build(2)).toBe(second);
    expect(await build(1)).not.toBe(first);
  });

  it("builds for reading whatever the configuration and the keys are", async () => {
    const factory = createReactAgent({ MODEL_NAME: "anthropic:x" }, { production: true });
    const config = { configurable: { temperature: "hot" } };
    for (const accessContext of ["threads.read", "threads.update", "assistants.read"]) {
      const graph = await factory(config, { accessContext });
      const { nodes } = (await graph.getGraphAsync()).toJSON() as { nodes: { id: string }[] };
      expect(nodes.map((node) => node.id)).toEqual(expect.arrayContaining(["model_request", "tools"]));
    }
    expect((await rejection(factory(config, { accessContext: "threads.create_run" }))).message).toContain(
      "configurable.temperature",
    );
  });

  it("in production refuses runs when nothing is configured, by flag or by NODE_ENV", async () => {
    for (const factory of [createReactAgent({}, { production: true }), createReactAgent({ NODE_ENV: "production" })]) {
      expect((await rejection(factory({}))).message).toContain("set MODEL_NAME or one of OPENAI_API_KEY");
    }
  });
});
