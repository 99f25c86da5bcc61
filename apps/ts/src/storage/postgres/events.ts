import type { EventRepository, RunNews } from "#core/streams/repository";
import { EventPage, type PackRow } from "../common/event-packs.ts";
import { passes } from "../common/json-filters.ts";
import { parseObject } from "../common/run-rows.ts";
import { type Database, uuid } from "./database.ts";

/** Packs of one answer, each holds what was flushed together; and bytes, as they are stored, after which none is added. */
const PACKS = 32;
const BYTES = 256 * 1024;

/** Of the packs `e`: as many from the first on as it takes to have that many bytes. */
function upTo(bytes: string, packs: string): string {
  return (
    "select w.* from (select e.*, octet_length(e.data) as size, sum(octet_length(e.data)) over " +
    "(order by e.epoch, e.n rows between unbounded preceding and 1 preceding) as before " +
    `from (${packs}) e) w where coalesce(w.before, 0) < ${bytes}`
  );
}

/**
 * The first pack that may hold an event after ($2, $3): within its epoch the last that begins at or before $3. A run's
 * attempts lie between its first epoch and its last, so older logs of the thread are not even looked at.
 */
const FROM =
  "coalesce((select max(e.n) from fractal.run_events e where e.thread_id = $1 and e.epoch = $2 and e.n <= $3), 0)";

/** Largest number of an event. A client may ask for what comes after a larger one, and no event does. */
const MAX_N = 2 ** 31 - 1;

interface Place {
  epoch: number;
  n: number;
}

/** With its size as it is stored. */
type Pack = PackRow & { size: number };

/** Whether there may be more packs than those, of which no more than so many were asked for. */
function mayGoOn(packs: readonly Pack[], most: { packs: number; bytes: number }): boolean {
  return packs.length === most.packs || packs.reduce((sum, { size }) => sum + size, 0) >= most.bytes;
}

const READ_FROM = readPacks(FROM);
const READ_ON = readPacks("$3 + 1");

/** $1 thread, $2 and $3 place, $4 run or null, $5 and $6 scope, $7 packs, $8 bytes. */
function readPacks(from: string): string {
  const packs =
    "select e.epoch, e.n, e.at, e.run_id, e.data, t.metadata from fractal.threads t " +
    "join fractal.run_events e using (thread_id) where t.thread_id = $1 and t.tenant = $5 and t.owner = $6 " +
    `and (e.epoch, e.n) >= ($2, ${from}) and ($4::uuid is null or (e.run_id = $4 and e.epoch >= ` +
    "(select r.first_epoch from fractal.runs r where r.run_id = $4))) order by e.epoch, e.n limit $7";
  return `${upTo("$8", packs)} order by w.epoch, w.n`;
}

export function postgresEvents(database: Database): EventRepository {
  return {
    read: async (scope, query) => {
      const { modes, limit, bytes = Number.MAX_SAFE_INTEGER } = query;
      const after = query.after ?? { epoch: -1, n: -1 };
      const page = new EventPage({ after, modes, limit, bytes });
      const most = { packs: Math.min(PACKS, limit), bytes: Math.min(BYTES, bytes) };
      const thread = uuid(query.thread_id);
      const run = query.run_id === undefined ? null : uuid(query.run_id);
      if (query.run_id !== undefined && run === null) return [];
      let seen: Place | undefined = after;
      for (let first = true; seen !== undefined && !page.full; first = false) {
        const { tenant, owner } = scope;
        const packs: (Pack & { metadata: string })[] = await database.rows(first ? READ_FROM : READ_ON, [
          ...[thread, seen.epoch, Math.min(seen.n, MAX_N), run, tenant, owner],
          ...[most.packs, most.bytes],
        ]);
        if (packs.length > 0 && !passes(scope.filters, parseObject((packs[0] as { metadata: string }).metadata)))
          return [];
        for (const pack of packs) page.add(pack);
        seen = mayGoOn(packs, most) ? packs[packs.length - 1] : undefined;
      }
      return page.rows;
    },

    news: async (runs, limit) => {
      if (runs.length === 0) return [];
      const found = await database.rows<{ i: number; status: string | null; packs: string | null }>(NEWS, [
        runs.map((run) => uuid(run.thread_id)),
        runs.map((run) => uuid(run.run_id)),
        runs.map((run) => run.after.epoch),
        runs.map((run) => Math.min(run.after.n, MAX_N)),
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
  select json_agg(json_build_object(
    'epoch', x.epoch, 'n', x.n, 'at', x.at, 'run_id', x.run_id, 'data', x.data, 'size', x.size)) as packs
  from (${upTo(
    String(BYTES),
    `select e.epoch, e.n, e.at, e.run_id, e.data from fractal.run_events e
    where e.thread_id = q.thread_id and e.run_id = q.run_id and e.epoch >= r.first_epoch
      and (e.epoch, e.n) >= (q.epoch, coalesce(
        (select max(b.n) from fractal.run_events b where b.thread_id = q.thread_id and b.epoch = q.epoch and b.n <= q.n), 0))
    order by e.epoch, e.n limit ${PACKS}`,
  )} order by w.epoch, w.n) x
) p on true
order by q.i`;

function newsOf(
  asked: { run_id: string; after: Place },
  found: { status: string | null; packs: string | null; limit: number },
): RunNews {
  const packs = found.packs === null ? [] : (JSON.parse(found.packs) as Pack[]);
  // One more than asked for, to know whether there is more.
  const page = new EventPage({ after: asked.after, modes: undefined, limit: found.limit + 1, bytes: Infinity });
  for (const pack of packs) page.add(pack);
  const { rows } = page;
  const more = rows.length > found.limit || mayGoOn(packs, { packs: PACKS, bytes: BYTES });
  const over = found.status === null || (found.status !== "pending" && found.status !== "running");
  return { run_id: asked.run_id, over, rows: rows.slice(0, found.limit), more };
}
