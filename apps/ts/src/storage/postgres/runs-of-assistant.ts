import type { AuthScope } from "#core/identity/scope";
import { required } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";

/** Rows that one statement goes through. */
const PIECE = 20_000;

/** Events of a run lie in the epochs of its attempts. */
const REMOVE =
  "with ended as (select r.seq, r.thread_id, r.run_id, r.first_epoch, r.epoch from fractal.runs r " +
  "join fractal.threads t using (thread_id) where r.seq > $1 and r.seq <= $2 and r.assistant_id = $3 and r.tenant = $4 " +
  "and r.owner = $5 and t.metadata @> $6::jsonb and r.status not in ('pending', 'running')), " +
  "silenced as (delete from fractal.run_events e using ended where e.thread_id = ended.thread_id " +
  "and e.epoch between ended.first_epoch and ended.epoch and e.run_id = ended.run_id) " +
  "delete from fractal.runs r using ended where r.seq = ended.seq and r.status not in ('pending', 'running') returning r.seq";

/** Nothing leads from an assistant to its runs: an index on them would cost every run, and this is rare. */
export async function removeRunsOfAssistant(
  database: Database,
  scope: AuthScope,
  assistantId: string,
): Promise<number> {
  const id = uuid(assistantId);
  if (id === null) return 0;
  const bounds = await database.row<{ first: number | null; last: number | null }>(
    "select min(seq) as first, max(seq) as last from fractal.runs",
    [],
  );
  let removed = 0;
  for (let from = (bounds?.first ?? 0) - 1; from < (bounds?.last ?? -1); from += PIECE) {
    const params = [from, from + PIECE, id, scope.tenant, scope.owner, required(scope.filters)];
    removed += (await database.rows(REMOVE, params)).length;
  }
  return removed;
}
