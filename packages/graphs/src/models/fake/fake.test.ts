import { describe, expect, it } from "bun:test";
import { AIMessage, type AIMessageChunk, type BaseMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { rejection } from "../../../tests/support.ts";
import { findArithmetic, findTimeQuestion, wantsApproval } from "./intents.ts";
import { fakeModel } from "./model.ts";
import { pieces } from "./scripted-model.ts";

const TOOLS = ["get_current_time", "calculator", "request_approval"].map((name) => ({
  name,
  description: name,
  schema: { type: "object", properties: {} },
}));

async function stream(spec: string, messages: BaseMessage[]): Promise<AIMessageChunk[]> {
  return Array.fromAsync(await fakeModel(spec).stream(messages));
}

describe("fake:echo", () => {
  it("answers with the last human text, whole or word by word", async () => {
    const messages = [new HumanMessage("first"), new AIMessage("no"), new HumanMessage("a  b\nc ")];
    expect((await fakeModel("echo").invoke(messages)).text).toBe("echo: a  b\nc ");
    const chunks = await stream("echo", messages);
    expect(chunks.map((chunk) => chunk.text)).toEqual(["echo:", " a", "  b", "\nc", " ", ""]);
  });

  it("gives all chunks and the whole message one id, the same each time, another for another conversation", async () => {
    const messages = [new HumanMessage({ id: "h1", content: "hi" })];
    const ids = new Set((await stream("echo", messages)).map((chunk) => chunk.id));
    ids.add((await fakeModel("echo").invoke(messages)).id);
    expect(ids.size).toBe(1);
    const other = await fakeModel("echo").invoke([new HumanMessage({ id: "h2", content: "hi" })]);
    expect(ids.has(other.id)).toBe(false);
    const later = await fakeModel("echo").invoke([...messages, other, ...messages]);
    expect(ids.has(later.id)).toBe(false);
  });

  it("counts tokens, streamed and not alike", async () => {
    const messages = [new HumanMessage("12345678")];
    const usage = { input_tokens: 2, output_tokens: 4, total_tokens: 6 };
    expect((await fakeModel("echo").invoke(messages)).usage_metadata).toMatchObject(usage);
    const whole = (await stream("echo", messages)).reduce((sum, chunk) => sum.concat(chunk));
    expect(whole.usage_metadata).toMatchObject(usage);
    expect(whole.response_metadata.finish_reason).toBe("stop");
  });

  it("repeats the text for long streams", async () => {
    const chunks = await stream("echo?repeat=500", [new HumanMessage("one two")]);
    expect(chunks).toHaveLength(1 + 1000 + 1);
    expect((await fakeModel("echo?repeat=3").invoke([new HumanMessage("x")])).text).toBe("echo: x x x");
  });

  it("refuses options that it does not have, and answers that would fill the memory", async () => {
    expect(() => fakeModel("echo?speed=1")).toThrow('unknown option "speed". Known: delay_ms, repeat');
    for (const value of ["-1", "1.5", "x", "", "99999999"]) {
      expect(() => fakeModel(`echo?delay_ms=${value}`)).toThrow("delay_ms must be a whole number from 0 to 60000");
    }
    expect(() => fakeModel("demo?repeat=2")).toThrow("repeat belongs to fake:echo");
    expect(() => fakeModel("other")).toThrow("Known: fake:demo, fake:echo");
    const big = fakeModel("echo?repeat=1000000").invoke([new HumanMessage("x".repeat(100))]);
    expect((await rejection(big)).message).toContain("lower repeat");
  });
});

describe("a scripted model that is aborted", () => {
  const reason = new Error("enough");

  it("stops a delayed stream and a delayed answer at once, with the reason given", async () => {
    for (const run of [
      (signal: AbortSignal) =>
        Array.fromAsync(fakeModel("echo?delay_ms=60000")._streamResponseChunks([new HumanMessage("x")], { signal })),
      (signal: AbortSignal) => fakeModel("demo?delay_ms=60000")._generate([new HumanMessage("x")], { signal }),
    ]) {
      const controller = new AbortController();
      const running = run(controller.signal);
      controller.abort(reason);
      expect(await rejection(running)).toBe(reason);
    }
  });

  it("hears the signal in the middle of a long stream without delays", async () => {
    const controller = new AbortController();
    const model = fakeModel("echo?repeat=1000000");
    let seen = 0;
    const running = (async () => {
      for await (const _ of model._streamResponseChunks([new HumanMessage("x")], { signal: controller.signal })) {
        if (++seen === 1) setTimeout(() => controller.abort(reason), 0);
      }
    })();
    expect(await rejection(running)).toBe(reason);
    expect(seen).toBeLessThan(1000);
  });

  it("does not start when the signal has already fired", async () => {
    const run = fakeModel("echo")._generate([new HumanMessage("x")], { signal: AbortSignal.abort(reason) });
    expect(await rejection(run)).toBe(reason);
  });
});

describe("fake:demo", () => {
  const ask = (messages: BaseMessage[]) => fakeModel("demo").bindTools(TOOLS).invoke(messages) as Promise<AIMessage>;
  const result = (name: string, content: string) => new ToolMessage({ tool_call_id: "c", name, content });

  it("says what it is, and offers only the tools that it was given", async () => {
    const alone = await fakeModel("demo").invoke([new HumanMessage("hello")]);
    expect(alone.text).toContain("built-in demonstration model");
    expect(alone.text).toContain("without an API key");
    expect(alone.text).not.toContain("Try ");
    expect((await ask([new HumanMessage("hello")])).text).toContain('Try "What time is it in Tokyo?"');
    expect((await fakeModel("demo").invoke([new HumanMessage("2+2")])).tool_calls).toEqual([]);
  });

  it("calls the clock and the calculator together when the text needs both", async () => {
    const answer = await ask([new HumanMessage("What time is it in Tokyo, and what is 3 times 4?")]);
    expect(answer.tool_calls).toMatchObject([
      { name: "get_current_time", args: { timezone: "Asia/Tokyo" } },
      { name: "calculator", args: { expression: "3 * 4" } },
    ]);
    expect(new Set(answer.tool_calls?.map((call) => call.id)).size).toBe(2);
  });

  it("streams a call in chunks that join to the same call", async () => {
    const messages = [new HumanMessage("calculate 2^10")];
    const chunks = await Array.fromAsync(await fakeModel("demo").bindTools(TOOLS).stream(messages));
    const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
    expect(whole.tool_calls).toEqual((await ask(messages)).tool_calls ?? []);
    expect(whole.response_metadata.finish_reason).toBe("tool_calls");
  });

  it("answers from the tools' results, failures included, and looks at this turn only", async () => {
    const question = new HumanMessage("calculate 3/0");
    const failed = new ToolMessage({
      tool_call_id: "c",
      name: "calculator",
      content: "division by zero",
      status: "error",
    });
    expect((await ask([question, new AIMessage(""), failed])).text).toContain(
      "The tool calculator failed: division by zero",
    );
    const done = [new HumanMessage("calculate 1+1"), new AIMessage(""), result("calculator", "1+1 = 2")];
    expect((await ask(done)).text).toContain("The calculator says 1+1 = 2.");
    expect((await ask([...done, new HumanMessage("calculate 2+2")])).tool_calls).toHaveLength(1);
  });

  it("asks for approval first, goes on after a yes and stops after a no", async () => {
    const question = new HumanMessage("calculate 5*5 with my approval");
    expect((await ask([question])).tool_calls).toMatchObject([
      { name: "request_approval", args: { action: question.text } },
    ]);
    const yes = [question, new AIMessage(""), result("request_approval", '{"approved":true}')];
    expect((await ask(yes)).tool_calls).toMatchObject([{ name: "calculator" }]);
    const no = [question, new AIMessage(""), result("request_approval", '{"approved":false,"feedback":"not today"}')];
    const refused = await ask(no);
    expect(refused.tool_calls).toEqual([]);
    expect(refused.text).toContain('You did not approve "calculate 5*5 with my approval"');
    expect(refused.text).toContain("not today");
  });
});

describe("what the demonstration understands", () => {
  it("finds arithmetic, but takes no date and no range for it", () => {
    expect(findArithmetic("What is 12 * (3 + 4)?")).toBe("12 * (3 + 4)");
    expect(findArithmetic("(1+2)*3 =")).toBe("(1+2)*3");
    expect(findArithmetic("how much is 10 divided by 4.")).toBe("10 / 4");
    expect(findArithmetic("calculate 3 / 0")).toBe("3 / 0");
    expect(findArithmetic("2+2")).toBe("2+2");
    for (const text of ["meet on 2026-11-24", "we were 10-12 people", "call 555 1234", "what is new?", ""]) {
      expect(findArithmetic(text)).toBeUndefined();
    }
  });

  it("finds questions about the time, with a zone or a city", () => {
    expect(findTimeQuestion("what time is it?")).toEqual({});
    expect(findTimeQuestion("What is the time in New York?")).toEqual({ timezone: "America/New_York" });
    expect(findTimeQuestion("current time Europe/Berlin please")).toEqual({ timezone: "Europe/Berlin" });
    expect(findTimeQuestion("What's the date in Nowhere?")).toEqual({});
    expect(findTimeQuestion("we had a good time")).toBeUndefined();
  });

  it("finds the wish to be asked", () => {
    expect(wantsApproval("Delete the file with my approval")).toBe(true);
    expect(wantsApproval("delete it, but ask me first")).toBe(true);
    expect(wantsApproval("I approve of this")).toBe(false);
  });

  it("cuts a text into pieces that join to the same text", () => {
    for (const text of ["", " ", "a", "  a b\n\n", "\n\tx  y"]) expect(pieces(text).join("")).toBe(text);
  });
});
