import { SCENARIOS, type Scenario } from "./driver/scenarios.ts";
import { type Budget, EMBEDDED_BUDGETS, POSTGRES_BUDGETS } from "./report/budgets.ts";
import type { ColumnRatio } from "./report/markdown.ts";
import {
  BARE,
  OURS,
  OURS_POSTGRES,
  OURS_TWICE,
  OURS_WORKERS,
  PEER,
  POSTGRES_SAVER,
  SAVER,
} from "./servers/catalogue.ts";
import type { Peer } from "./servers/install.ts";
import { LANGGRAPH_API } from "./servers/peer.ts";
import type { ServerSpec } from "./servers/spawned.ts";

/** What one run of the benchmark measures: which servers, with what, against which limits. */
export type Suite = {
  servers: readonly ServerSpec[];
  scenarios: readonly Scenario[];
  budgets: readonly Budget[];
  /** Columns behind those of the servers. */
  ratios: readonly ColumnRatio[];
  /** Rivals by the id of the server that needs them. */
  peers: Readonly<Record<string, Peer>>;
};

function scenarios(clients: Record<string, readonly number[]>): Scenario[] {
  return SCENARIOS.flatMap((scenario) => {
    const mine = clients[scenario.name];
    return mine === undefined ? [] : [{ ...scenario, clients: mine }];
  });
}

export const SUITES: Readonly<Record<string, Suite>> = {
  sqlite: {
    servers: [OURS, BARE, PEER],
    scenarios: SCENARIOS,
    budgets: EMBEDDED_BUDGETS,
    ratios: [
      { head: "ours / bare", over: "ours", under: "bare" },
      { head: "times better than langgraph-api", over: "ours", under: "peer", better: true },
    ],
    peers: { peer: LANGGRAPH_API },
  },
  postgres: {
    servers: [OURS_POSTGRES, SAVER, OURS, BARE, OURS_TWICE, OURS_WORKERS],
    scenarios: scenarios({ wait: [1, 25], "wait-tool": [1, 16], stream: [1, 25], state: [25], history: [25] }),
    budgets: POSTGRES_BUDGETS,
    ratios: [
      { head: "Postgres / bare", over: "ours-pg", under: "bare" },
      { head: "Postgres / SQLite", over: "ours-pg", under: "ours" },
      { head: "times better than PostgresSaver", over: "ours-pg", under: "saver", better: true },
      { head: "two / one", over: "ours-pg-2", under: "ours-pg" },
    ],
    peers: { saver: POSTGRES_SAVER },
  },
};
