import { setImmediate as nextTurn } from "node:timers/promises";
import { answerTooLarge } from "#core/answers";
import { cut } from "#core/checkpoints/pieces";
import type { SqliteValue } from "#platform/sqlite";
import type { Page } from "#schemas/common";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";

/** Keys read at once while a scan looks for rows that match. */
const STEP = 1_000;

/** A search through rows in an order that no two of them share. */
export interface Scan<Row> {
  /** Columns that `match` needs. */
  columns: string;
  /** FROM clause without the word. */
  from: string;
  /** Conditions on small columns. */
  where: Conditions;
  /** Necessary conditions that read large columns; only for a scan with `match`. */
  narrow?: Conditions;
  /** Bytes that `narrow` and `match` read of a row, as SQL; the lengths are in the heads of the values. */
  weight: string;
  /** A unique integer column, and a column that comes before it in the order. */
  order: { id: string; by?: string; direction: "asc" | "desc" };
  /** Exact check; absent when the conditions alone are exact. */
  match: ((row: Row) => boolean) | undefined;
}

/** Ids of one page of a scan, in order, and whether more rows follow. */
export async function pageOf<Row>(
  connection: Connection,
  scan: Scan<Row>,
  page: { limit: number; offset: number },
): Promise<Page<number>> {
  const { from, match, order, where } = scan;
  const found: number[] = [];
  if (match === undefined) {
    const text =
      `select ${order.id} as id from ${from} where ${where.sql.join(" and ")} ` +
      `order by ${orderText(order)} limit ? offset ?`;
    const params = [...where.params, page.limit + 1, page.offset];
    for (const { id } of await connection.read(() => connection.sql(text).all<{ id: number }>(...params)))
      found.push(id);
  } else {
    let skip = page.offset;
    for await (const id of matching(connection, scan, match)) {
      if (skip > 0) skip--;
      else if (found.push(id) > page.limit) break;
    }
  }
  return { items: found.slice(0, page.limit), more: found.length > page.limit };
}

export async function countOf<Row>(connection: Connection, scan: Scan<Row>): Promise<number> {
  const { from, match, where } = scan;
  if (match === undefined) {
    const text = `select count(*) as total from ${from} where ${where.sql.join(" and ")}`;
    return connection.read(() => connection.sql(text).get<{ total: number }>(...where.params)?.total ?? 0);
  }
  let total = 0;
  for await (const _ of matching(connection, scan, match)) total++;
  return total;
}

export interface Loading<T> {
  /** Statement that gives `id` and `bytes` of the rows whose ids are in a JSON list. */
  weigh: string;
  /** Undefined when the row has gone since its id was read. */
  load(id: number): T | undefined;
  /** Of all rows together; one alone may be larger. */
  most: number | undefined;
}

/** The rows of a page, measured before any is read, and read in pieces of which each is the work of one turn. */
export async function loadPage<T>(connection: Connection, ids: readonly number[], loading: Loading<T>): Promise<T[]> {
  const { weigh, load, most = Number.POSITIVE_INFINITY } = loading;
  const weights = await connection.read(() =>
    connection.sql(weigh).all<{ id: number; bytes: number }>(JSON.stringify(ids)),
  );
  const bytes = new Map(weights.map((row) => [row.id, row.bytes]));
  const total = weights.reduce((sum, row) => sum + row.bytes, 0);
  if (ids.length > 1 && total > most) throw answerTooLarge(total, most);
  const rows: T[] = [];
  for (const { items, more } of cut(ids, (id) => bytes.get(id) ?? 0)) {
    rows.push(...(await connection.read(() => items.flatMap((id) => load(id) ?? []))));
    if (more) await nextTurn();
  }
  return rows;
}

interface Place {
  id: number;
  key: SqliteValue;
  weight: number;
}

/**
 * Ids of the rows that match, in order. The keys of the next rows are read first, which costs little whatever the rows hold;
 * they tell how many rows one turn of the event loop may look into.
 */
async function* matching<Row>(
  connection: Connection,
  scan: Scan<Row>,
  match: (row: Row) => boolean,
): AsyncGenerator<number> {
  let places: Place[] = [];
  do {
    const last = places.at(-1);
    places = await connection.read(() => placesAfter(connection, scan, last));
    for (const { items } of cut(places, ({ weight }) => weight)) {
      yield* await connection.read(() => matchesAmong(connection, scan, { places: items, match }));
      await nextTurn();
    }
  } while (places.length === STEP);
}

function placesAfter<Row>(connection: Connection, scan: Scan<Row>, last: Place | undefined): Place[] {
  const { from, order, weight, where } = scan;
  const key = order.by ?? order.id;
  const after = last === undefined ? "" : ` and (${key}, ${order.id}) ${order.direction === "asc" ? ">" : "<"} (?, ?)`;
  const text =
    `select ${order.id} as id, ${key} as key, ${weight} as weight from ${from} ` +
    `where ${where.sql.join(" and ")}${after} order by ${orderText(order)} limit ${STEP}`;
  const params = last === undefined ? where.params : [...where.params, last.key, last.id];
  return connection.sql(text).all<Place>(...params);
}

function matchesAmong<Row>(
  connection: Connection,
  { columns, from, narrow, order }: Scan<Row>,
  { places, match }: { places: readonly Place[]; match: (row: Row) => boolean },
): number[] {
  const conditions = [`${order.id} in (select value from json_each(?))`, ...(narrow?.sql ?? [])];
  const rows = connection
    .sql(`select ${order.id} as id, ${columns} from ${from} where ${conditions.join(" and ")}`)
    .all<Row & { id: number }>(JSON.stringify(places.map(({ id }) => id)), ...(narrow?.params ?? []));
  const found = new Set(rows.filter(match).map(({ id }) => id));
  return places.map(({ id }) => id).filter((id) => found.has(id));
}

function orderText({ by, direction, id }: Scan<never>["order"]): string {
  return by === undefined ? `${id} ${direction}` : `${by} ${direction}, ${id} ${direction}`;
}
