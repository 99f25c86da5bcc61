import { describe, expect, it } from "bun:test";
import { checkDelivered, checkSteps, checkStream } from "./check.ts";
import type { Call } from "./judge.ts";

const events = (...ids: string[]) =>
  ids.map((id) => ({ id, event: id.endsWith("-0") ? "metadata" : "values", data: null }));
const ended = (...ids: string[]) => [...events(...ids), { id: "9-0", event: "end", data: null }];
const end = (list: ReturnType<typeof events>, id: string) => [...list, { id, event: "end", data: null }];
const calls = (...steps: number[]): Call[] =>
  steps.map((step, i) => ({ run: "r", thread: "t", step, pid: 1, began: i, answered: i + 0.5 }));

describe("the checks of histories", () => {
  it("accept what may happen", () => {
    checkStream(end(events("1-0", "1-1", "3-0", "3-1"), "3-2"));
    checkDelivered(events("1-0", "1-1", "1-2", "3-0"), events("1-0", "1-1", "3-0"));
    checkSteps(calls(1, 2, 3), 3, 0);
    checkSteps(calls(1, 2, 2, 3), 3, 1);
    checkSteps(calls(1, 2, 3, 2, 3), 3, 1);
    checkSteps(calls(1, 2, 3, 1, 2, 4), 4, "loosely");
  });

  it("see a hole, an id twice, an order that turns back, an attempt without its beginning, and a missing or second end", () => {
    expect(() => checkStream(end(events("1-0", "1-2"), "1-3"))).toThrow("1-2 (values) follows 1-0");
    expect(() => checkStream(end(events("1-0", "1-1", "1-1"), "1-2"))).toThrow("I7");
    expect(() => checkStream(end(events("2-0", "1-0"), "2-1"))).toThrow("I7");
    expect(() => checkStream(end(events("1-0", "2-1"), "2-2"))).toThrow("I7");
    expect(() => checkStream(events("1-0", "1-1"))).toThrow("0 ends");
    expect(() => checkStream(end(end(events("1-0"), "1-1"), "1-2"))).toThrow("2 ends");
    expect(() => checkStream(ended("1-0"))).toThrow("9-0 is end");
  });

  it("see an event of the log that was not delivered, and one of the last attempt that is not in the log", () => {
    expect(() => checkDelivered(events("1-0"), events("1-0", "1-1"))).toThrow("not delivered: 1-1");
    expect(() => checkDelivered(events("1-0", "1-1"), events("1-0"))).toThrow("not in the log: 1-1");
  });

  it("see a step that was left out, repeated too far back, repeated at all, or never reached", () => {
    expect(() => checkSteps(calls(1, 3), 3)).toThrow("left out");
    expect(() => checkSteps(calls(1, 2, 3, 1, 2, 3), 3)).toThrow("repeated");
    expect(() => checkSteps(calls(1, 2, 3, 2, 3), 3, 0)).toThrow("repeated");
    expect(() => checkSteps(calls(1, 2), 3)).toThrow("the last step is 2 of 3");
    expect(() => checkSteps(calls(1, 3), 3, "loosely")).toThrow("left out");
  });
});
