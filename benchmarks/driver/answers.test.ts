import { describe, expect, it } from "bun:test";
import { CHECKPOINTS, STEPS, STEPS_PER_MESSAGE, stepText, TOKEN_TEXT, TOKENS } from "../graph/script.ts";
import { checkHistory, checkValues, StreamCheck, WrongAnswer } from "./answers.ts";

const question = "question 1";
const human = { type: "human", content: question };
const values = { messages: [human, { type: "ai", content: TOKEN_TEXT }] };

type Frame = [event: string, data: unknown];

const goodStream: Frame[] = [
  ["metadata", { run_id: "r" }],
  ["values", { messages: [human] }],
  ...TOKENS.map((content): Frame => ["messages", [{ type: "AIMessageChunk", content }, {}]]),
  ["values", values],
  ["end", null],
];

function follow(frames: Frame[], endEvent = true): number {
  const check = new StreamCheck(question, endEvent);
  for (const [event, data] of frames) check.see({ event, data: JSON.stringify(data), id: undefined });
  return check.finish(false);
}

describe("StreamCheck", () => {
  it("counts the events of a whole stream, with and without a closing end event", () => {
    expect(follow(goodStream)).toBe(104);
    expect(follow(goodStream.slice(0, -1), false)).toBe(103);
  });

  const without = (at: number): Frame[] => goodStream.filter((_, i) => i !== at);
  const swapped = [...goodStream];
  [swapped[10], swapped[11]] = [goodStream[11] as Frame, goodStream[10] as Frame];
  const broken: [string, Frame[]][] = [
    ["a lost token", without(50)],
    ["tokens out of order", swapped],
    ["a doubled token", [...goodStream.slice(0, 50), goodStream[49] as Frame, ...goodStream.slice(50)]],
    ["missing metadata", without(0)],
    ["a missing end", without(goodStream.length - 1)],
    ["an event after the end", [...goodStream, ["values", values]]],
    ["an error event", [...goodStream.slice(0, 60), ["error", { error: "E", message: "m" }]]],
    ["missing final values", without(goodStream.length - 2)],
    [
      "another's question",
      goodStream.map(([e, d]): Frame => [e, JSON.parse(JSON.stringify(d).replace(question, "other"))]),
    ],
  ];
  for (const [what, frames] of broken) {
    it(`refuses a stream with ${what}`, () => {
      expect(() => follow(frames)).toThrow(WrongAnswer);
    });
  }
});

describe("checkValues", () => {
  it("accepts the scripted answer and refuses an empty one, an error body and another graph's", () => {
    checkValues("tokens", question, values);
    for (const wrong of [{}, null, { __error__: { error: "E" } }, { messages: [human] }]) {
      expect(() => checkValues("tokens", question, wrong)).toThrow(WrongAnswer);
    }
    expect(() => checkValues("one", question, values)).toThrow(WrongAnswer);
    expect(() => checkValues("tool", question, values)).toThrow(WrongAnswer);
  });
});

describe("checkHistory", () => {
  const state = (step: number, i: number) => {
    const spoken = Array.from({ length: Math.floor(step / STEPS_PER_MESSAGE) }, (_, k) => ({
      type: "ai",
      content: stepText((k + 1) * STEPS_PER_MESSAGE),
    }));
    return {
      values: { step, messages: [human, ...spoken] },
      next: [],
      checkpoint: { checkpoint_id: `c${i}` },
      parent_checkpoint: i === CHECKPOINTS - 1 ? null : { checkpoint_id: `c${i + 1}` },
    };
  };
  const good = Array.from({ length: CHECKPOINTS }, (_, i) => state(Math.max(0, STEPS - i), i));

  it("accepts the whole chain and refuses a short, unlinked or stale one", () => {
    checkHistory(question, good);
    expect(() => checkHistory(question, good.slice(1))).toThrow(WrongAnswer);
    expect(() => checkHistory(question, good.with(4, { ...state(STEPS - 4, 4), parent_checkpoint: null }))).toThrow(
      WrongAnswer,
    );
    expect(() => checkHistory(question, good.with(4, state(STEPS - 5, 4)))).toThrow(WrongAnswer);
  });
});
