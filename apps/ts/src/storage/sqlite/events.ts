import type { EventRow } from "#core/runs/repository";
import type { EventRepository, RunNews } from "#core/streams/repository";
import { EventPage, type PackRow, type Wanted } from "../common/event-packs.ts";
import { threadInScope } from "./checkpoint-rows.ts";
import type { Connection } from "./connection.ts";

const SELECT = "select epoch, n, at, run_id, data from run_events where thread = ?1 and (epoch, n) > (?2, ?3) ";
/** Packs of one statement: a pack is as large as a flush, and a reader may want a few of its events. */
const PACKS = 4;
const PAGE = `order by epoch, n limit ${PACKS}`;

interface Place {
  epoch: number;
  n: number;
}

/** Bounds of the epochs to look at, and whose events to take. */
interface Span {
  run_id: string | undefined;
  first: number;
  last: number;
}

export function sqliteEvents(connection: Connection): EventRepository {
  function spanOf(thread: number, runId: string | undefined): Span | undefined {
    if (runId === undefined) return { run_id: undefined, first: -1, last: Number.MAX_SAFE_INTEGER };
    // The run's attempts lie in these epochs: older logs of the thread are not even looked at.
    const row = connection
      .sql("select first_epoch as first, epoch as last from runs where run_id = ? and thread = ?")
      .get<{ first: number; last: number }>(runId, thread);
    return row && { run_id: runId, ...row };
  }

  /** Where the pack begins that may hold the event after `after`: what is older is not read. */
  function beforeFirst(thread: number, span: Span, after: Place): Place {
    if (after.epoch < span.first) return { epoch: span.first, n: -1 };
    const pack = connection
      .sql("select n from run_events where thread = ? and epoch = ? and n <= ? order by n desc limit 1")
      .get<{ n: number }>(thread, after.epoch, after.n);
    return { epoch: after.epoch, n: pack === undefined ? -1 : pack.n - 1 };
  }

  function packs(thread: number, span: Span, seen: Place): PackRow[] {
    if (span.run_id === undefined) return connection.sql(SELECT + PAGE).all<PackRow>(thread, seen.epoch, seen.n);
    return connection
      .sql(`${SELECT}and epoch <= ?4 and run_id = ?5 ${PAGE}`)
      .all<PackRow>(thread, seen.epoch, seen.n, span.last, span.run_id);
  }

  function rowsOf(thread: number, span: Span, wanted: Wanted): EventRow[] {
    const page = new EventPage(wanted);
    let seen: Place | undefined = beforeFirst(thread, span, wanted.after);
    while (seen !== undefined && !page.full) {
      const some = packs(thread, span, seen);
      for (const pack of some) page.add(pack);
      seen = some.length === PACKS ? some[some.length - 1] : undefined;
    }
    return page.rows;
  }

  function newsOf(run: { thread_id: string; run_id: string; after: Place }, limit: number): RunNews {
    const { run_id, after } = run;
    const row = connection
      .sql(
        "select r.thread, r.ended_at is not null as over, r.first_epoch as first, r.epoch as last from runs r " +
          "join threads t on t.id = r.thread where r.run_id = ? and t.thread_id = ?",
      )
      .get<{ thread: number; over: number; first: number; last: number }>(run_id, run.thread_id);
    if (row === undefined) return { run_id, over: true, rows: [], more: false };
    const { thread, over, first, last } = row;
    const rows = rowsOf(
      thread,
      { run_id, first, last },
      { after, modes: undefined, limit: limit + 1, bytes: Infinity },
    );
    return { run_id, over: over === 1, rows: rows.slice(0, limit), more: rows.length > limit };
  }

  return {
    read: async (scope, query) =>
      connection.read(() => {
        const thread = threadInScope(connection, scope, query.thread_id);
        const span = thread === undefined ? undefined : spanOf(thread, query.run_id);
        if (thread === undefined || span === undefined) return [];
        const { after = { epoch: -1, n: -1 }, modes, limit, bytes = Infinity } = query;
        return rowsOf(thread, span, { after, modes, limit, bytes });
      }),

    news: async (runs, limit) => connection.read(() => runs.map((run) => newsOf(run, limit))),
  };
}
