import { describe, expect, it } from "bun:test";
import { SseReader } from "./sse.ts";

const body =
  ': heartbeat\r\n\r\nevent: values\r\ndata: {"a":1}\r\nid: 7-1\r\n\r\nevent: end\ndata: null\n\ndata:x\rdata: y\r\r';

describe("SseReader", () => {
  it("gives the same events wherever the text is cut", () => {
    const whole = new SseReader().feed(`${body}:`);
    expect(whole.map(({ event, data }) => [event, data])).toEqual([
      ["values", '{"a":1}'],
      ["end", "null"],
      ["message", "x\ny"],
    ]);
    for (let cut = 1; cut < body.length; cut++) {
      const reader = new SseReader();
      const events = [...reader.feed(body.slice(0, cut)), ...reader.feed(`${body.slice(cut)}:`)];
      expect(events).toEqual(whole);
    }
  });

  it("keeps the last id, skips comments and says when a stream ends inside an event", () => {
    const reader = new SseReader();
    expect(reader.feed("id: 1\nevent: a\ndata: 1\n\n: still here\n\n")).toEqual([{ event: "a", data: "1", id: "1" }]);
    expect(reader.unfinished).toBe(false);
    expect(reader.feed("event: b\ndata: 2\n")).toEqual([]);
    expect(reader.unfinished).toBe(true);
  });
});
