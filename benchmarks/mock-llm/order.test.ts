import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { type MockLlm, startMockLlm } from "./server.ts";

let mock: MockLlm;
beforeAll(async () => {
  mock = await startMockLlm({ response: "fine" });
});
beforeEach(() => mock.reset());
afterAll(() => mock.close());

async function post(path: string, body: object, url = mock.url) {
  const response = await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

const user = { role: "user", content: "hi" };

describe("the mock as strict as OpenAI", () => {
  const call = { role: "assistant", tool_calls: [{ id: "c1" }, { id: "c2" }] };
  const tool = (id: string) => ({ role: "tool", tool_call_id: id, content: "1" });
  const ask = (...messages: object[]) => post("/v1/chat/completions", { messages });

  it.each([
    ["a call without an answer", [user, call, tool("c1"), user], { ids: "c2", param: "messages.[3].role" }],
    ["calls at the end", [user, call], { ids: "c1, c2", param: "messages.[2].role" }],
    [
      "an answer after the next message",
      [user, call, user, tool("c1"), tool("c2")],
      { ids: "c1, c2", param: "messages.[2].role" },
    ],
  ])("refuses %s", async (_, messages, { ids, param }) => {
    const message =
      "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
      `The following tool_call_ids did not have response messages: ${ids}`;
    expect(await ask(...messages)).toEqual({
      status: 400,
      body: { error: { message, type: "invalid_request_error", param, code: null } },
    });
    expect(mock.stats()).toMatchObject({ requests: 0, refused: 1 });
  });

  it("refuses an answer to no call, and takes answers in any order", async () => {
    const refused = await ask(user, tool("c1"));
    expect([refused.status, refused.body.error.message]).toEqual([
      400,
      "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
    ]);
    expect((await ask(user, call, tool("c2"), tool("c1"), user)).status).toBe(200);
  });

  it("takes everything when it is told not to be strict", async () => {
    await using lenient = {
      mock: await startMockLlm({ strict: false }),
      [Symbol.asyncDispose]: () => lenient.mock.close(),
    };
    expect((await post("/v1/chat/completions", { messages: [user, call, user] }, lenient.mock.url)).status).toBe(200);
  });
});

describe("the mock as strict as Anthropic", () => {
  const uses = {
    role: "assistant",
    content: [
      { type: "text", text: "x" },
      { type: "tool_use", id: "t1" },
    ],
  };
  const result = (id: string) => ({ type: "tool_result", tool_use_id: id, content: "1" });
  const says = (...content: object[]) => ({ role: "user", content });
  const text = { type: "text", text: "hi" };
  const ask = (...messages: object[]) => post("/v1/messages", { messages });

  const open =
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1. Each `tool_use` block " +
    "must have a corresponding `tool_result` block in the next message.";
  it.each([
    ["a call without an answer", [user, uses, user], open],
    ["a call at the end", [user, uses], open],
    ["a text before the answer", [user, uses, says(text, result("t1"))], open],
    [
      "an answer to no call",
      [user, says(result("t9"))],
      "messages.0.content.1: unexpected `tool_use_id` found in `tool_result` blocks: t9. Each `tool_result` block must " +
        "have a corresponding `tool_use` block in the previous message.",
    ],
    [
      "two answers to one call",
      [user, uses, says(result("t1"), result("t1"))],
      "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: t1",
    ],
    [
      "an assistant who begins",
      [{ role: "assistant", content: "x" }],
      'messages: first message must use the "user" role',
    ],
    ["no message", [], "messages: at least one message is required"],
  ])("refuses %s", async (_, messages, message) => {
    expect(await ask(...messages)).toEqual({
      status: 400,
      body: { type: "error", error: { type: "invalid_request_error", message } },
    });
  });

  it("takes answers before the next text, in one message or two", async () => {
    expect((await ask(user, uses, says(result("t1"), text))).status).toBe(200);
    const answer = await ask(user, uses, says(result("t1")), user);
    expect(answer.body).toMatchObject({ type: "message", stop_reason: "end_turn", content: [{ text: "fine" }] });
  });
});

describe("the mock as strict as Google", () => {
  const says = { role: "user", parts: [{ text: "hi" }] };
  const calls = { role: "model", parts: [{ functionCall: { name: "a" } }, { functionCall: { name: "b" } }] };
  const answers = (count: number) => ({
    role: "user",
    parts: Array.from({ length: count }, () => ({ functionResponse: { name: "a" } })),
  });
  const ask = (...contents: object[]) => post("/v1beta/models/gemini:generateContent", { contents });

  const number =
    "Please ensure that the number of function response parts is equal to the number of function call parts of the " +
    "function call turn.";
  it.each([
    ["calls without an answer", [says, calls, says], number],
    ["calls at the end", [says, calls], number],
    ["too few answers", [says, calls, answers(1), says], number],
    ["too many answers", [says, calls, answers(3)], number],
    [
      "an answer to no call",
      [says, answers(1)],
      "Please ensure that function response turn comes immediately after a function call turn.",
    ],
    [
      "calls at the beginning",
      [calls, answers(2)],
      "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
    ],
  ])("refuses %s", async (_, contents, message) => {
    expect(await ask(...contents)).toEqual({
      status: 400,
      body: { error: { code: 400, message, status: "INVALID_ARGUMENT" } },
    });
  });

  it("takes the answers in one content or two, and a text after them", async () => {
    expect((await ask(says, calls, answers(2), says)).status).toBe(200);
    const answer = await ask(says, calls, answers(1), answers(1));
    expect(answer.body.candidates[0].content).toEqual({ role: "model", parts: [{ text: "fine" }] });
  });
});
