import type { StorageTotals } from "#core/gauges";
import type { RunStatus } from "#schemas/runs";
import type { Connection } from "./connection.ts";

/** How much there is, over all tenants; threads of stateless runs do not count. */
export function sqliteTotals(connection: Connection): StorageTotals {
  const count = (from: string) =>
    connection.sql(`select count(*) as total from ${from}`).get<{ total: number }>()?.total ?? 0;
  const runs = connection
    .sql("select status, count(*) as total from runs group by status")
    .all<{ status: RunStatus; total: number }>();
  return {
    assistants: count("assistants"),
    threads: count("threads where hidden = 0"),
    runs: Object.fromEntries(runs.map(({ status, total }) => [status, total])),
  };
}
