import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { compareIds, frameOf, framesOf, parseEventId, type RunEvent, START } from "./events.ts";

const event = (given: Partial<RunEvent>): RunEvent => ({
  epoch: 1,
  n: 0,
  runId: "r",
  ns: "",
  mode: "values",
  at: 0,
  data: "{}",
  ...given,
});
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("event ids", () => {
  it("are read back from the text they are sent as", () => {
    const n = fc.nat({ max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), n, (epoch, place) => {
        expect(parseEventId(`${epoch}-${place}`)).toEqual(epoch === 0 && place === 0 ? START : { epoch, n: place });
      }),
    );
  });

  it("stay ids that no event has when their number is too large for any", () => {
    expect(parseEventId("7-99999999999")).toEqual({ epoch: 7, n: 2 ** 31 - 1 });
    expect(parseEventId("0-2147483648")).toEqual({ epoch: 0, n: 2 ** 31 - 1 });
  });

  it("know four words for the beginning, and nothing else that is not an id", () => {
    for (const word of ["-1", "-", "0", "0-0"]) expect(parseEventId(word)).toEqual(START);
    for (const word of ["", "1", "1-", "-5", "1-2-3", "a-b", "1.0-2", " 1-2", "1-2 ", `${"9".repeat(16)}-0`]) {
      expect(parseEventId(word)).toBeUndefined();
    }
  });

  it("grow by epoch first, then within it", () => {
    expect(compareIds({ epoch: 1, n: 9 }, { epoch: 2, n: 0 })).toBeLessThan(0);
    expect(compareIds({ epoch: 2, n: 1 }, { epoch: 2, n: 0 })).toBeGreaterThan(0);
    expect(compareIds(START, { epoch: 0, n: 0 })).toBeLessThan(0);
  });
});

describe("frames", () => {
  it("carry name with namespace, data and id; live-only events have none", () => {
    expect(text(frameOf(event({ ns: "a:1|b:2", n: 7 })))).toBe("event: values|a:1|b:2\ndata: {}\nid: 1-7\n\n");
    expect(text(frameOf(event({ n: null })))).toBe("event: values\ndata: {}\n\n");
  });

  it("are made once an event, and the same in one piece", () => {
    const events = [event({ n: 1 }), event({ n: 2, mode: "updates" })];
    expect(frameOf(events[0] as RunEvent)).toBe(frameOf(events[0] as RunEvent));
    expect(text(framesOf(events))).toBe(events.map((each) => text(frameOf(each))).join(""));
  });
});
