import { afterEach, describe, expect, it } from "bun:test";
import { connect } from "node:net";
import { type MockLlm, startMockLlm } from "./server.ts";
import { DEFAULT_RESPONSE, fromEnvironment, type MockLlmOptions } from "./settings.ts";

let mock: MockLlm | undefined;
afterEach(() => mock?.close());

async function start(options: MockLlmOptions = {}): Promise<MockLlm> {
  mock = await startMockLlm(options);
  return mock;
}

function ask(body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${mock?.url}/v1/chat/completions`, { method: "POST", body: text, ...init });
}

interface Chunk {
  id: string;
  choices: {
    delta: { content?: string | null; tool_calls?: { function: { arguments: string } }[] };
    finish_reason: string | null;
  }[];
  usage?: { total_tokens: number } | null;
}

/** The events of a streamed answer; the last must be [DONE]. */
async function streamed(body: object): Promise<Chunk[]> {
  const text = await (await ask({ ...body, stream: true })).text();
  const events = text.split("\n\n").filter((event) => event !== "");
  expect(events.pop()).toBe("data: [DONE]");
  return events.map((event) => JSON.parse(event.replace(/^data: /, "")));
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited too long for ${condition}`);
    await Bun.sleep(2);
  }
}

const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
const tools = [
  {
    type: "function",
    function: {
      name: "add",
      parameters: {
        type: "object",
        properties: { a: { type: "integer" }, unit: { enum: ["cm", "m"] }, note: { type: "string" }, free: {} },
        required: ["a", "unit", "note"],
      },
    },
  },
];

