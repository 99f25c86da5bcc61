import { describe, expect, it } from "bun:test";
import { steadyClock } from "./clock.ts";

/** A process whose wall clock can be set. */
function machine(start: number) {
  const time = { wall: start, monotonic: 0 };
  return {
    source: { wall: () => time.wall, monotonic: () => time.monotonic },
    pass: (ms: number) => {
      time.wall += ms;
      time.monotonic += ms;
    },
    set: (wall: number) => {
      time.wall = wall;
    },
  };
}

const HOUR = 3_600_000;

describe("the clock of the embedded storage", () => {
  it("tells the wall clock's time, also when it is set forward", () => {
    const { source, pass, set } = machine(1_000_000);
    const now = steadyClock(0, source);
    expect(now()).toBe(1_000_000);
    pass(1_500);
    expect(now()).toBe(1_001_500);
    set(1_001_500 + HOUR);
    expect(now()).toBe(1_001_500 + HOUR);
  });

  it("goes on at its rate when the wall clock is set back, until that has caught up", () => {
    const { source, pass, set } = machine(10 * HOUR);
    const now = steadyClock(0, source);
    now();
    pass(100.25);
    now();
    set(9 * HOUR);
    expect(now()).toBe(10 * HOUR + 100);
    pass(2_000.25);
    expect(now()).toBe(10 * HOUR + 2_100);
    set(8 * HOUR);
    pass(1_000);
    expect(now()).toBe(10 * HOUR + 3_100);
    set(10 * HOUR + 5_000);
    expect(now()).toBe(10 * HOUR + 5_000);
  });

  it("goes on from the newest time of the file when the wall clock is behind it", () => {
    const { source, pass } = machine(9 * HOUR);
    const now = steadyClock(10 * HOUR, source);
    expect(now()).toBe(10 * HOUR);
    pass(50);
    expect(now()).toBe(10 * HOUR + 50);
  });
});
