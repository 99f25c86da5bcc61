import { describe, expect, it } from "bun:test";
import { uuid6 } from "@langchain/langgraph-checkpoint";
import { CheckpointIds } from "./ids.ts";

const AHEAD = "1f0fffff-ffff-6fff-8005-123456789abc";
const BEHIND = "1f0aaaaa-0000-6000-8001-00000000000a";
const LATER = "1f0aaaaa-0000-6001-8002-00000000000b";

describe("ids of checkpoints", () => {
  it("stay as they are while they grow", () => {
    const ids = new CheckpointIds();
    const made = Array.from({ length: 2_000 }, (_, step) => uuid6(step));
    expect(made.map((id) => ids.of(id, ""))).toEqual(made);
    expect(ids.of(made.at(-1) as string, "")).toBe(made.at(-1) as string);
  });

  it("follow what is known in their namespace where the clock is behind it, each above the one before", () => {
    const ids = new CheckpointIds();
    ids.learn("", AHEAD);
    const [first, second] = [ids.of(BEHIND, ""), ids.of(LATER, "")];
    expect(first).toBe("1f100000-0000-6000-8001-00000000000a");
    expect(second).toBe("1f100000-0000-6001-8002-00000000000b");
    expect([ids.of(BEHIND, ""), ids.of(first, ""), ids.known(LATER)]).toEqual([first, first, second]);
    // Another namespace has its own order, and the clock may have caught up.
    expect(ids.of(`2${BEHIND.slice(1)}`, "")).toBe(`2${BEHIND.slice(1)}`);
    expect(ids.of(`0${BEHIND.slice(1)}`, "node")).toBe(`0${BEHIND.slice(1)}`);
  });

  it("are those of the storage for what was read there or named by the request, however old", () => {
    const ids = new CheckpointIds();
    ids.learn("", AHEAD);
    ids.learn("", BEHIND);
    ids.learn(undefined, LATER);
    expect([ids.of(BEHIND, ""), ids.of(LATER, ""), ids.known("never met")]).toEqual([BEHIND, LATER, "never met"]);
  });

  it("are found under both names when a checkpoint was stored by a process whose clock was behind", () => {
    const ids = new CheckpointIds();
    ids.learn("", BEHIND, AHEAD);
    expect([ids.of(BEHIND, ""), ids.of(AHEAD, ""), ids.known(BEHIND)]).toEqual([AHEAD, AHEAD, AHEAD]);
  });
});
