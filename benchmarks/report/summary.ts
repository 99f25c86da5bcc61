import type { Cell } from "../driver/load.ts";
import { median } from "../driver/stats.ts";
import { cellKey, type Round, type ServerRound } from "../rounds.ts";
import type { ProcessRow } from "../servers/proc.ts";

export type Metric = keyof Cell;

/** Reads one figure of one server out of one round; NaN when it was not measured. */
export type Reading = (server: ServerRound) => number;

export const cellReading =
  (scenario: string, clients: number, metric: Metric): Reading =>
  (server) =>
    server.cells[cellKey(scenario, clients)]?.[metric] ?? Number.NaN;

export const sumRss = (rows: readonly ProcessRow[]): number =>
  rows.length === 0 ? Number.NaN : rows.reduce((sum, { rssMb }) => sum + rssMb, 0);

export const startMs: Reading = (server) => server.startMs;
export const idleRss: Reading = (server) => sumRss(server.idle);
export const loadedRss: Reading = (server) => sumRss(server.loaded);

const inRound = (round: Round, id: string, read: Reading): number => {
  const server = round.servers[id];
  return server === undefined ? Number.NaN : read(server);
};

/** Median over the rounds. */
export function figure(rounds: readonly Round[], id: string, read: Reading): number {
  return median(rounds.map((round) => inRound(round, id, read)));
}

export type Ratio = { value: number; lowest: number; highest: number };

/** The figure of `over` divided by that of `under`, inside each round; median, and the extremes of the rounds. */
export function ratio(rounds: readonly Round[], pair: { over: string; under: string }, read: Reading): Ratio {
  const each = rounds
    .map((round) => inRound(round, pair.over, read) / inRound(round, pair.under, read))
    .filter((value) => Number.isFinite(value));
  if (each.length === 0) return { value: Number.NaN, lowest: Number.NaN, highest: Number.NaN };
  return { value: median(each), lowest: Math.min(...each), highest: Math.max(...each) };
}
