import { describe, expect, it } from "bun:test";
import { AIMessage, type BaseMessage, HumanMessage, RemoveMessage, ToolMessage } from "@langchain/core/messages";
import { Command } from "@langchain/langgraph";
import { human, withSaver } from "../../tests/support.ts";
import { createReactAgent } from "./graph.ts";
import { settleCalls } from "./unanswered.ts";

const thread = { configurable: { thread_id: "t" } };
const APPROVAL = "request_approval";

const calls = (id: string, ...names: string[]) =>
  new AIMessage({ id, content: "", tool_calls: names.map((name, at) => ({ id: `${id}-${at}`, name, args: {} })) });
const tool = (call: string, content: string) =>
  new ToolMessage({ id: `of-${call}-${content}`, tool_call_id: call, content, name: "calculator" });
const said = (id: string, text: string) => new HumanMessage({ id, content: text });
const shown = (messages: readonly BaseMessage[]) => messages.map((message) => `${message.type} ${message.text}`.trim());

const OPEN = "tool No result: the run stopped before this call had ended. It may or may not have taken effect.";
const UNDECIDED = 'tool {"approved":false,"feedback":"Not approved: the conversation went on without a decision."}';

describe("a conversation with tool calls that nothing answered", () => {
  it("stays as it is when every call has its answer", () => {
    const messages = [said("h", "x"), calls("a", "calculator", "calculator"), tool("a-0", "1"), tool("a-1", "2")];
    expect(settleCalls(messages).messages).toEqual(messages);
  });

  it("gets an answer directly after the calls: not approved, or no result", () => {
    const messages = [
      said("h", "x"),
      calls("a", APPROVAL, "calculator", "calculator"),
      tool("a-1", "2"),
      said("i", "y"),
    ];
    expect(shown(settleCalls(messages).messages)).toEqual(["human x", "ai", UNDECIDED, "tool 2", OPEN, "human y"]);
  });

  it("takes a typed yes or no for the answer, where one question was open", () => {
    const after = (...messages: BaseMessage[]) => shown(settleCalls(messages).messages);
    expect(after(calls("a", APPROVAL), said("h", "Yes!"))).toEqual(["ai", 'tool {"approved":true}', "human Yes!"]);
    expect(after(calls("a", APPROVAL), said("h", "no"))[1]).toBe('tool {"approved":false}');
    expect(after(calls("a", APPROVAL), said("h", "yes, what time is it?"))[1]).toBe(UNDECIDED);
    expect(after(calls("a", APPROVAL), calls("b"), said("h", "yes"))[1]).toBe(UNDECIDED);
    expect(after(calls("a", APPROVAL, APPROVAL), said("h", "yes")).slice(1, 3)).toEqual([UNDECIDED, UNDECIDED]);
    expect(after(calls("a", "calculator"), said("h", "yes"))[1]).toBe(OPEN);
  });

  it("brings answers to their calls, keeps the newest of two, and names those that answer nothing", () => {
    const lost = tool("gone", "0");
    const messages = [lost, calls("a", "calculator"), said("h", "x"), tool("a-0", "old"), tool("a-0", "new")];
    const settled = settleCalls(messages);
    expect(shown(settled.messages)).toEqual(["tool 0", "ai", "tool new", "human x"]);
    expect([...settled.orphans]).toEqual([lost]);
  });

  it("keeps apart the calls of a model that counts its ids anew in every message", () => {
    const again = new AIMessage({ id: "b", content: "", tool_calls: [{ id: "a-0", name: "calculator", args: {} }] });
    const messages = [calls("a", "calculator"), tool("a-0", "1"), again, tool("a-0", "2")];
    expect(settleCalls(messages).messages).toEqual(messages);
  });
});

describe("the agent while it waits for approval", () => {
  async function asked() {
    const graph = withSaver(await createReactAgent({})({}));
    await graph.invoke(human("Send the report with my approval"), thread);
    return graph;
  }

  it("answers the open call in the state when a message is typed instead, and answers the message", async () => {
    const graph = await asked();
    const { messages } = await graph.invoke(human("What is 2 + 3?"), thread);
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "human", "ai", "tool", "ai"]);
    expect(messages[2]?.text).toBe(UNDECIDED.slice("tool ".length));
    expect(messages.at(-1)?.text).toContain("2 + 3 = 5");
    expect((await graph.getState(thread)).next).toEqual([]);
    const again = await graph.invoke(human("hello"), thread);
    expect(again.messages.slice(0, 7).map(({ id }) => id)).toEqual(messages.map(({ id }) => id));
  });

  it.each([
    ["yes", "You approved"],
    ["No.", "You did not approve"],
  ])("takes the typed %j for the decision", async (text, outcome) => {
    const graph = await asked();
    const { messages } = await graph.invoke(human(text), thread);
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "human", "ai"]);
    expect(messages.at(-1)?.text).toContain(outcome);
  });

  it("goes on after the history was edited: an answer deleted, a call deleted", async () => {
    const graph = await asked();
    const { messages } = await graph.invoke(new Command({ resume: true }), thread);
    await graph.updateState(thread, { messages: [new RemoveMessage({ id: messages[2]?.id as string })] });
    const mended = await graph.invoke(human("hello"), thread);
    expect(mended.messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai", "human", "ai"]);
    await graph.updateState(thread, { messages: [new RemoveMessage({ id: messages[1]?.id as string })] });
    const orphaned = await graph.invoke(human("hello"), thread);
    expect(orphaned.messages.map(({ type }) => type)).toEqual(["human", "tool", "ai", "human", "ai", "human", "ai"]);
  });
});
