import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { human, rejection, until, withSaver } from "../../tests/support.ts";
import { GraphConfigError } from "../errors.ts";
import type { Environment } from "../models/environment.ts";
import { type AgentOptions, createReactAgent } from "./graph.ts";

const thread = { configurable: { thread_id: "t" } };

describe("an endpoint that a caller names", () => {
  let mock: MockLlm;
  beforeAll(async () => {
    mock = await startMockLlm({ response: "one two three" });
  });
  beforeEach(() => mock.reset());
  afterAll(() => mock.close());

  const ask = async (environment: Environment, given: { host?: string; options?: AgentOptions } = {}) => {
    const base_url = `${mock.url.replace("127.0.0.1", given.host ?? "127.0.0.1")}/v1`;
    const configurable = { base_url, custom_model_name: "m" };
    const graph = withSaver(await createReactAgent(environment, given.options)({ configurable }));
    return (await graph.invoke(human("hi"), thread)).messages.at(-1)?.text;
  };

  it("is not called inside the network, whatever it is called, and the error names the setting", async () => {
    for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"]) {
      const error = await rejection(ask({}, { host }));
      expect(error).toBeInstanceOf(GraphConfigError);
      expect((error as GraphConfigError).code).toBe("invalid");
      expect(error.message).toStartWith("configurable.base_url: http://");
      expect(error.message).toContain("FRACTAL_EGRESS_ALLOW");
    }
    expect(mock.stats().requests).toBe(0);
  });

  it("is called inside the network where the operator allows its host, or names the endpoint for itself", async () => {
    const url = `${mock.url}/v1`;
    expect(await ask({ FRACTAL_EGRESS_ALLOW: "10.0.0.0/8, 127.0.0.1" })).toBe("one two three");
    expect(await ask({ FRACTAL_EGRESS_ALLOW: "localhost" }, { host: "localhost" })).toBe("one two three");
    expect(await ask({ OPENAI_BASE_URL: url })).toBe("one two three");
    expect(await ask({ OLLAMA_BASE_URL: mock.url })).toBe("one two three");
    expect(await ask({}, { options: { operatorUrls: [url] } })).toBe("one two three");
    expect(await rejection(ask({ OPENAI_BASE_URL: "http://127.0.0.1:1/v1" }))).toBeInstanceOf(GraphConfigError);
    expect(mock.stats().requests).toBe(5);
  });

  it("streams its tokens through the guard, and is left when the run is aborted", async () => {
    const slow = await startMockLlm({ response: "word ".repeat(1000), streamDelayMs: 20 });
    try {
      const configurable = { base_url: `${slow.url}/v1`, custom_model_name: "m" };
      const graph = withSaver(await createReactAgent({ FRACTAL_EGRESS_ALLOW: "127.0.0.1" })({ configurable }));
      const controller = new AbortController();
      const reason = new Error("cancelled");
      let pieces = 0;
      const running = (async () => {
        const options = { ...thread, streamMode: "messages" as const, signal: controller.signal };
        for await (const _ of await graph.stream(human("hi"), options)) if (++pieces === 3) controller.abort(reason);
      })();
      expect(await rejection(running)).toBe(reason);
      await until(() => slow.stats().aborted === 1);
      expect(slow.stats()).toMatchObject({ requests: 1, aborted: 1, completion_tokens: 0 });
    } finally {
      await slow.close();
    }
  });
});
