import type { Encoded, StoredCheckpoint, WriteRow } from "#core/checkpoints/repository";
import { readValues } from "../common/checkpoint-columns.ts";

/**
 * Checkpoints, blobs and writes come as the rows of one statement (bytes in an array or in JSON would be read far more
 * slowly). `kind` says what a row is, and which of the columns it has.
 */
export const CHECKPOINT = 0;
export const BLOB = 1;
export const WRITE = 2;

export interface PartRow {
  kind: number;
  ns: string;
  checkpoint_id: string | null;
  /** Order within the kind. */
  pos: number;
  /** Of a checkpoint the parent's id, of a blob its channel, of a write its task. */
  a: string | null;
  /** Of a checkpoint its metadata, of a blob its version, of a write its task's path. */
  b: string | null;
  /** Of a checkpoint the JSON of its blobs, of a write its channel. */
  c: string | null;
  /** Of a checkpoint its JSON, of a value its type. */
  d: string | null;
  idx: number | null;
  epoch: number | null;
  run_id: string | null;
  /** Null in a light page where it is large. */
  value: Uint8Array;
  /** Bytes of the value. */
  size: number;
}

/** Select lists of the three kinds, in the order of PartRow. */
export const CHECKPOINT_PART =
  `select ${CHECKPOINT} as kind, k.ns, k.checkpoint_id, k.pos, k.parent_id as a, k.metadata as b, k.blobs::text as c, ` +
  "k.checkpoint as d, null::integer as idx, k.epoch, k.run_id, k.inline as value, octet_length(k.inline) as size";
export const BLOB_PART = `select ${BLOB}, b.ns, null, 0, b.channel, b.version, null, b.type, null, null::bigint, null::uuid, b.value, octet_length(b.value)`;
export const WRITE_PART =
  `select ${WRITE}, w.ns, w.checkpoint_id, row_number() over (order by w.task_path, w.task_id, w.idx), w.task_id, ` +
  "w.task_path, w.channel, w.type, w.idx, w.epoch, w.run_id, w.value, octet_length(w.value)";

/**
 * The blob that `at` refers to (ns, key: its channel, value: its version). "offset 0" makes it one look into the index
 * each; the planner would rather read all blobs of the thread.
 */
export function blobOf(at: string): string {
  return (
    "lateral (select b.* from fractal.checkpoint_blobs b where b.thread_id = $1 " +
    `and b.ns = ${at}.ns and b.channel = ${at}.key and b.version = ${at}.value offset 0) b`
  );
}

/** The rows of a page with their place in it. */
export function numbered(page: string): string {
  return `select c.*, row_number() over () as pos from (${page}) c`;
}

/** Larger values may be left out at first. */
const LIGHT = 65_536;

/**
 * One statement: the page of checkpoints (of thread $1, with their `pos`), the blobs they share but for `known`, and of
 * each write the one of the highest epoch. `light`: without the values that are large.
 */
export function partsOf(page: string, how: { light?: boolean; known?: string } = {}): string {
  const part = (text: string, value: string) =>
    how.light === true
      ? text.replace(`, ${value},`, `, case when octet_length(${value}) <= ${LIGHT} then ${value} end,`)
      : text;
  return `
with page as materialized (${page})
${CHECKPOINT_PART} from page k
union all
${part(BLOB_PART, "b.value")} from (select distinct page.ns, j.key, j.value from page, json_each_text(page.blobs) j) r,
  ${blobOf("r")}${how.known === undefined ? "" : ` where not exists (${how.known})`}
union all
${part(WRITE_PART, "w.value")} from (
  select distinct on (w.ns, w.checkpoint_id, w.task_id, w.idx) w.* from page
    join fractal.checkpoint_writes w on w.thread_id = $1 and w.ns = page.ns and w.checkpoint_id = page.checkpoint_id
  order by w.ns, w.checkpoint_id, w.task_id, w.idx, w.epoch desc) w`;
}

/** Checkpoints with their values and writes, in the order of their `pos`. */
export function toStored(threadId: string, parts: readonly PartRow[]): StoredCheckpoint[] {
  const blobs = new Map<string, Encoded>();
  const writes = new Map<string, PartRow[]>();
  const checkpoints: PartRow[] = [];
  for (const part of parts) {
    if (part.kind === CHECKPOINT) checkpoints.push(part);
    else if (part.kind === BLOB) blobs.set(`${part.ns}\n${part.a}\n${part.b}`, encodedOf(part));
    else {
      const key = placeOf(part);
      const others = writes.get(key);
      if (others === undefined) writes.set(key, [part]);
      else others.push(part);
    }
  }
  return checkpoints.sort(byPosition).map((part) => {
    const { damage, ...stored } = readValues({ inline: part.value, blobs: part.c as string });
    return {
      row: {
        thread_id: threadId,
        checkpoint_ns: part.ns,
        checkpoint_id: part.checkpoint_id as string,
        parent_checkpoint_id: part.a,
        checkpoint: part.d as string,
        metadata: part.b as string,
        ...stored,
        run_id: part.run_id,
        epoch: part.epoch as number,
      },
      values: valuesOf(part.ns, stored.blobs, blobs),
      writes: (writes.get(placeOf(part)) ?? []).sort(byPosition).map((write) => toWrite(threadId, write)),
      damage,
    };
  });
}

/** The reader says what is missing; other checkpoints are read all the same. */
function valuesOf(
  ns: string,
  versions: Record<string, string>,
  blobs: ReadonlyMap<string, Encoded>,
): Record<string, Encoded> {
  const values: Record<string, Encoded> = {};
  for (const [channel, version] of Object.entries(versions)) {
    const value = blobs.get(`${ns}\n${channel}\n${version}`);
    if (value !== undefined) values[channel] = value;
  }
  return values;
}

export function toWrite(threadId: string, part: PartRow): WriteRow {
  return {
    thread_id: threadId,
    checkpoint_ns: part.ns,
    checkpoint_id: part.checkpoint_id as string,
    task_id: part.a as string,
    idx: part.idx as number,
    epoch: part.epoch as number,
    run_id: part.run_id,
    task_path: part.b as string,
    channel: part.c as string,
    value: encodedOf(part),
  };
}

export function encodedOf(part: PartRow): Encoded {
  return { type: part.d as string, bytes: part.value };
}

export function byPosition(a: PartRow, b: PartRow): number {
  return a.pos - b.pos;
}

function placeOf(part: PartRow): string {
  return `${part.ns}\n${part.checkpoint_id}`;
}
