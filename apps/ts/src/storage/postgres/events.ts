import type { EventRow } from "#core/runs/repository";
import type { EventRepository, RunNews } from "#core/streams/repository";
import { type PackRow, unpack } from "../common/event-packs.ts";
import { passes } from "../common/json-filters.ts";
import { parseObject } from "../common/run-rows.ts";
import { type Database, uuid } from "./database.ts";

/** Packs of one answer: each holds what was flushed together. */
const PACKS = 32;

/**
 * The first pack that may hold an event after ($2, $3): within its epoch the last that begins at or before $3. A run's
 * attempts lie between its first epoch and its last, so older logs of the thread are not even looked at.
 */
const FROM =
  "coalesce((select max(e.n) from fractal.run_events e where e.thread_id = $1 and e.epoch = $2 and e.n <= $3), 0)";

interface Place {
  epoch: number;
  n: number;
}

export function postgresEvents(database: Database): EventRepository {
  return {
    read: async (scope, query) => {
      const { modes, limit } = query;
      const after = query.after ?? { epoch: -1, n: -1 };
      const rows: EventRow[] = [];
      const thread = uuid(query.thread_id);
      const run = query.run_id === undefined ? null : uuid(query.run_id);
      if (query.run_id !== undefined && run === null) return rows;
      let seen: Place | undefined = after;
      for (let first = true; seen !== undefined && rows.length < limit; first = false) {
        const from = first ? FROM : "$3 + 1";
        const packs: (PackRow & { metadata: string })[] = await database.rows(
          `select e.epoch, e.n, e.at, e.run_id, e.data, t.metadata from fractal.threads t ` +
            `join fractal.run_events e using (thread_id) where t.thread_id = $1 and t.tenant = $5 and t.owner = $6 ` +
            `and (e.epoch, e.n) >= ($2, ${from}) ` +
            "and ($4::uuid is null or (e.run_id = $4 and e.epoch >= " +
            "(select r.first_epoch from fractal.runs r where r.run_id = $4))) " +
            `order by e.epoch, e.n limit ${PACKS}`,
          [thread, seen.epoch, seen.n, run, scope.tenant, scope.owner],
        );
        if (packs.length > 0 && !passes(scope.filters, parseObject((packs[0] as { metadata: string }).metadata)))
          return rows;
        for (const pack of packs) unpack(pack, { after, modes, limit }, rows);
        seen = packs.length === PACKS ? packs[packs.length - 1] : undefined;
      }
      return rows;
    },

    news: async (runs, limit) => {
      if (runs.length === 0) return [];
      const found = await database.rows<{ i: number; status: string | null; packs: string | null }>(NEWS, [
        runs.map((run) => uuid(run.thread_id)),
        runs.map((run) => uuid(run.run_id)),
        runs.map((run) => run.after.epoch),
        runs.map((run) => run.after.n),
      ]);
      return found.map(({ i, status, packs }) =>
        newsOf(runs[i - 1] as (typeof runs)[number], { status, packs, limit }),
      );
    },
  };
}

/**
 * One row per run: its status, and its next packs. The status is read first (a subquery of the row that the packs hang on
 * to sees the same snapshot), so a run that is over has told everything.
 */
const NEWS = `
select q.i::integer as i, r.status, p.packs
from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[]) with ordinality as q (thread_id, run_id, epoch, n, i)
left join fractal.runs r on r.run_id = q.run_id and r.thread_id = q.thread_id
left join lateral (
  select json_agg(json_build_object('epoch', x.epoch, 'n', x.n, 'at', x.at, 'run_id', x.run_id, 'data', x.data)) as packs
  from (
    select e.epoch, e.n, e.at, e.run_id, e.data from fractal.run_events e
    where e.thread_id = q.thread_id and e.run_id = q.run_id and e.epoch >= r.first_epoch
      and (e.epoch, e.n) >= (q.epoch, coalesce(
        (select max(b.n) from fractal.run_events b where b.thread_id = q.thread_id and b.epoch = q.epoch and b.n <= q.n), 0))
    order by e.epoch, e.n limit ${PACKS}
  ) x
) p on true
order by q.i`;

function newsOf(
  asked: { run_id: string; after: Place },
  found: { status: string | null; packs: string | null; limit: number },
): RunNews {
  const packs = found.packs === null ? [] : (JSON.parse(found.packs) as PackRow[]);
  const rows: EventRow[] = [];
  // One more than asked for, to know whether there is more.
  for (const pack of packs) unpack(pack, { after: asked.after, modes: undefined, limit: found.limit + 1 }, rows);
  const more = rows.length > found.limit || packs.length === PACKS;
  const over = found.status === null || (found.status !== "pending" && found.status !== "running");
  return { run_id: asked.run_id, over, rows: rows.slice(0, found.limit), more };
}
