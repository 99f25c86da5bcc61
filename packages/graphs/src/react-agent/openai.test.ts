import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { human, rejection, until, withNetworkClosed, withSaver } from "../../tests/support.ts";
import { createReactAgent } from "./graph.ts";

const thread = { configurable: { thread_id: "t" } };
let mock: MockLlm;

beforeAll(async () => {
  mock = await startMockLlm({ response: "one two three" });
});
beforeEach(() => mock.reset());
afterAll(() => mock.close());

async function agent(configurable: Record<string, unknown> = {}) {
  const environment = { OPENAI_API_KEY: "operator-key", OPENAI_BASE_URL: `${mock.url}/v1` };
  return withSaver(await createReactAgent(environment)({ configurable }));
}

describe("the agent on a real OpenAI client", () => {
  it("waits for an answer with the network closed: no tokenizer file, one request, no stream", async () => {
    const tried = await withNetworkClosed(async () => {
      const { messages } = await (await agent()).invoke(human("hi"), thread);
      expect(messages.at(-1)?.text).toBe("one two three");
      expect((messages.at(-1) as { usage_metadata?: unknown }).usage_metadata).toMatchObject({ output_tokens: 4 });
    });
    expect(tried).toEqual([]);
    expect(mock.stats().requests).toBe(1);
    const [request] = mock.received();
    expect(request?.body).toMatchObject({ model: "gpt-4o", temperature: 0.7, max_tokens: 4000 });
    expect(request?.body.stream ?? false).toBe(false);
    expect(request?.headers.authorization).toBe("Bearer operator-key");
  });

  it("sends the system prompt as plain text with the fixed advice after it", async () => {
    await (await agent({ system_prompt: "Speak like a pirate." })).invoke(human("hi"), thread);
    const system = mock.received()[0]?.body.messages[0];
    expect(system?.role).toBe("system");
    expect(system?.content).toStartWith("Speak like a pirate.\n\nIf a tool fails");
  });

  it("streams tokens with usage", async () => {
    const parts: { text: string; usage_metadata?: { total_tokens: number } }[] = [];
    for await (const part of await (await agent()).stream(human("hi"), { ...thread, streamMode: "messages" })) {
      parts.push((part as unknown as [(typeof parts)[number]])[0]);
    }
    expect(parts.map((part) => part.text).filter((text) => text.trim() !== "")).toEqual(["one", "two", "three"]);
    expect(parts.some((part) => (part.usage_metadata?.total_tokens ?? 0) > 0)).toBe(true);
    expect(mock.received()[0]?.body.stream).toBe(true);
  });

  it("goes round the tool loop", async () => {
    const { messages } = await (await agent()).invoke(human('call calculator {"expression":"6*7"}'), thread);
    expect(messages.map((message) => message.type)).toEqual(["human", "ai", "tool", "ai"]);
    expect(messages[2]?.text).toBe("6*7 = 42");
    expect(mock.stats().requests).toBe(2);
    const tools = mock.received()[0]?.body.tools?.map((tool) => tool.function?.name);
    expect(tools).toEqual(["get_current_time", "calculator", "request_approval"]);
  });

  it("closes the model's socket when the run is aborted", async () => {
    const slow = await startMockLlm({ response: "word ".repeat(1000), streamDelayMs: 20 });
    try {
      const environment = { OPENAI_API_KEY: "k", OPENAI_API_BASE: `${slow.url}/v1` };
      const graph = withSaver(await createReactAgent(environment)({}));
      const controller = new AbortController();
      const reason = new Error("cancelled");
      const running = (async () => {
        for await (const _ of await graph.stream(human("hi"), {
          ...thread,
          streamMode: "messages",
          signal: controller.signal,
        })) {
          controller.abort(reason);
        }
      })();
      expect(await rejection(running)).toBe(reason);
      await until(() => slow.stats().aborted === 1);
      expect(slow.stats()).toMatchObject({ requests: 1, aborted: 1, completion_tokens: 0 });
    } finally {
      await slow.close();
    }
  });

  it("sends a caller's endpoint nothing of the operator's", async () => {
    const leaks = {
      OPENAI_API_KEY: "operator-key",
      OPENAI_ORG_ID: "operator-org",
      OPENAI_CUSTOM_HEADERS: "x-operator: secret",
      FRACTAL_EGRESS_ALLOW: "127.0.0.1",
    };
    const before = Object.fromEntries(Object.keys(leaks).map((name) => [name, process.env[name]]));
    Object.assign(process.env, leaks);
    try {
      const configurable = { base_url: `${mock.url}/v1`, custom_model_name: "org:model" };
      const graph = withSaver(await createReactAgent(process.env)({ configurable }));
      await graph.invoke(human("hi"), thread);
      await (await createReactAgent(process.env)({ configurable: { ...configurable, custom_api_key: "mine" } })).invoke(
        human("hi"),
      );
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
    const [withoutKey, withKey] = mock.received();
    expect(withoutKey?.headers.authorization).toBe("Bearer EMPTY");
    expect(withoutKey?.body.model).toBe("org:model");
    expect(withKey?.headers.authorization).toBe("Bearer mine");
    expect(JSON.stringify(mock.received().map((request) => request.headers))).not.toContain("operator");
  });
});
