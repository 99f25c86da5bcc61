import type { Round } from "../rounds.ts";
import { cellReading, figure, idleRss, type Ratio, type Reading, ratio, startMs } from "./summary.ts";

/** A figure our server promises (docs/benchmarks.md): `must` fails the run under --strict, `aim` is what we work towards. */
type Budget = {
  against: "bare" | "peer" | "itself";
  figure: string;
  unit: "x" | "ms" | "MB";
  /** "low": at most `must`; "high": at least `must`. */
  good: "low" | "high";
  must: number;
  aim: number;
  /** For "itself" the figure; else the ratio is ours/bare, peer/ours (less is better) or ours/peer (more is better). */
  read: Reading;
  direction?: "ours/other" | "other/ours";
};

const againstBare = (name: string, read: Reading): Budget => ({
  against: "bare",
  figure: name,
  unit: "x",
  good: "low",
  must: 1.5,
  aim: 1.25,
  read,
  direction: "ours/other",
});

type PeerBudget = Pick<Budget, "figure" | "must" | "aim" | "read">;

const timesLess = (budget: PeerBudget): Budget => ({
  ...budget,
  against: "peer",
  unit: "x",
  good: "high",
  direction: "other/ours",
});
const timesMore = (budget: PeerBudget): Budget => ({
  ...budget,
  against: "peer",
  unit: "x",
  good: "high",
  direction: "ours/other",
});

export const BUDGETS: readonly Budget[] = [
  againstBare("CPU per wait run, 25 clients", cellReading("wait", 25, "cpuMs")),
  againstBare("CPU per streamed run, 25 clients", cellReading("stream", 25, "cpuMs")),
  timesLess({ figure: "wait p50, 1 client: times lower", must: 50, aim: 100, read: cellReading("wait", 1, "p50") }),
  timesMore({ figure: "wait runs/s, 25 clients", must: 6, aim: 10, read: cellReading("wait", 25, "opsPerSecond") }),
  timesLess({
    figure: "CPU per wait run, 25 clients: times less",
    must: 4,
    aim: 6,
    read: cellReading("wait", 25, "cpuMs"),
  }),
  timesMore({
    figure: "streamed events/s, 25 clients",
    must: 3.5,
    aim: 5,
    read: cellReading("stream", 25, "eventsPerSecond"),
  }),
  timesLess({
    figure: "CPU per streamed run, 25 clients: times less",
    must: 3,
    aim: 4,
    read: cellReading("stream", 25, "cpuMs"),
  }),
  timesMore({
    figure: "history of 100 checkpoints, requests/s, 25 clients",
    must: 8,
    aim: 20,
    read: cellReading("history", 25, "opsPerSecond"),
  }),
  { against: "itself", figure: "start to the first 200", unit: "ms", good: "low", must: 1000, aim: 400, read: startMs },
  {
    against: "itself",
    figure: "idle memory, all processes",
    unit: "MB",
    good: "low",
    must: 150,
    aim: 90,
    read: idleRss,
  },
];

export type Verdict = {
  against: string;
  figure: string;
  unit: string;
  must: string;
  aim: string;
  measured: Ratio;
  result: "PASS (aim)" | "PASS" | "FAIL" | "not measured";
};

function measure(rounds: readonly Round[], budget: Budget): Ratio {
  if (budget.against === "itself") {
    const each = rounds.map((round) => figure([round], "ours", budget.read));
    return { value: figure(rounds, "ours", budget.read), lowest: Math.min(...each), highest: Math.max(...each) };
  }
  const other = budget.against;
  const pair = budget.direction === "ours/other" ? { over: "ours", under: other } : { over: other, under: "ours" };
  return ratio(rounds, pair, budget.read);
}

/** Every budget with what was measured; the median over the rounds decides. */
export function judge(rounds: readonly Round[]): Verdict[] {
  return BUDGETS.map((budget) => {
    const measured = measure(rounds, budget);
    const meets = (limit: number): boolean =>
      budget.good === "low" ? measured.value <= limit : measured.value >= limit;
    const sign = budget.good === "low" ? "<=" : ">=";
    const result = Number.isNaN(measured.value)
      ? "not measured"
      : meets(budget.aim)
        ? "PASS (aim)"
        : meets(budget.must)
          ? "PASS"
          : "FAIL";
    const limit = (value: number): string => `${sign} ${value}${budget.unit === "x" ? "x" : ` ${budget.unit}`}`;
    const { against, unit, figure: name } = budget;
    return { against, figure: name, unit, must: limit(budget.must), aim: limit(budget.aim), measured, result };
  });
}
