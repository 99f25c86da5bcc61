import fc from "fast-check";

/** The corpus is the same in every run, unless HOSTILE_SEED names another one. */
export const seed = Number(process.env.HOSTILE_SEED ?? 20261130);

const KNOWN = ["HumanMessage", "AIMessage", "SystemMessage", "ToolMessage", "RemoveMessage", "AIMessageChunk", "Thing"];
const PATHS = [
  ["my", "app", "Thing"],
  ["langchain_core", "documents", "document", "Document"],
  ["langchain_core", "prompts", "chat", "ChatPromptTemplate"],
  ["langchain_core", "messages", "ai", "AIMessage"],
  ["langchain", "llms", "openai", "OpenAI"],
  ["langchain_core", "messages", "constructor"],
  ["langchain_core", "messages", "__proto__"],
  ["Set"],
  ["Map"],
  ["RegExp"],
  ["Error"],
  ["Uint8Array"],
  ["Function"],
  ["constructor"],
  [],
];

/** Keys that the serializer, langgraph, JavaScript or this server give a meaning. */
const KEYS = [
  "lc",
  "type",
  "id",
  "kwargs",
  "args",
  "method",
  "entries",
  "value",
  "lc_serializable",
  "lc_kwargs",
  "lc_namespace",
  "lg_name",
  "__lc_escaped__",
  "__overwrite__",
  "__interrupt__",
  "__root__",
  "__start__",
  "__pregel_tasks",
  "__pregel_resuming",
  "__error__",
  "constructor",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "toJSON",
  "then",
  "length",
  "",
  "role",
  "content",
  "messages",
];

const LEAVES = [
  null,
  true,
  0,
  1,
  2,
  -1.5,
  1e21,
  "",
  "lc",
  "undefined",
  "constructor",
  "12345678901234567890n",
  "[Circular]",
  '\u2028 \u{1f600} \\u0000 "lc":',
  "2026-11-30T00:00:00.000Z",
];

const { hostile } = fc.letrec<{ hostile: unknown; value: unknown; object: object; list: unknown[]; record: object }>(
  (tie) => {
    const leaf = fc.oneof(fc.constantFrom(...LEAVES), fc.string({ unit: "grapheme", maxLength: 8 }), fc.integer());
    const path = fc.oneof(
      fc.constantFrom<unknown>(...PATHS),
      fc.constantFrom(...KNOWN).map((name) => ["langchain_core", "messages", name]),
    );
    const kwargs = fc.oneof(
      tie("object"),
      fc.record({ content: tie("value"), additional_kwargs: tie("value"), id: tie("value"), tool_calls: tie("value") }),
      fc.record({ content: fc.constantFrom("text"), additional_kwargs: tie("object"), id: fc.constantFrom("x") }),
    );
    return {
      hostile: fc.oneof(
        { weight: 4, arbitrary: tie("record") },
        { weight: 1, arbitrary: fc.tuple(tie("record"), tie("value")) },
        { weight: 1, arbitrary: tie("object") },
      ),
      value: fc.oneof({ depthSize: "small" }, leaf, tie("object"), tie("list"), tie("record")),
      list: fc.array(tie("value"), { maxLength: 3 }),
      object: fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string({ maxLength: 4 })), tie("value"), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
      record: fc.oneof(
        fc.record({ lc: fc.constant(1), type: fc.constant("constructor"), id: path, kwargs }),
        fc.record({ lc: fc.constant(1), type: fc.constant("constructor"), id: path }),
        fc.record({ lc: fc.constant(1), type: fc.constantFrom("secret", "not_implemented", "x"), id: path }),
        fc.constant({ lc: 2, type: "undefined" }),
        fc.record({ lc: fc.constant(2), type: fc.constant("undefined"), value: tie("value") }),
        fc.record({ lc: fc.constant(2), type: fc.constant("delta_snapshot"), value: tie("value") }),
        fc.record({
          lc: fc.constant(2),
          type: fc.constant("constructor"),
          id: path,
          method: fc.constantFrom(null, "from", "call", undefined),
          args: fc.oneof(
            fc.tuple(tie("list")),
            tie("list"),
            fc.constantFrom<unknown>([[1, 2]], ["a", "g"], [["a", 1]]),
          ),
          kwargs: tie("object"),
        }),
        fc.record({
          lc: fc.constant(2),
          type: fc.constant("fractal:object"),
          entries: fc.oneof(fc.array(fc.tuple(fc.constantFrom(...KEYS), tie("value")), { maxLength: 2 }), tie("list")),
        }),
        fc.record({ lc: tie("value"), type: tie("value"), id: tie("value"), kwargs: tie("value") }),
        fc.record({ __lc_escaped__: tie("value") }),
        // Not "Send" and "Command": what a node sends, langgraph itself turns into such objects.
        fc.record({ lg_name: fc.constantFrom("Overwrite", "DeltaSnapshot"), node: path, value: tie("value") }),
        fc.record({ node: fc.constant("leaf"), args: tie("value") }),
        fc.record({
          type: fc.constantFrom("human", "ai", "remove", "tool", "Buffer"),
          content: tie("value"),
          id: tie("value"),
        }),
      ),
    };
  },
);

/** Values as a client's JSON has them; those that a request may not hold at all are left out. */
export function hostileValues(count: number, from = seed): unknown[] {
  const sampled = fc.sample(hostile, { numRuns: count * 2, seed: from });
  const texts = sampled.map((value) => JSON.stringify(value)).filter((text) => isAdmitted(text));
  return texts.slice(0, count).map((text) => JSON.parse(text));
}

function isAdmitted(text: string): boolean {
  const admitted = !text.includes('"__proto__":') && !text.includes("\\u0000") && text.isWellFormed();
  return admitted && !/\\ud[89a-f]/.test(text) && depthOf(JSON.parse(text)) < 40;
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
