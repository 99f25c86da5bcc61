import { describe, expect, it } from "bun:test";
import { type Recipient, Unread } from "./unread.ts";

describe("what clients have not read", () => {
  const cut: string[] = [];
  const client = (name: string): Recipient => ({ cutOff: () => void cut.push(name) });
  const [a, b, c] = [client("a"), client("b"), client("c")];

  it("costs those their stream that have not read for longest, as few as it takes", () => {
    cut.length = 0;
    const unread = new Unread(100, 0);
    unread.give(a, 40);
    unread.give(b, 40);
    unread.give(a, 40);
    expect(cut).toEqual([]);
    unread.give(c, 40);
    expect(cut).toEqual(["b"]);
    unread.give(b, 20);
    expect(cut).toEqual(["b"]);
  });

  it("is nobody's fault who has just been given something", () => {
    cut.length = 0;
    const unread = new Unread(100, 60_000);
    for (const each of [a, b, c]) unread.give(each, 80);
    unread.relieve();
    expect(cut).toEqual([]);
  });

  it("is less by what is taken", () => {
    cut.length = 0;
    const unread = new Unread(100, 0);
    unread.give(a, 80);
    unread.taken(a);
    unread.taken(a);
    unread.give(b, 80);
    unread.relieve();
    expect(cut).toEqual([]);
    unread.give(c, 21);
    expect(cut).toEqual(["b"]);
  });
});
