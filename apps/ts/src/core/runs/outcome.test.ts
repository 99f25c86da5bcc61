import { describe, expect, it } from "bun:test";
import { failureOf, LoggedResult, resultBody } from "./outcome.ts";
import type { EventRow } from "./repository.ts";

describe("the body of wait", () => {
  const none = { values: undefined, interrupts: undefined, error: null };

  it("is the values, with the interrupts beside them, or the error alone", () => {
    expect(resultBody(none)).toBe("{}");
    expect(resultBody({ ...none, values: '{"a":1}' })).toBe('{"a":1}');
    expect(JSON.parse(resultBody({ ...none, values: '{"a":1}', interrupts: '[{"id":"x"}]' }))).toEqual({
      a: 1,
      __interrupt__: [{ id: "x" }],
    });
    for (const values of [undefined, "{}", "[1]", '"text"', "null"]) {
      expect(JSON.parse(resultBody({ ...none, values, interrupts: "[]" }))).toEqual({ __interrupt__: [] });
    }
    const error = { error: "E", message: "m" };
    expect(JSON.parse(resultBody({ values: '{"a":1}', interrupts: "[]", error }))).toEqual({ __error__: error });
  });

  it("can be told from the log: the last values of the last attempt's root", () => {
    const result = new LoggedResult();
    const row = (epoch: number, data: string, more: Partial<EventRow> = {}): EventRow => {
      return { epoch, n: 0, run_id: "r", ns: "", mode: "values", at: 0, data, ...more };
    };
    expect(result.body(null)).toBeUndefined();
    for (const each of [
      row(1, '{"__interrupt__":[{"id":"old"}]}'),
      row(1, '{"a":1}'),
      row(2, '{"a":2}'),
      row(2, '{"a":"child"}', { ns: "child:1" }),
      row(2, '{"a":"other"}', { mode: "updates" }),
      row(2, '{"__interrupt__":[{"id":"x"}]}'),
      row(2, '{"__interrupt__":[{"id":"y"}]}'),
    ]) {
      result.add(each);
    }
    expect(JSON.parse(result.body(null) as string)).toEqual({ a: 2, __interrupt__: [{ id: "x" }, { id: "y" }] });
    expect(JSON.parse(result.body({ error: "E", message: "m" }) as string)).toEqual({
      __error__: { error: "E", message: "m" },
    });
  });

  it("is read from rows that hold the interrupts beside the state, and from those that have no state yet", () => {
    const bodyOf = (...rows: string[]) => {
      const result = new LoggedResult();
      for (const data of rows) {
        result.add({ epoch: 1, n: 0, run_id: "r", ns: "", mode: "values", at: 0, data });
      }
      return result.body(null);
    };
    const [one, both] = ['{"__interrupt__":[{"id":"x"}]}', '{"__interrupt__":[{"id":"x"},{"id":"y"}]}'];
    const whole = '{"a":1,"__interrupt__":[{"id":"x"},{"id":"y"}]}';
    expect(bodyOf('{"a":1}', '{"a":1,"__interrupt__":[{"id":"x"}]}', whole)).toBe(whole);
    expect(bodyOf(one, both)).toBe(both);
    expect(bodyOf(one, both, whole)).toBe(whole);
  });
});

describe("what clients are told of a failure", () => {
  class OutOfPaper extends Error {
    override name = "OutOfPaper";
  }

  it("is the name of its class and its message", () => {
    expect(failureOf(new OutOfPaper("no more"))).toEqual({ error: "OutOfPaper", message: "no more" });
    expect(failureOf({ name: "Foreign", message: "of another realm" })).toEqual({
      error: "Foreign",
      message: "of another realm",
    });
  });

  it("is text whatever was thrown, and telling it never fails", () => {
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const hostile = {
      get message() {
        throw new Error("no");
      },
    };
    const thrown = [
      null,
      undefined,
      5,
      "text",
      Symbol("s"),
      5n,
      {},
      { code: 1 },
      Object.create(null),
      revoked.proxy,
      hostile,
    ];
    for (const each of [...thrown, { name: 5, message: { deep: 1 } }, { name: "", message: undefined }, () => 1]) {
      expect(failureOf(each)).toEqual({ error: "Error", message: expect.any(String) });
    }
    expect(failureOf("text").message).toBe("text");
    expect(failureOf({ code: 1, pregelTaskId: "t" }).message).toBe('{"code":1}');
  });
});
