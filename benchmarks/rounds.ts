import { loadavg } from "node:os";
import { type Cell, type Limits, runCell, warmUp } from "./driver/load.ts";
import type { Scenario } from "./driver/scenarios.ts";
import { PostgresCluster } from "./servers/postgres.ts";
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

export type Round = {
  load: number;
  servers: Record<string, ServerRound>;
  /** What did not work, in sentences; its figures are missing. */
  failures: string[];
  /** The PostgreSQL server of this round and its settings. */
  database?: string;
};

export type Plan = {
  servers: readonly ServerSpec[];
  scenarios: readonly Scenario[];
  quick: boolean;
  warmUpSeconds: number;
  limits(clients: number): Limits;
};

export const cellKey = (scenario: string, clients: number): string => `${scenario}@${clients}`;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Up = { server: Spawned; mine: ServerRound; databasePid: number | undefined };

const rowsOf = ({ rootPids }: Spawned): ProcessRow[] => rootPids.flatMap((pid) => treeRows(pid));

/** A server that fails loses the figures of this round, and what others showed stays; the run as a whole has failed. */
async function softly(round: Round, doing: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    round.failures.push(`${doing}: ${(error as Error).message}`);
    return false;
  }
}

/** Started, idle, warmed up. Its statistics are those of a database that has been in use for more than a minute. */
async function bringUp(
  spec: ServerSpec,
  { plan, cluster }: { plan: Plan; cluster: PostgresCluster | undefined },
): Promise<Up> {
  const url = spec.database === true && cluster !== undefined ? await cluster.createDatabase(spec.id) : "";
  const server = await start(spec, url);
  try {
    await settle(server);
    const idle = rowsOf(server);
    const measured = { ...server, databasePid: url === "" ? undefined : cluster?.pid };
    await warmUp(measured, plan.scenarios, plan.warmUpSeconds);
    if (url !== "") await cluster?.query("analyze", new URL(url).pathname.slice(1));
    const mine = { startMs: server.startMs, idle, loaded: [], operations: 0, cells: {} };
    return { server, mine, databasePid: measured.databasePid };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/**
 * One round: every server is started fresh and warmed up, then the measurements go scenario by scenario through all servers in
 * turn, so that a busy minute of the machine hits all of them. While one is measured the others are up and idle.
 */
export async function runRound(plan: Plan, say: (line: string) => void): Promise<Round> {
  const up = new Set<Up>();
  const round: Round = { load: loadavg()[0] as number, servers: {}, failures: [] };
  const cluster = plan.servers.some(({ database }) => database) ? await PostgresCluster.start() : undefined;
  if (cluster !== undefined) round.database = cluster.describe();
  try {
    for (const spec of plan.servers) {
      await softly(round, spec.title, async () => {
        const entry = await bringUp(spec, { plan, cluster });
        up.add(entry);
        round.servers[spec.id] = entry.mine;
        say(`  ${spec.title}: up after ${Math.round(entry.mine.startMs)} ms`);
      });
    }
    for (const scenario of plan.scenarios) {
      for (const clients of scenario.clients) {
        const doing = `${scenario.name} with ${clients} client(s)`;
        for (const entry of up) {
          const { spec } = entry.server;
          const good = await softly(round, `${spec.title}, ${doing}`, async () => {
            const measured = { ...entry.server, databasePid: entry.databasePid };
            const cell = await runCell(measured, { scenario, clients }, plan.limits(clients));
            entry.mine.cells[cellKey(scenario.name, clients)] = cell;
            entry.mine.operations += cell.ops;
            say(
              `  ${doing}, ${spec.id}: p50 ${cell.p50.toFixed(1)} ms, ${cell.opsPerSecond.toFixed(0)}/s, CPU ${cell.cpuMs.toFixed(2)} ms`,
            );
          });
          if (!good) {
            say(`  ${doing}, ${spec.id}: ${round.failures.at(-1)}`);
            up.delete(entry);
            await entry.server.stop();
          } else if (!plan.quick) await delay(spec.settleMs);
        }
      }
    }
    for (const { server, mine } of up) mine.loaded = rowsOf(server);
    return round;
  } finally {
    for (const { server } of up) await server.stop();
    await cluster?.[Symbol.asyncDispose]();
  }
}
