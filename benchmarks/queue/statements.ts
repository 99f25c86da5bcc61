import { runCell } from "../driver/load.ts";
import { SCENARIOS } from "../driver/scenarios.ts";
import { OURS_POSTGRES } from "../servers/catalogue.ts";
import { PostgresCluster } from "../servers/postgres.ts";
import { start } from "../servers/spawned.ts";

const CASES = [
  { name: "wait", clients: 1, runs: 200 },
  { name: "wait-tool", clients: 1, runs: 200 },
  { name: "stream", clients: 1, runs: 100 },
  { name: "wait", clients: 25, runs: 1000 },
  { name: "wait-tool", clients: 16, runs: 800 },
] as const;

type Row = { top: boolean; calls: number; mean: number; total: number; blocks: number; query: string };

/** By time; `blocks`: pages looked at per call, which shows a plan that reads a whole table. */
const STATEMENTS = `
select toplevel as top, calls::float8 as calls, mean_exec_time as mean, total_exec_time as total,
  ((shared_blks_hit + shared_blks_read) / calls)::float8 as blocks, regexp_replace(query, '\\s+', ' ', 'g') as query
from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
  and query not like '%pg_stat_statements%' order by toplevel desc, total_exec_time desc`;

/** What a statement is called in the table: its function, or how it begins. */
function nameOf({ query }: Row): string {
  const call = /fractal\.(\w+_v1)\(/.exec(query)?.[1];
  const from = /\bfrom (fractal\.\w+ \w+ (?:where|join))/.exec(query)?.[1];
  const start = query.slice(0, from === undefined ? 90 : 40).replaceAll("|", "\\|");
  return call ?? (from === undefined ? start : `${start} ... from ${from} ...`);
}

function tableOf(rows: readonly Row[], runs: number): string[] {
  return rows
    .filter(({ calls, total }) => calls / runs > 0.05 || total / runs > 0.005)
    .map(
      (row) =>
        `| ${row.top ? "" : "- "}${nameOf(row)} | ${(row.calls / runs).toFixed(2)} | ${row.mean.toFixed(3)} | ${(row.total / runs).toFixed(3)} | ${row.blocks.toFixed(0)} |`,
    );
}

/**
 * Which statements one run of a server on PostgreSQL sends, by pg_stat_statements: first those of the client, then those inside
 * the functions. Counting costs the database some microseconds per statement, so the times are no measurement of a run.
 */
export async function tellStatements(say: (line: string) => void): Promise<string> {
  await using cluster = await PostgresCluster.start({
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.track": "all",
  });
  const url = await cluster.createDatabase("statements");
  const database = new URL(url).pathname.slice(1);
  await cluster.query("create extension pg_stat_statements", database);
  const server = await start(OURS_POSTGRES, url);
  const lines: string[] = [];
  try {
    const measured = { ...server, databasePid: cluster.pid };
    for (const { name, clients, runs } of [{ name: "wait-tool", clients: 25, runs: 500 }, ...CASES]) {
      say(`  ${name}, ${clients} client(s)`);
      const scenario = SCENARIOS.find((each) => each.name === name);
      if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
      await cluster.query("select pg_stat_statements_reset()", database);
      const limits = { minSeconds: 0, maxSeconds: 60, minOps: runs };
      const cell = await runCell(measured, { scenario, clients }, limits);
      const rows = await cluster.query<Row>(STATEMENTS, database);
      lines.push(
        `### ${name}, ${clients} client(s): ${cell.opsPerSecond.toFixed(0)} runs/s, CPU ${cell.cpuMs.toFixed(2)} ms, PostgreSQL's ${cell.databaseMs.toFixed(2)} ms`,
        "",
        "| statement (- inside a function) | calls per run | ms each | ms per run | pages each |",
        "| --- | ---: | ---: | ---: | ---: |",
        // One more than was counted: the first operation is outside the measurement.
        ...tableOf(rows, cell.ops + 1),
        "",
      );
    }
  } finally {
    await server.stop();
  }
  return lines.join("\n");
}
