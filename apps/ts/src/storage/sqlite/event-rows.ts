import type { EventRow } from "#core/runs/repository";
import type { Connection } from "./connection.ts";

/** Appends to the log of a thread. A row that is there already is kept: the same append may arrive twice after a crash. */
export function insertEvents(connection: Connection, thread: number, rows: readonly EventRow[]): void {
  const insert = connection.sql(
    "insert into run_events (thread, epoch, n, at, run_id, ns, mode, data) values (?, ?, ?, ?, ?, ?, ?, ?) " +
      "on conflict (thread, epoch, n) do nothing",
  );
  for (const row of rows) insert.run(thread, row.epoch, row.n, row.at, row.run_id, row.ns, row.mode, row.data);
}
