import { cut, PIECE } from "#core/checkpoints/pieces";
import type { StoredCheckpoint } from "#core/checkpoints/repository";
import type { Page as Piece } from "#schemas/common";
import {
  BLOB,
  blobOf,
  byPosition,
  CHECKPOINT,
  numbered,
  type PartRow,
  partsOf,
  toStored,
  WRITE,
} from "./checkpoint-rows.ts";
import type { Database } from "./database.ts";
import { IN_SCOPE } from "./thread-rows.ts";

/** A statement that gives a page of checkpoints. */
export interface Page {
  text: string;
  params: unknown[];
}

export interface Listing {
  threadId: string;
  limit: number | undefined;
  page(columns: string): Page;
}

/** Checkpoints $5 (namespaces) and $6 (ids), in their order. */
const NAMED =
  "select c.*, i.pos from unnest($5::text[], $6::text[]) with ordinality i (ns, checkpoint_id, pos) " +
  "join fractal.checkpoints c on c.thread_id = $1 and c.ns = i.ns and c.checkpoint_id = i.checkpoint_id " +
  `where exists (select from fractal.threads t where ${IN_SCOPE})`;
const NAMED_LIGHT = partsOf(NAMED, { light: true });
/** Without the blobs $7 (namespaces), $8 (channels), $9 (versions). */
const NAMED_WHOLE = partsOf(NAMED, {
  known:
    "select from unnest($7::text[], $8::text[], $9::text[]) k (ns, key, value) where (k.ns, k.key, k.value) = (r.ns, r.key, r.value)",
});

/**
 * `CheckpointRepository.pieces`. Up to 100 checkpoints are read at once without their large values, which tells what each
 * weighs; a piece that has any is read again with them. So a history of small values takes one statement.
 */
export async function* listInPieces(
  database: Database,
  seen: readonly unknown[],
  listing: Listing,
): AsyncGenerator<Piece<StoredCheckpoint>> {
  const { limit = Number.POSITIVE_INFINITY, threadId } = listing;
  let known: PartRow[] = [];
  for await (const { parts, last } of lightParts(database, seen, { ...listing, limit })) {
    const checkpoints = parts.filter((part) => part.kind === CHECKPOINT).sort(byPosition);
    const weights = weightsOf(checkpoints, parts);
    for (const { items, more } of cut(checkpoints, (part) => weights.get(part) ?? 0)) {
      const whole = isWhole(items, parts)
        ? [...items, ...parts.filter((part) => part.kind !== CHECKPOINT)]
        : [...known, ...(await database.rows<PartRow>(NAMED_WHOLE, [...seen, ...namesOf(items), ...keysOf(known)]))];
      yield { items: toStored(threadId, whole), more: more || !last };
      const carried = new Set(refsOf(items.slice(-1)));
      known = whole.filter((part) => part.kind === BLOB && carried.has(refOf(part.ns, part.a, part.b)));
    }
  }
}

async function* lightParts(
  database: Database,
  seen: readonly unknown[],
  listing: Listing & { limit: number },
): AsyncGenerator<{ parts: PartRow[]; last: boolean }> {
  if (listing.limit <= PIECE.rows) {
    const page = listing.page("c.*");
    yield { parts: await database.rows(partsOf(numbered(page.text), { light: true }), page.params), last: true };
    return;
  }
  const { text, params } = listing.page("c.ns, c.checkpoint_id");
  const places = await database.rows<Place>(text, params);
  for (let at = 0; at < places.length; at += PIECE.rows) {
    const names = namesOf(places.slice(at, at + PIECE.rows));
    yield { parts: await database.rows(NAMED_LIGHT, [...seen, ...names]), last: at + PIECE.rows >= places.length };
  }
}

interface Place {
  ns: string;
  checkpoint_id: string | null;
}

function namesOf(places: readonly Place[]): [(string | null)[], (string | null)[]] {
  return [places.map(({ ns }) => ns), places.map(({ checkpoint_id }) => checkpoint_id)];
}

function keysOf(blobs: readonly PartRow[]): (string | null)[][] {
  return [blobs.map(({ ns }) => ns), blobs.map(({ a }) => a), blobs.map(({ b }) => b)];
}

function refOf(ns: string, channel: string | null, version: string | null): string {
  return `${ns}\n${channel}\n${version}`;
}

/** The blobs that these checkpoints carry. */
function refsOf(checkpoints: readonly PartRow[]): string[] {
  return checkpoints.flatMap(({ ns, c }) =>
    Object.entries(JSON.parse(c as string) as Record<string, string>).map(([channel, version]) =>
      refOf(ns, channel, version),
    ),
  );
}

/** Whether no value of theirs was left out. */
function isWhole(checkpoints: readonly PartRow[], parts: readonly PartRow[]): boolean {
  const missing = parts.filter(({ value }) => value === null);
  if (missing.length === 0) return true;
  const carried = new Set(refsOf(checkpoints));
  const places = new Set(checkpoints.map(placeOf));
  return !missing.some((part) =>
    part.kind === BLOB ? carried.has(refOf(part.ns, part.a, part.b)) : places.has(placeOf(part)),
  );
}

/** Bytes of each checkpoint with all that it carries. */
function weightsOf(checkpoints: readonly PartRow[], parts: readonly PartRow[]): Map<PartRow, number> {
  const blobs = new Map<string, number>();
  const writes = new Map<string, number>();
  for (const part of parts) {
    if (part.kind === BLOB) blobs.set(refOf(part.ns, part.a, part.b), part.size);
    else if (part.kind === WRITE) writes.set(placeOf(part), (writes.get(placeOf(part)) ?? 0) + part.size);
  }
  return new Map(
    checkpoints.map((part) => {
      const own = part.size + (part.b as string).length + (part.d as string).length + (writes.get(placeOf(part)) ?? 0);
      return [part, refsOf([part]).reduce((sum, ref) => sum + (blobs.get(ref) ?? 0), own)];
    }),
  );
}

function placeOf({ ns, checkpoint_id }: Place): string {
  return `${ns}\n${checkpoint_id}`;
}

/** `CheckpointRepository.weigh`. */
export async function weighPage(database: Database, page: Page): Promise<number> {
  const text =
    "select coalesce(sum(octet_length(k.inline) + octet_length(k.checkpoint) + octet_length(k.metadata) + " +
    `(select coalesce(sum(octet_length(b.value)), 0) from (select k.ns, j.key, j.value from json_each_text(k.blobs) j) r, ${blobOf("r")}) + ` +
    "(select coalesce(sum(octet_length(w.value)), 0) from fractal.checkpoint_writes w where w.thread_id = $1 " +
    `and w.ns = k.ns and w.checkpoint_id = k.checkpoint_id)), 0)::bigint as bytes from (${page.text}) k`;
  return (await database.row<{ bytes: number }>(text, page.params))?.bytes ?? 0;
}