describe("the mock model", () => {
  it("answers a completion with usage, under an id that never comes twice", async () => {
    await start({ response: "Hello there" });
    const first = await (await ask({ ...user("12345678"), model: "m" })).json();
    expect(first).toMatchObject({
      object: "chat.completion",
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 },
    });
    expect((await (await ask(user("x"))).json()).id).not.toBe(first.id);
    expect(mock?.stats()).toMatchObject({ requests: 2, aborted: 0, prompt_tokens: 3, completion_tokens: 6 });
  });

  it("streams words and spaces: 67 pieces of the default answer, and usage only where asked for", async () => {
    await start();
    const chunks = await streamed(user("hi"));
    const texts = chunks.flatMap(({ choices }) => choices[0]?.delta.content || []);
    expect(texts).toHaveLength(67);
    expect(texts.join("")).toBe(DEFAULT_RESPONSE);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.some((chunk) => "usage" in chunk)).toBe(false);
    const counted = await streamed({ ...user("hi"), stream_options: { include_usage: true } });
    expect(counted.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 1 } });
    expect(counted).toHaveLength(chunks.length + 1);
  });

  it("calls the tool that the user's text names, when it is offered", async () => {
    await start({ response: "text" });
    const body = { ...user('please call add {"a":1,"b":{"c":2}}'), tools };
    const { choices } = await (await ask(body)).json();
    expect(choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: {
        content: null,
        tool_calls: [{ type: "function", function: { name: "add", arguments: '{"a":1,"b":{"c":2}}' } }],
      },
    });
    const chunks = await streamed(body);
    const parts = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls?.[0]?.function.arguments ?? []);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.join("")).toBe('{"a":1,"b":{"c":2}}');
    for (const other of [
      { ...body, tools: [] },
      { ...user("call add {nope}"), tools },
      { ...user("call sub {}"), tools },
    ]) {
      expect((await (await ask(other)).json()).choices[0].message.content).toBe("text");
    }
  });

  it("when told to call tools, calls the first one once per turn with the smallest arguments", async () => {
    await start({ toolCall: true, response: "text" });
    const { choices } = await (await ask({ ...user("hi"), tools })).json();
    expect(JSON.parse(choices[0].message.tool_calls[0].function.arguments)).toEqual({ a: 1, unit: "cm", note: "1" });
    const call = { role: "assistant", tool_calls: [{ id: "c" }] };
    const result = { role: "tool", tool_call_id: "c", content: "2" };
    const after = { messages: [...user("hi").messages, call, result], tools };
    expect((await (await ask(after)).json()).choices[0].message.content).toBe("text");
  });

  it("counts a client that goes away, whether it streams or waits", async () => {
    const server = await start({ delayMs: 60_000 });
    const controller = new AbortController();
    const waiting = ask(user("x"), { signal: controller.signal }).catch((error: Error) => error.name);
    await until(() => server.stats().requests === 1);
    controller.abort();
    expect(await waiting).toBe("AbortError");
    await until(() => server.stats().aborted === 1);
    await server.close();

    const streaming = await start({ streamDelayMs: 20 });
    const body = JSON.stringify({ ...user("x"), stream: true });
    const socket = connect(Number(new URL(streaming.url).port), "127.0.0.1");
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    await until(() => streaming.stats().aborted === 1);
    expect(streaming.stats()).toMatchObject({ requests: 1, completion_tokens: 0 });
  });

  it("waits its delays", async () => {
    await start({ delayMs: 30, streamDelayMs: 10, response: "a" });
    const began = performance.now();
    await streamed(user("x"));
    expect(performance.now() - began).toBeGreaterThanOrEqual(55);
  });

  it("refuses what is no request with a reason, and goes on", async () => {
    await start();
    for (const [body, message] of [
      ["{", "The body is not JSON"],
      ["[]", "messages: expected a list"],
      ['{"messages":3}', "messages: expected a list"],
      ['{"messages":[null]}', "messages: expected objects with a role"],
    ]) {
      const response = await ask(body);
      expect(response.status).toBe(400);
      expect((await response.json()).error.message).toBe(message);
    }
    expect((await fetch(`${mock?.url}/v1/chat/completions`)).status).toBe(404);
    expect(await (await ask(user([{ type: "text", text: "call add {}" }, null]))).json()).toMatchObject({
      object: "chat.completion",
    });
    expect(mock?.stats().requests).toBe(1);
  });

  it("shows its models, its health and its counters, and forgets them on request", async () => {
    const { url } = await start({ model: "mine" });
    const get = async (path: string, method = "GET") => (await fetch(url + path, { method })).json();
    expect(await get("/v1/models")).toMatchObject({ object: "list", data: [{ id: "mine" }] });
    expect(await get("/health")).toEqual({ status: "ok" });
    expect(await get("/")).toMatchObject({ service: "mock-llm" });
    await ask(user("x"));
    expect(await get("/stats")).toMatchObject({ requests: 1, config: { model: "mine", delayMs: 0 } });
    expect(await get("/stats/reset", "POST")).toMatchObject({ requests: 0 });
  });
});

describe("the mock model's environment", () => {
  it("has the delays and the port of the original, and reads each variable", () => {
    expect(fromEnvironment({})).toMatchObject({
      port: 11434,
      delayMs: 10,
      streamDelayMs: 5,
      toolCall: false,
      strict: true,
    });
    const all = {
      MOCK_LLM_PORT: "0",
      MOCK_LLM_DELAY_MS: "1",
      MOCK_LLM_STREAM_DELAY_MS: "2",
      MOCK_LLM_RESPONSE: "r",
      MOCK_LLM_MODEL: "m",
      MOCK_LLM_TOOL_CALL: "1",
      MOCK_LLM_HOST: "0.0.0.0",
      MOCK_LLM_STRICT: "0",
    };
    expect(fromEnvironment(all)).toEqual({
      host: "0.0.0.0",
      port: 0,
      delayMs: 1,
      streamDelayMs: 2,
      response: "r",
      model: "m",
      toolCall: true,
      strict: false,
    });
  });

  it("names the variable that is wrong", () => {
    expect(() => fromEnvironment({ MOCK_LLM_PORT: "70000" })).toThrow(
      "MOCK_LLM_PORT must be a whole number from 0 to 65535",
    );
    expect(() => fromEnvironment({ MOCK_LLM_DELAY_MS: "fast" })).toThrow("MOCK_LLM_DELAY_MS");
  });
});
