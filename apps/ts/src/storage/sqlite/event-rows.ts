import type { EventRow } from "#core/runs/repository";
import { packsOf } from "../common/event-packs.ts";
import type { Connection } from "./connection.ts";

/** Appends to the log of a thread. A pack that is there already is kept: the same append may arrive twice. */
export function insertEvents(connection: Connection, thread: number, rows: readonly EventRow[]): void {
  const insert = connection.sql(
    "insert into run_events (thread, epoch, n, at, run_id, data) values (?, ?, ?, ?, ?, ?) " +
      "on conflict (thread, epoch, n) do update set data = excluded.data where length(excluded.data) > length(data)",
  );
  for (const { epoch, n, at, run_id, data } of packsOf(rows)) insert.run(thread, epoch, n, at, run_id, data);
}
