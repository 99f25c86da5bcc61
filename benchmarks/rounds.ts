import { loadavg } from "node:os";
import { type Cell, type Limits, runCell, warmUp } from "./driver/load.ts";
import type { Scenario } from "./driver/scenarios.ts";
import { type ProcessRow, treeRows } from "./servers/proc.ts";
import { type ServerSpec, type Spawned, settle, start } from "./servers/spawned.ts";

/** A server in one round: its life (start, memory) and its cells, keyed "<scenario>@<clients>". */
export type ServerRound = {
  startMs: number;
  idle: ProcessRow[];
  loaded: ProcessRow[];
  operations: number;
  cells: Record<string, Cell>;
};

export type Round = { load: number; servers: Record<string, ServerRound> };

export type Plan = {
  servers: readonly ServerSpec[];
  scenarios: readonly Scenario[];
  quick: boolean;
  warmUpSeconds: number;
  limits(clients: number): Limits;
};

export const cellKey = (scenario: string, clients: number): string => `${scenario}@${clients}`;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function inServer<T>(server: Spawned, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${server.spec.title}, ${doing}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * One round: every server is started fresh and warmed up, then the measurements go scenario by scenario through all servers in
 * turn, so that a busy minute of the machine hits all of them. While one is measured the others are up and idle.
 */
export async function runRound(plan: Plan, say: (line: string) => void): Promise<Round> {
  const up: Spawned[] = [];
  const round: Round = { load: loadavg()[0] as number, servers: {} };
  try {
    for (const spec of plan.servers) {
      const server = await start(spec);
      up.push(server);
      await settle(server);
      const { startMs } = server;
      round.servers[spec.id] = { startMs, idle: treeRows(server.rootPid), loaded: [], operations: 0, cells: {} };
      say(`  ${spec.title}: up after ${Math.round(startMs)} ms`);
    }
    for (const server of up)
      await inServer(server, "warm-up", () => warmUp(server, plan.scenarios, plan.warmUpSeconds));
    for (const scenario of plan.scenarios) {
      for (const clients of scenario.clients) {
        for (const server of up) {
          const doing = `${scenario.name} with ${clients} client(s)`;
          const cell = await inServer(server, doing, () =>
            runCell(server, { scenario, clients }, plan.limits(clients)),
          );
          const mine = round.servers[server.spec.id] as ServerRound;
          mine.cells[cellKey(scenario.name, clients)] = cell;
          mine.operations += cell.ops;
          say(
            `  ${doing}, ${server.spec.id}: p50 ${cell.p50.toFixed(1)} ms, ${cell.opsPerSecond.toFixed(0)}/s, CPU ${cell.cpuMs.toFixed(2)} ms`,
          );
          if (!plan.quick) await delay(server.spec.settleMs);
        }
      }
    }
    for (const server of up) (round.servers[server.spec.id] as ServerRound).loaded = treeRows(server.rootPid);
    return round;
  } finally {
    for (const server of up) await server.stop();
  }
}
