import type { CheckpointQuery, CheckpointRepository, StoredCheckpoint } from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import { writerOf } from "../common/checkpoint-columns.ts";
import { ancestorsOf } from "./checkpoint-ancestors.ts";
import { commitBatch, takeBack } from "./checkpoint-commit.ts";
import { listInPieces, type Page, weighPage } from "./checkpoint-pieces.ts";
import { numbered, type PartRow, partsOf, toStored } from "./checkpoint-rows.ts";
import { asJsonb, jsonb, Where } from "./conditions.ts";
import { type Database, uuid } from "./database.ts";
import { IN_SCOPE, seenParams } from "./thread-rows.ts";

/** Hidden threads too: their runs write checkpoints like others. */
const IN_THREAD = `from fractal.threads t join fractal.checkpoints c on c.thread_id = t.thread_id where ${IN_SCOPE}`;

const LOCATE = `select c.ns ${IN_THREAD} and c.checkpoint_id = $5 order by length(c.ns), c.ns limit 1`;

/** In the order of writing; checkpoints of before it was kept have 0, and the order of their ids. */
const NEWEST_FIRST = "order by c.seq desc, c.checkpoint_id desc";

const WRITER = `select c.metadata ${IN_THREAD} and c.ns = $5 ${NEWEST_FIRST} limit 1`;

/** Mostly it is the newest of all, which one look into the index finds; else all of the namespace are gone through. */
const OF_PLACE = "from fractal.checkpoints c where c.thread_id = t.thread_id and c.ns = $5";
const NEWEST_OF_RUN =
  `select coalesce((select case when c.run_id = $6 then c.checkpoint_id end ${OF_PLACE} ${NEWEST_FIRST} limit 1), ` +
  `(select c.checkpoint_id ${OF_PLACE} and c.run_id = $6 ${NEWEST_FIRST} limit 1)) as checkpoint_id from fractal.threads t where ${IN_SCOPE}`;

const INTERRUPTS_OF_RUN =
  "select 1 as found from fractal.threads t join fractal.checkpoint_writes w on w.thread_id = t.thread_id " +
  `where ${IN_SCOPE} and w.ns = $5 and w.checkpoint_id = $6 and w.run_id = $7 and w.channel = '__interrupt__' limit 1`;

/** "" and "assistant:<id>", by jumping through the index from one to the next over what lies below each. */
const SCOPES = `
with recursive seen as materialized (select t.thread_id from fractal.threads t where ${IN_SCOPE}),
step (ns) as (
  select (select c.ns from fractal.checkpoints c where c.thread_id = seen.thread_id and c.ns >= 'assistant:'
    order by c.ns limit 1) from seen
  union all
  select (select c.ns from fractal.checkpoints c where c.thread_id = seen.thread_id and c.ns >= (case
      when strpos(step.ns, '|') = 0 then step.ns || E'\\x01' else split_part(step.ns, '|', 1) || '}' end)
    order by c.ns limit 1) from step, seen where starts_with(step.ns, 'assistant:'))
select '' as ns from seen where exists (select from fractal.checkpoints c where c.thread_id = seen.thread_id and c.ns = '')
union all
select ns from step where starts_with(ns, 'assistant:') and strpos(ns, '|') = 0`;

/** Whoever deletes the whole thread at the same time comes before or after it. */
const LOCK =
  `with seen as materialized (select t.thread_id from fractal.threads t where ${IN_SCOPE}) ` +
  "select from fractal.lanes l join seen on seen.thread_id = l.thread_id for update of l";
const DELETE = `
with seen as materialized (select t.thread_id from fractal.threads t where ${IN_SCOPE}),
writes as (delete from fractal.checkpoint_writes w using seen where w.thread_id = seen.thread_id),
checkpoints as (delete from fractal.checkpoints c using seen where c.thread_id = seen.thread_id)
delete from fractal.checkpoint_blobs b using seen where b.thread_id = seen.thread_id`;

