import { describe, expect, it } from "bun:test";
import { Document } from "@langchain/core/documents";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatPromptValue } from "@langchain/core/prompt_values";
import { JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import { Codec } from "#core/checkpoints/codec";
import { MAX_DEPTH } from "#core/checkpoints/prepare";
import { hostileValues, seed } from "../values/hostile.ts";

const serde = new JsonPlusSerializer();
const codec = new Codec(serde);
const utf8 = new TextEncoder();
const roundTrip = async (value: unknown) => codec.decode(codec.encode(value, "data"));
/** As an older release stored what a client had sent. */
const old = async (value: unknown) => codec.decode({ type: "json", bytes: utf8.encode(JSON.stringify(value)) });

const thing = { lc: 1, type: "constructor", id: ["my", "app", "Thing"], kwargs: { a: 1 } };
const lost = { lc: 2, type: "undefined" };
const sent = {
  lc: 1,
  type: "constructor",
  id: ["langchain_core", "messages", "HumanMessage"],
  kwargs: { content: "x" },
};

describe("plain data in checkpoints", () => {
  it("comes back exactly, whatever it looks like", async () => {
    console.log(`hostile values: seed ${seed}`);
    for (const value of hostileValues(500)) {
      const copy = structuredClone(value);
      expect(await roundTrip(value)).toStrictEqual(copy);
      expect(value).toStrictEqual(copy);
    }
  });

  it("comes back exactly within messages, packets, sets, maps and documents", async () => {
    for (const value of [thing, lost, sent, { __lc_escaped__: thing }, { a: [{ __lc_escaped__: 1 }] }]) {
      const message = new AIMessage({
        content: [{ type: "text", text: "x", extra: value }],
        additional_kwargs: { value },
        tool_calls: [{ name: "t", args: { value }, id: "1", type: "tool_call" }],
      });
      const artifact = [new Document({ pageContent: "p", metadata: { value, list: [value] } }), new Set([value])];
      const tool = new ToolMessage({ content: "", tool_call_id: "1", artifact });
      const [readMessage, readTool, readMap] = (await roundTrip([message, tool, new Map([["k", value]])])) as [
        AIMessage,
        ToolMessage,
        Map<string, unknown>,
      ];
      expect(readMessage).toBeInstanceOf(AIMessage);
      expect(readMessage.additional_kwargs).toStrictEqual({ value });
      expect<unknown>(readMessage.content).toStrictEqual([{ type: "text", text: "x", extra: value }]);
      expect(readMessage.tool_calls?.[0]?.args).toStrictEqual({ value });
      expect(readTool.artifact[0].metadata).toStrictEqual({ value, list: [value] });
      expect(readTool.artifact[1]).toStrictEqual(new Set([value]));
      expect(readMap.get("k")).toStrictEqual(value);
    }
  });

  it("comes back exactly within instances that only the serializer can make", async () => {
    const value = { thing, lost, sent };
    const prompt = new ChatPromptValue({
      messages: [new HumanMessage({ content: "x", additional_kwargs: { value } })],
    });
    const read = (await roundTrip({ prompt })) as { prompt: ChatPromptValue };
    expect(read.prompt).toBeInstanceOf(ChatPromptValue);
    expect(read.prompt.messages[0]?.additional_kwargs).toStrictEqual({ value });
  });

  it("is read by older releases and by the serializer, if not in the same form", async () => {
    for (const value of [
      thing,
      { data: [thing, lost] },
      new HumanMessage({ content: "x", additional_kwargs: { thing } }),
    ]) {
      const { type, bytes } = codec.encode(value, "data");
      expect(await serde.loadsTyped(type, bytes)).toBeDefined();
    }
  });

  it("is what an older release stored and could not read again", async () => {
    for (const value of [thing, { data: [thing] }, { ...sent, id: ["my", "messages", "HumanMessage"] }]) {
      expect(await old(value)).toStrictEqual(structuredClone(value));
    }
    const message = (await old({ ...sent, kwargs: { content: "x", additional_kwargs: { thing } } })) as HumanMessage;
    expect(message).toBeInstanceOf(HumanMessage);
    expect(message.additional_kwargs).toStrictEqual({ thing });
    const bad = { ...sent, id: ["langchain_core", "messages", "RemoveMessage"], kwargs: { id: 5 } };
    expect(await old({ bad, whole: [sent] })).toMatchObject({ whole: [expect.any(HumanMessage)] });
  });

  it("keeps keys that every object has, and the key __proto__", async () => {
    const text =
      '{"constructor":1,"toString":{"lc":2,"type":"undefined"},"":2,"__proto__":{"lc":2,"type":"undefined"}}';
    const read = await roundTrip(JSON.parse(text));
    expect(JSON.stringify(read)).toBe(text);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  it("is refused where it is nested too deeply, and kept up to there", async () => {
    const nested = (levels: number) => {
      let value: unknown = 1;
      for (let i = 0; i < levels; i++) value = [value];
      return value;
    };
    expect(await roundTrip(nested(MAX_DEPTH))).toEqual(nested(MAX_DEPTH));
    for (const levels of [MAX_DEPTH + 2, 5_000]) {
      expect(() => codec.encode(nested(levels), "data")).toThrow(
        `The value of channel "data" cannot be stored: it is nested deeper than ${MAX_DEPTH} levels`,
      );
    }
  });
});
