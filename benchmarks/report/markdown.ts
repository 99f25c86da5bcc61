import type { Scenario } from "../driver/scenarios.ts";
import type { QueueFigures } from "../queue/figures.ts";
import type { Round } from "../rounds.ts";
import type { Verdict } from "./budgets.ts";
import type { Machine } from "./machine.ts";
import { cellReading, figure, idleRss, loadedRss, type Metric, type Reading, ratio, startMs } from "./summary.ts";

/** A column of ratios: over / under; with `better` turned so that above 1 is in favour of `over`, for times as for rates. */
export type ColumnRatio = { head: string; over: string; under: string; better?: boolean };

/** What the table shows, in this order. */
export type Layout = {
  servers: readonly { id: string; head: string }[];
  scenarios: readonly Scenario[];
  ratios: readonly ColumnRatio[];
};

export type Report = {
  date: string;
  storage: string;
  quick: boolean;
  machine: Machine;
  rounds: readonly Round[];
  verdicts: readonly Verdict[];
  layout: Layout;
  /** The queue of a Postgres database, measured below HTTP. */
  queue?: QueueFigures | undefined;
};

/** Three significant digits, no exponent; a dash for what was not measured. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 100) return Math.round(value).toString();
  return value.toPrecision(value >= 10 ? 3 : 2).replace(/^0\.0+$/, "0");
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), row(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(row)].join("\n");
}

/** One row: its readings are shown with slashes between them, ratios are those of the first. */
type Line = { label: string; reads: readonly Reading[]; more?: boolean };

function linesOf(scenario: Scenario, clients: number): Line[] {
  const line = (label: string, metrics: readonly Metric[], more = false): Line => ({
    label: `${scenario.name}, ${clients} client${clients === 1 ? "" : "s"}: ${label}`,
    reads: metrics.map((metric) => cellReading(scenario.name, clients, metric)),
    more,
  });
  const latency = line("p50 / p95 / p99 ms", ["p50", "p95", "p99"]);
  const cpu = line("CPU ms each", ["cpuMs"]);
  const database = line("PostgreSQL's CPU ms each", ["databaseMs"]);
  if (scenario.name !== "stream") return [latency, line("per second", ["opsPerSecond"], true), cpu, database];
  return [
    latency,
    line("first byte / event / token, p50 ms", ["firstByteP50", "firstEventP50", "firstTokenP50"]),
    line("events/s", ["eventsPerSecond"], true),
    cpu,
    database,
  ];
}

function figures(rounds: readonly Round[], { servers, scenarios, ratios }: Layout): string {
  const lines: Line[] = [
    ...scenarios.flatMap((scenario) => scenario.clients.flatMap((clients) => linesOf(scenario, clients))),
    { label: "start to first 200, ms", reads: [startMs] },
    { label: "memory idle, MB", reads: [idleRss] },
    { label: "memory after the load, MB", reads: [loadedRss] },
  ];
  const rows = lines.flatMap(({ label, reads, more }) => {
    const first = reads[0] as Reading;
    if (servers.every(({ id }) => Number.isNaN(figure(rounds, id, first)))) return [];
    const shown = servers.map(({ id }) => {
      const values = reads.map((read) => figure(rounds, id, read));
      return values.every(Number.isNaN) ? "-" : values.map(show).join(" / ");
    });
    const quotients = ratios.map(({ over, under, better }) => {
      const pair = better === true && more !== true ? { over: under, under: over } : { over, under };
      return show(ratio(rounds, pair, first).value);
    });
    return [[label, ...shown, ...quotients]];
  });
  return table(["", ...servers.map(({ head }) => head), ...ratios.map(({ head }) => head)], rows);
}

function queue({ cycles, claims, restarts }: QueueFigures): string {
  const rows = [
    ...cycles.map(({ storage, at, perSecond }) => [
      `${storage}: create + claim + finish, ${at} at once`,
      `${show(perSecond)}/s`,
    ]),
    ...claims.map(({ depth, p50, p99 }) => [
      `claim of one run with ${depth} waiting: p50 / p99`,
      `${show(p50)} / ${show(p99)} ms`,
    ]),
    ...restarts.flatMap(({ storage, answersMs, runEndsMs }) => [
      [`${storage}: kill -9 to the next 200`, `${show(answersMs)} ms`],
      [`${storage}: kill -9 to the end of the run it cut off, less the run's own time`, `${show(runEndsMs)} ms`],
    ]),
  ];
  return table(["queue", "measured"], rows);
}

function budgets(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ against, figure: name, unit, must, aim, measured, result }) => {
    const suffix = unit === "x" ? "x" : ` ${unit}`;
    const spread = Number.isNaN(measured.value) ? "-" : `${show(measured.lowest)} to ${show(measured.highest)}`;
    const value = Number.isNaN(measured.value) ? "-" : `${show(measured.value)}${suffix}`;
    return [name, against, value, spread, must, aim, result];
  });
  return table(["budget", "against", "measured", "rounds", "must", "aim", "result"], rows);
}

/** The report as Markdown: machine, budgets, every figure. */
export function toMarkdown(report: Report): string {
  const { machine, rounds, layout } = report;
  const failures = [...rounds.flatMap((round) => round.failures), ...(report.queue?.failures ?? [])];
  const loads = rounds.map((round) => round.load.toFixed(2)).join(", ");
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    ...(report.quick ? ["**Quick run: shows that everything works; its figures and verdicts mean little.**", ""] : []),
    `${report.date}, ${rounds.length} round${rounds.length === 1 ? "" : "s"}, interleaved; median of the rounds.`,
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}; load average before each round: ${loads}.`,
    `${versions.join(", ")}.`,
    ...(machine.database === undefined ? [] : [`${machine.database}.`]),
    "",
    budgets(report.verdicts),
    "",
    figures(rounds, layout),
    "",
    ...(report.queue === undefined ? [] : [queue(report.queue), ""]),
    ...(failures.length === 0
      ? []
      : ["**Failed, and therefore missing above:**", "", ...failures.map((text) => `- ${text}`), ""]),
  ].join("\n");
}