export function postgresCheckpoints(database: Database): CheckpointRepository {
  return {
    commit: (batch) => commitBatch(database, batch),

    get: async (scope, query) => (await listStored(database, scope, { ...query, limit: 1 }))[0],

    list: (scope, query) => listStored(database, scope, query),

    pieces: (scope, query) =>
      listInPieces(database, seenParams(scope, query.thread_id), {
        threadId: query.thread_id,
        limit: query.limit,
        page: (columns) => pageOf(scope, query, columns),
      }),

    weigh: (scope, query) => weighPage(database, pageOf(scope, query, "c.*")),

    locate: async (scope, threadId, checkpointId) => {
      const row = await database.row<{ ns: string }>(LOCATE, [...seenParams(scope, threadId), checkpointId]);
      return row?.ns;
    },

    writer: async (scope, { thread_id, checkpoint_ns }) => {
      const row = await database.row<{ metadata: string }>(WRITER, [...seenParams(scope, thread_id), checkpoint_ns]);
      return row && writerOf(row.metadata);
    },

    scopes: async (scope, threadId) => {
      const rows = await database.rows<{ ns: string }>(SCOPES, seenParams(scope, threadId));
      return rows.map((row) => row.ns);
    },

    newestOfRun: async (scope, query) => {
      const params = [...seenParams(scope, query.thread_id), query.checkpoint_ns, uuid(query.run_id)];
      const row = await database.row<{ checkpoint_id: string | null }>(NEWEST_OF_RUN, params);
      return row?.checkpoint_id ?? undefined;
    },

    interruptsOfRun: async (scope, query) => {
      const { thread_id, checkpoint_ns, checkpoint_id, run_id } = query;
      const params = [...seenParams(scope, thread_id), checkpoint_ns, checkpoint_id, uuid(run_id)];
      return (await database.row(INTERRUPTS_OF_RUN, params)) !== undefined;
    },

    takeBack: (fence, checkpointNs) => takeBack(database, fence, checkpointNs),

    ancestors: (scope, query) => ancestorsOf(database, scope, query),

    deleteThread: (scope, threadId) =>
      database.transaction(async (transaction) => {
        await transaction.rows(LOCK, seenParams(scope, threadId));
        await transaction.rows(DELETE, seenParams(scope, threadId));
      }),
  };
}

/** Condition that `c` was written before the checkpoint `id`, in whichever namespace; of an unknown one the id decides. */
function writtenBefore(id: string): string {
  const edge =
    `(select b.seq from fractal.checkpoints b where b.thread_id = $1 and b.checkpoint_id = ${id} ` +
    "order by length(b.ns), b.ns limit 1)";
  return (
    `c.seq <= coalesce(${edge}, 9223372036854775807) and ` +
    `(c.seq < ${edge} or c.checkpoint_id < ${id} and c.seq = coalesce(${edge}, c.seq))`
  );
}

function whereOf(scope: AuthScope, query: CheckpointQuery): Where {
  return new Where([IN_SCOPE], seenParams(scope, query.thread_id))
    .and(query.checkpoint_ns, (p) => `c.ns = ${p}`)
    .and(query.checkpoint_id, (p) => `c.checkpoint_id = ${p}`)
    .and(query.before, writtenBefore)
    .and(query.filter && jsonb(query.filter), (p) => `${asJsonb("c.metadata")} @> ${p}::jsonb`);
}

/** The page of checkpoints as a statement with these columns of `fractal.checkpoints c`. */
function pageOf(scope: AuthScope, query: CheckpointQuery, columns: string): Page {
  const where = whereOf(scope, query);
  // One is said in the text: with any limit possible the general plan looks dear, and each read would be planned anew.
  const limit = query.limit === 1 ? "1" : where.add(query.limit ?? null);
  const text =
    `select ${columns} from fractal.threads t join fractal.checkpoints c on c.thread_id = t.thread_id where ${where.text} ` +
    `${NEWEST_FIRST}, c.ns limit ${limit}`;
  return { text, params: where.params };
}

async function listStored(database: Database, scope: AuthScope, query: CheckpointQuery): Promise<StoredCheckpoint[]> {
  const page = pageOf(scope, query, "c.*");
  return toStored(query.thread_id, await database.rows<PartRow>(partsOf(numbered(page.text)), page.params));
}
