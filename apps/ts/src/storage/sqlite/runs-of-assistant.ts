import type { AuthScope } from "#core/identity/scope";
import { allowed } from "../common/json-filters.ts";
import type { Connection } from "./connection.ts";

/** Rows that one turn of the event loop goes through. */
const PIECE = 2_000;

/** Nothing leads from an assistant to its runs: an index on them would cost every run, and this is rare. */
export async function removeRunsOfAssistant(
  connection: Connection,
  scope: AuthScope,
  assistantId: string,
): Promise<number> {
  const last =
    (await connection.read(() => connection.sql("select max(seq) as last from runs").get<{ last: number | null }>()))
      ?.last ?? 0;
  let removed = 0;
  for (let from = 0; from < last; from += PIECE) {
    removed += await connection.write(() => removePiece(connection, scope, { assistantId, from, to: from + PIECE }));
  }
  return removed;
}

interface Ended {
  seq: number;
  thread: number;
  run_id: string;
  epoch: number;
  first_epoch: number;
  metadata: string;
}

function removePiece(
  connection: Connection,
  scope: AuthScope,
  { assistantId, from, to }: { assistantId: string; from: number; to: number },
): number {
  const ended = connection
    .sql(
      "select r.seq, r.thread, r.run_id, r.epoch, r.first_epoch, t.metadata from runs r join threads t on t.id = r.thread " +
        "where r.seq > ? and r.seq <= ? and r.assistant_id = ? and r.tenant = ? and r.owner = ? " +
        "and r.status not in ('pending', 'running')",
    )
    .all<Ended>(from, to, assistantId, scope.tenant, scope.owner)
    .filter(({ metadata }) => allowed(scope, metadata));
  for (const { seq, thread, run_id, epoch, first_epoch } of ended) {
    connection
      .sql("delete from run_events where thread = ? and epoch between ? and ? and run_id = ?")
      .run(thread, first_epoch, epoch, run_id);
    connection.sql("delete from runs where seq = ?").run(seq);
  }
  return ended.length;
}
