import { describe, expect, it } from "bun:test";
import { unrolled } from "./unrolled.ts";
import { encodeJson } from "./wire.ts";

describe("values that refer to themselves", () => {
  it("are cut where they would begin again, and what is only met twice is kept", () => {
    const shared = { kept: true };
    const ring: Record<string, unknown> = { shared, list: [shared] };
    ring.self = ring;
    ring.map = new Map<string, unknown>([["back", ring]]);
    ring.set = new Set([ring]);
    expect(JSON.parse(encodeJson(ring))).toEqual({
      shared,
      list: [shared],
      self: "[Circular]",
      map: { back: "[Circular]" },
      set: ["[Circular]"],
    });
    expect(ring.self).toBe(ring);
  });

  it("are written with messages as messages, and deeper than any parser reads only so far", () => {
    class HumanMessage {
      content = "hi";
      id = "1";
      getType() {
        return "human";
      }
    }
    const ring: unknown[] = [new HumanMessage()];
    ring.push(ring);
    expect(JSON.parse(encodeJson(ring))).toEqual([
      { type: "human", content: "hi", id: "1", additional_kwargs: {}, response_metadata: {} },
      "[Circular]",
    ]);
    let deep: unknown = "end";
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect(encodeJson(deep)).toContain("[Too deep]");
    expect(unrolled("plain")).toBe("plain");
  });
});
