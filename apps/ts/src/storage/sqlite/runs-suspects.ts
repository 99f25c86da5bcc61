import type { ClaimRequest, RunRecord } from "#core/runs/repository";
import type { Connection } from "./connection.ts";
import { take } from "./runs-claim.ts";

/** Heads that are suspects. `ready`: it has waited so long that any worker may claim it. */
const SUSPECTS = "from lanes where suspect_seq = head_seq and ready = 0 ";

/** `RunRepository.claimSuspects`, inside a transaction; the worker may claim. */
export function claimSuspects(connection: Connection, request: ClaimRequest): RunRecord[] {
  const { worker_id, slots } = request;
  const graphs = JSON.stringify(request.graphs);
  if (connection.sql("select 1 from lanes where worker = ? and active_seq is not null limit 1").get(worker_id)) {
    return [];
  }
  const due = `${SUSPECTS}and suspect_at <= ?1 and head_at > ?1 and head_graph in (select value from json_each(?2)) `;
  const now = connection.now();
  const first = connection
    .sql(`select suspect_group as name ${due}order by head_seq limit 1`)
    .get<{ name: string }>(now, graphs);
  if (first === undefined) return [];
  return connection
    .sql(`select thread, head_seq ${due}and suspect_group = ?3 order by head_seq limit ?4`)
    .all<{ thread: number; head_seq: number }>(now, graphs, first.name, slots)
    .map((head) => take(connection, worker_id, head));
}

/** `RunRepository.clearSuspects`. */
export function clearSuspects(connection: Connection, workerId: string): number {
  return connection
    .sql(
      "update runs set quarantine = null, quarantine_until = null where status = 'running' and quarantine is not null " +
        "and seq in (select active_seq from lanes where worker = ?) returning seq",
    )
    .all(workerId).length;
}

/** How long the first suspect has waited, ms; negative: it is not due yet. */
export function suspectsWait(connection: Connection, graphs: readonly string[]): number | undefined {
  const first = connection
    .sql(`select min(suspect_at) as at ${SUSPECTS}and head_graph in (select value from json_each(?))`)
    .get<{ at: number | null }>(JSON.stringify(graphs));
  return first?.at == null ? undefined : connection.now() - first.at;
}
