import type { StorageTotals } from "#core/gauges";
import type { RunStatus } from "#schemas/runs";
import type { Database } from "./database.ts";

/** How much there is, over all tenants; threads of stateless runs do not count. */
export async function postgresTotals(database: Database): Promise<StorageTotals> {
  const rows = await database.rows<{ what: string; total: number }>(
    "select 'assistants' as what, count(*) as total from fractal.assistants union all " +
      "select 'threads', count(*) from fractal.threads where not hidden union all " +
      "select status, count(*) from fractal.runs group by status",
  );
  const found = new Map(rows.map(({ what, total }) => [what, total]));
  const [assistants = 0, threads = 0] = [found.get("assistants"), found.get("threads")];
  found.delete("assistants");
  found.delete("threads");
  return { assistants, threads, runs: Object.fromEntries(found) as Partial<Record<RunStatus, number>> };
}
