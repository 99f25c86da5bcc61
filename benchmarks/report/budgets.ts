import type { Round } from "../rounds.ts";
import { cellReading, figure, idleRss, type Ratio, type Reading, ratio, startMs } from "./summary.ts";

/**
 * A figure our server promises (docs/benchmarks.md): `must` fails the run under --strict, `aim` is what we work towards. Where
 * neither is given it is only told.
 */
export type Budget = {
  /** For the table: what it is measured against. */
  against: string;
  figure: string;
  unit: "x" | "ms" | "MB";
  /** "low": at most `must`; "high": at least `must`. */
  good: "low" | "high";
  must?: number;
  aim?: number;
  read: Reading;
  /** The figure of this server, divided by that of `under` inside each round where there is one. */
  over: string;
  under?: string;
};

type Part = Pick<Budget, "figure" | "read"> & { must?: number; aim?: number };

const ratioOf =
  (against: string, pair: { over: string; under: string }, good: Budget["good"]) =>
  (part: Part): Budget => ({ ...part, ...pair, against, good, unit: "x" });

const againstBare = ratioOf("bare", { over: "ours", under: "bare" }, "low");
const peerOverOurs = ratioOf("peer", { over: "peer", under: "ours" }, "high");
const oursOverPeer = ratioOf("peer", { over: "ours", under: "peer" }, "high");

const WAIT_CPU = cellReading("wait", 25, "cpuMs");
const WAIT_RATE = cellReading("wait", 25, "opsPerSecond");
const STREAM_CPU = cellReading("stream", 25, "cpuMs");
const TOOL_RATE = cellReading("wait-tool", 16, "opsPerSecond");
const TOOL_CPU = cellReading("wait-tool", 16, "cpuMs");

export const EMBEDDED_BUDGETS: readonly Budget[] = [
  againstBare({ figure: "CPU per wait run, 25 clients", must: 1.5, aim: 1.25, read: WAIT_CPU }),
  againstBare({ figure: "CPU per streamed run, 25 clients", must: 1.5, aim: 1.25, read: STREAM_CPU }),
  peerOverOurs({ figure: "wait p50, 1 client: times lower", must: 50, aim: 100, read: cellReading("wait", 1, "p50") }),
  oursOverPeer({ figure: "wait runs/s, 25 clients", must: 6, aim: 10, read: WAIT_RATE }),
  peerOverOurs({ figure: "CPU per wait run, 25 clients: times less", must: 4, aim: 6, read: WAIT_CPU }),
  oursOverPeer({
    figure: "streamed events/s, 25 clients",
    must: 3.5,
    aim: 5,
    read: cellReading("stream", 25, "eventsPerSecond"),
  }),
  peerOverOurs({ figure: "CPU per streamed run, 25 clients: times less", must: 3, aim: 4, read: STREAM_CPU }),
  oursOverPeer({
    figure: "history of 100 checkpoints, requests/s, 25 clients",
    must: 8,
    aim: 20,
    read: cellReading("history", 25, "opsPerSecond"),
  }),
  {
    against: "itself",
    figure: "start to the first 200",
    unit: "ms",
    good: "low",
    must: 1000,
    aim: 400,
    read: startMs,
    over: "ours",
  },
  {
    against: "itself",
    figure: "idle memory, all processes",
    unit: "MB",
    good: "low",
    must: 150,
    aim: 90,
    read: idleRss,
    over: "ours",
  },
];

const oursOverSaver = ratioOf("PostgresSaver", { over: "ours-pg", under: "saver" }, "high");
const saverOverOurs = ratioOf("PostgresSaver", { over: "saver", under: "ours-pg" }, "high");
const twoOverOne = ratioOf("one process", { over: "ours-pg-2", under: "ours-pg" }, "high");
const twoOverOneLow = ratioOf("one process", { over: "ours-pg-2", under: "ours-pg" }, "low");
const workersOverOne = ratioOf("one process", { over: "ours-workers", under: "ours-pg" }, "high");
const postgresOverBare = ratioOf("bare", { over: "ours-pg", under: "bare" }, "low");
const postgresOverSqlite = ratioOf("SQLite", { over: "ours-pg", under: "ours" }, "low");

export const POSTGRES_BUDGETS: readonly Budget[] = [
  oursOverSaver({ figure: "tool-call runs/s, 16 clients", must: 1.9, aim: 2.4, read: TOOL_RATE }),
  saverOverOurs({ figure: "CPU per tool-call run, 16 clients: times less", read: TOOL_CPU }),
  saverOverOurs({
    figure: "PostgreSQL's CPU per tool-call run, 16 clients: times less",
    read: cellReading("wait-tool", 16, "databaseMs"),
  }),
  twoOverOne({ figure: "two processes: wait runs/s, 25 clients", must: 1.4, aim: 1.6, read: WAIT_RATE }),
  twoOverOneLow({ figure: "two processes: CPU per wait run, 25 clients", must: 1.1, aim: 1, read: WAIT_CPU }),
  twoOverOne({ figure: "two processes: tool-call runs/s, 16 clients", read: TOOL_RATE }),
  workersOverOne({ figure: "--workers 2: wait runs/s, 25 clients", read: WAIT_RATE }),
  postgresOverBare({ figure: "CPU per wait run, 25 clients", read: WAIT_CPU }),
  postgresOverBare({ figure: "CPU per streamed run, 25 clients", read: STREAM_CPU }),
  postgresOverSqlite({ figure: "CPU per wait run, 25 clients", read: WAIT_CPU }),
  postgresOverSqlite({ figure: "CPU per streamed run, 25 clients", read: STREAM_CPU }),
];

export type Verdict = {
  against: string;
  figure: string;
  unit: string;
  must: string;
  aim: string;
  measured: Ratio;
  result: "PASS (aim)" | "PASS" | "FAIL" | "not measured" | "told";
};

function measure(rounds: readonly Round[], { over, under, read }: Budget): Ratio {
  if (under !== undefined) return ratio(rounds, { over, under }, read);
  const each = rounds.map((round) => figure([round], over, read));
  return { value: figure(rounds, over, read), lowest: Math.min(...each), highest: Math.max(...each) };
}

function resultOf({ good, must, aim }: Budget, value: number): Verdict["result"] {
  const meets = (limit: number): boolean => (good === "low" ? value <= limit : value >= limit);
  if (Number.isNaN(value)) return "not measured";
  if (must === undefined) return "told";
  if (aim !== undefined && meets(aim)) return "PASS (aim)";
  return meets(must) ? "PASS" : "FAIL";
}

/** Every budget with what was measured; the median over the rounds decides. */
export function judge(rounds: readonly Round[], budgets: readonly Budget[]): Verdict[] {
  return budgets.map((budget) => {
    const { against, unit, figure: name, must, aim, good } = budget;
    const measured = measure(rounds, budget);
    const sign = good === "low" ? "<=" : ">=";
    const limit = (value: number | undefined): string =>
      value === undefined ? "-" : `${sign} ${value}${unit === "x" ? "x" : ` ${unit}`}`;
    return {
      against,
      figure: name,
      unit,
      must: limit(must),
      aim: limit(aim),
      measured,
      result: resultOf(budget, measured.value),
    };
  });
}
