import { describe, expect, it } from "bun:test";
import { Document } from "@langchain/core/documents";
import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  HumanMessage,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages";
import { Send } from "@langchain/langgraph";
import { DeltaSnapshot, JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { Codec } from "#core/checkpoints/codec";

const serde = new JsonPlusSerializer();
const codec = new Codec(serde);
const encode = (value: unknown) => codec.encode(value, "result");

async function roundTrips(value: unknown): Promise<unknown[]> {
  const ours = await encode(value);
  const [type, bytes] = await serde.dumpsTyped(value);
  return [await codec.decode(ours), await serde.loadsTyped(ours.type, ours.bytes), await codec.decode({ type, bytes })];
}

// The serializer loses such a key; ours keeps it (see below).
const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__"));
const text = fc.string({ unit: "grapheme", maxLength: 30 });
const toolCall = fc.record({
  name: text,
  args: fc.dictionary(
    text.filter((key) => key !== "__proto__"),
    json,
  ),
  id: text,
  type: fc.constant("tool_call" as const),
});
const message = fc.oneof(
  fc.record({ content: text, id: text }).map((fields) => new HumanMessage(fields)),
  text.map((content) => new SystemMessage(content)),
  fc
    .record({
      content: fc.oneof(text, fc.array(fc.record({ type: fc.constant("text"), text }))),
      id: text,
      tool_calls: fc.array(toolCall),
    })
    // biome-ignore lint/suspicious/noExplicitAny: generated content blocks
    .map((fields) => new AIMessage(fields as any)),
  fc.record({ content: text, tool_call_id: text, artifact: json }).map((fields) => new ToolMessage(fields)),
  fc.record({ content: text, role: text }).map((fields) => new ChatMessage(fields)),
  text.map((id) => new RemoveMessage({ id })),
);

describe("Codec", () => {
  it("reads what it writes, is read by JsonPlusSerializer, and reads what that writes", async () => {
    const state = fc.oneof(
      json,
      fc.array(message, { maxLength: 4 }),
      fc.record({ messages: fc.array(message), extra: json }),
    );
    await fc.assert(
      fc.asyncProperty(state, async (value) => {
        const theirs = await serde.loadsTyped(...(await serde.dumpsTyped(value)));
        for (const read of await roundTrips(value)) expect(read).toEqual(theirs);
      }),
      { numRuns: 300 },
    );
  });

  it("keeps packets, sets, maps, snapshots, dates, bytes, errors and undefined as the serializer does", async () => {
    const values = [
      undefined,
      [1, undefined, { a: undefined }],
      new Send("tools", { call: new AIMessage("hi") }),
      [new Send("a", 1), new Send("b", { x: [1] })],
      new Set([1, "a"]),
      new Map<unknown, unknown>([["k", new HumanMessage("x")]]),
      new DeltaSnapshot([new HumanMessage({ content: "x", id: "1" })]),
      new Date(0),
      { at: new Date(5) },
      new Uint8Array([1, 2, 3]),
      { nested: new Uint8Array([1, 2, 3]) },
      new Error("broken"),
      /a+/g,
      new Document({ pageContent: "text", metadata: { a: 1 } }),
      { lc: 1, of: "mine" },
      Number.NaN,
      [new AIMessageChunk({ content: "par", tool_call_chunks: [{ name: "t", args: '{"a":1}', id: "c", index: 0 }] })],
      [new HumanMessage({ content: "x", additional_kwargs: { lc: 5, a: 1 } })],
    ];
    for (const value of values) {
      const theirs = await serde.loadsTyped(...(await serde.dumpsTyped(value)));
      for (const read of await roundTrips(value)) expect(read).toEqual(theirs);
    }
  });

  it("gives messages of the serializer's own classes", async () => {
    const [read] = (await codec.decode(await encode([new AIMessage({ content: "x", id: "1" })]))) as AIMessage[];
    expect(read).toBeInstanceOf(AIMessage);
    expect(read?.getType()).toBe("ai");
  });

  it("keeps a field that was set after construction", async () => {
    const message = Object.assign(new AIMessage("x"), {
      usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
    });
    const read = (await codec.decode(await encode(message))) as AIMessage;
    expect<unknown>(read.usage_metadata).toEqual({ input_tokens: 1, output_tokens: 2, total_tokens: 3 });
  });

  it("reads the value before it returns, also when the serializer is needed", async () => {
    const plain = { list: [1] };
    const bytes = new Uint8Array([1, 2]);
    const odd = { list: [1], pattern: /x/ };
    const encoded = [encode(plain), encode(bytes), encode(odd)];
    plain.list.push(2);
    bytes[0] = 9;
    odd.list.push(2);
    const [a, b, c] = await Promise.all(encoded.map(async (one) => codec.decode(await one)));
    expect(a).toEqual({ list: [1] });
    expect(b).toEqual(new Uint8Array([1, 2]));
    expect(c).toEqual({ list: [1], pattern: /x/ });
  });

  it("does not set a prototype from stored data", async () => {
    const value = JSON.parse('{"__proto__":{"polluted":[null]},"a":{"lc":2,"type":"undefined"}}');
    const read = (await codec.decode(await encode(value))) as Record<string, unknown>;
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.keys(read)).toContain("a");
  });

  it("refuses a BigInt and cuts a cycle where it would begin again", async () => {
    const named = 'The value of channel "result" cannot be stored: it holds a BigInt';
    expect(() => encode({ n: 10n })).toThrow(named);
    const loop: Record<string, unknown> = { a: 1 };
    loop.self = loop;
    expect(await codec.decode(await encode(loop))).toEqual({ a: 1, self: "[Circular]" });
  });

  it("refuses what JSON leaves out where it is the whole value: its empty text could not be read again", async () => {
    for (const value of [() => 1, Symbol("s"), class {}]) {
      const named = 'The value of channel "result" cannot be stored: it is a function, a symbol or the like';
      expect(() => encode(value)).toThrow(named);
    }
    expect(await codec.decode(await encode({ a: 1, b: () => 1, c: Symbol("s") }))).toEqual({ a: 1 });
  });
});
