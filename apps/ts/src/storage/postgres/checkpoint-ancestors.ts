import type { Encoded, WriteRow } from "#core/checkpoints/repository";
import type { AuthScope } from "#core/identity/scope";
import { readValues } from "../common/checkpoint-columns.ts";
import {
  BLOB,
  BLOB_PART,
  blobOf,
  byPosition,
  CHECKPOINT,
  CHECKPOINT_PART,
  encodedOf,
  type PartRow,
  toWrite,
  WRITE,
  WRITE_PART,
} from "./checkpoint-rows.ts";
import type { Database } from "./database.ts";
import { IN_SCOPE, seenParams } from "./thread-rows.ts";

type Histories = Record<string, { writes: WriteRow[]; seed: Encoded | undefined }>;

/**
 * Ancestors of a checkpoint, nearest first (`pos` is the distance), up to $8 of them; what they refer to of the channels
 * $7: their writes, and of each channel the nearest blob, its distance in place of an epoch.
 */
const CLIMB = `
with recursive up as (
  select c.*, 0 as pos from fractal.threads t join fractal.checkpoints c on c.thread_id = t.thread_id
    where ${IN_SCOPE} and c.ns = $5 and c.checkpoint_id = $6
  union all
  select c.*, up.pos + 1 from up join fractal.checkpoints c
    on c.thread_id = up.thread_id and c.ns = up.ns and c.checkpoint_id = up.parent_id where up.pos < $8),
above as materialized (select * from up where pos > 0)
${CHECKPOINT_PART} from above k
union all
${BLOB_PART.replace("null::bigint", "b.pos")} from (
  select distinct on (r.key) b.*, r.pos from (select above.ns, above.pos, j.key, j.value
    from above, json_each_text(above.blobs) j where j.key = any ($7::text[])) r, ${blobOf("r")}
  order by r.key, r.pos) b
union all
${WRITE_PART} from (
  select distinct on (w.checkpoint_id, w.task_id, w.idx) w.* from above
    join fractal.checkpoint_writes w on w.thread_id = above.thread_id and w.ns = above.ns
      and w.checkpoint_id = above.checkpoint_id
  order by w.checkpoint_id, w.task_id, w.idx, w.epoch desc) w where w.channel = any ($7)`;

/** How many ancestors are read at first, and in each statement after it. */
const FIRST = 20;
const STEP = 200;

interface History {
  newestFirst: WriteRow[];
  seed: Encoded | undefined;
}

/**
 * `CheckpointRepository.ancestors`: from the parent of the checkpoint upwards. The writes that stand on an ancestor come
 * after the value that it stores, so both are taken from the ancestor that ends the walk of a channel.
 */
export async function ancestorsOf(
  database: Database,
  scope: AuthScope,
  query: { thread_id: string; checkpoint_ns: string; checkpoint_id: string; channels: string[] },
): Promise<Histories> {
  const found = new Map<string, History>(query.channels.map((name) => [name, { newestFirst: [], seed: undefined }]));
  const remaining = new Map(found);
  let from: string | null = query.checkpoint_id;
  for (let step = FIRST; from !== null && remaining.size > 0; step = STEP) {
    const place = [...seenParams(scope, query.thread_id), query.checkpoint_ns, from];
    const parts: PartRow[] = await database.rows<PartRow>(CLIMB, [...place, [...remaining.keys()], step]);
    const ancestors = parts.filter((part) => part.kind === CHECKPOINT).sort(byPosition);
    for (const ancestor of ancestors) climb(query.thread_id, { ancestor, parts, remaining });
    from = ancestors.length < step ? null : (ancestors.at(-1)?.checkpoint_id ?? null);
  }
  return Object.fromEntries(
    [...found].map(([channel, { newestFirst, seed }]) => [channel, { writes: newestFirst.reverse(), seed }]),
  );
}

function climb(
  threadId: string,
  at: { ancestor: PartRow; parts: readonly PartRow[]; remaining: Map<string, History> },
): void {
  const { ancestor, parts, remaining } = at;
  const writes = parts.filter((part) => part.kind === WRITE && part.checkpoint_id === ancestor.checkpoint_id);
  for (const write of writes.sort(byPosition).reverse()) {
    remaining.get(write.c as string)?.newestFirst.push(toWrite(threadId, write));
  }
  const { inline } = readValues({ inline: ancestor.value, blobs: "{}" });
  for (const [channel, history] of remaining) {
    const blob = parts.find((part) => part.kind === BLOB && part.a === channel && part.epoch === ancestor.pos);
    if (blob !== undefined) history.seed = encodedOf(blob);
    else if (Object.hasOwn(inline, channel)) history.seed = inline[channel];
    if (history.seed !== undefined) remaining.delete(channel);
  }
}
