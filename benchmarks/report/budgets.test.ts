import { describe, expect, it } from "bun:test";
import type { Cell } from "../driver/load.ts";
import type { Round, ServerRound } from "../rounds.ts";
import { EMBEDDED_BUDGETS, judge as judgeBy } from "./budgets.ts";

const judge = (rounds: Round[]) => judgeBy(rounds, EMBEDDED_BUDGETS);

const cell = (part: Partial<Cell>): Cell => ({
  ops: 1,
  seconds: 1,
  opsPerSecond: Number.NaN,
  cpuMs: Number.NaN,
  databaseMs: Number.NaN,
  p50: Number.NaN,
  p95: Number.NaN,
  p99: Number.NaN,
  eventsPerSecond: Number.NaN,
  firstByteP50: Number.NaN,
  firstEventP50: Number.NaN,
  firstTokenP50: Number.NaN,
  ...part,
});

const server = (cpuMs: number, opsPerSecond: number): ServerRound => ({
  startMs: 350,
  idle: [
    { pid: 1, command: "node", cpuMs: 0, rssMb: 40 },
    { pid: 2, command: "bun", cpuMs: 0, rssMb: 80 },
  ],
  loaded: [],
  operations: 1,
  cells: { "wait@25": cell({ cpuMs, opsPerSecond }) },
});

/** Ours, bare, peer: CPU ms and runs per second. */
const round = (ours: [number, number], bare: [number, number], peer: [number, number]): Round => ({
  load: 0,
  failures: [],
  servers: { ours: server(...ours), bare: server(...bare), peer: server(...peer) },
});

describe("judge", () => {
  it("divides inside each round, takes the median of the ratios and names must, aim and what is missing", () => {
    // The second round ran on a machine four times as slow: the ratios do not change.
    const verdicts = judge([
      round([1.25, 500], [1, 700], [6.25, 50]),
      round([6, 166], [4, 233], [30, 17]),
      round([2.5, 510], [2, 690], [12.5, 52]),
    ]);
    const of = (name: string) => verdicts.find(({ figure }) => figure === name);
    expect(of("CPU per wait run, 25 clients")).toMatchObject({
      result: "PASS (aim)",
      measured: { lowest: 1.25, value: 1.25, highest: 1.5 },
    });
    expect(of("CPU per wait run, 25 clients: times less")?.measured.value).toBeCloseTo(5);
    expect(of("wait runs/s, 25 clients")).toMatchObject({ result: "PASS", must: ">= 6x" });
    expect(of("CPU per streamed run, 25 clients")?.result).toBe("not measured");
    expect(of("idle memory, all processes")).toMatchObject({ result: "PASS", measured: { value: 120 } });
    expect(of("start to the first 200")?.result).toBe("PASS (aim)");
  });

  it("fails what misses its must", () => {
    const verdicts = judge([round([1.6, 100], [1, 700], [7, 50])]);
    expect(verdicts.filter(({ result }) => result === "FAIL").map(({ figure }) => figure)).toEqual([
      "CPU per wait run, 25 clients",
      "wait runs/s, 25 clients",
    ]);
  });
});
