import type { EventRow } from "#core/runs/repository";
import type { EventRepository } from "#core/streams/repository";
import { threadInScope } from "./checkpoint-rows.ts";
import type { Connection } from "./connection.ts";

const SELECT =
  "select epoch, n, run_id, ns, mode, at, data from run_events where thread = ?1 and (epoch, n) > (?2, ?3) " +
  "and (?5 is null or mode in (select value from json_each(?5))) ";
const PAGE = "order by epoch, n limit ?4";

export function sqliteEvents(connection: Connection): EventRepository {
  return {
    read: async (scope, query) =>
      connection.read(() => {
        const thread = threadInScope(connection, scope, query.thread_id);
        if (thread === undefined) return [];
        const { epoch, n } = query.after ?? { epoch: -1, n: -1 };
        const modes = query.modes === undefined ? null : JSON.stringify(query.modes);
        if (query.run_id === undefined) {
          return connection.sql(SELECT + PAGE).all<EventRow>(thread, epoch, n, query.limit, modes);
        }
        const span = connection
          .sql("select first_epoch, epoch from runs where run_id = ? and thread = ?")
          .get<{ first_epoch: number; epoch: number }>(query.run_id, thread);
        if (span === undefined) return [];
        // The run's attempts lie in these epochs: older logs of the thread are not even looked at.
        const from = epoch >= span.first_epoch ? { epoch, n } : { epoch: span.first_epoch, n: -1 };
        return connection
          .sql(`${SELECT}and epoch <= ?6 and run_id = ?7 ${PAGE}`)
          .all<EventRow>(thread, from.epoch, from.n, query.limit, modes, span.epoch, query.run_id);
      }),
  };
}
