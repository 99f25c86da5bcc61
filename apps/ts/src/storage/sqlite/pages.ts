import type { Page } from "#schemas/common";
import type { Conditions } from "./conditions.ts";
import type { Connection } from "./connection.ts";

/** Rows looked at per step when a filter has to be checked outside SQL. */
const STEP = 500;

/** What to look through: `select` names the columns that `match` needs, `id` among them, up to and including FROM. */
export interface Scan<Row> {
  select: string;
  where: Conditions;
  order: string;
  /** Exact check; absent when the conditions alone are exact. */
  match: ((row: Row) => boolean) | undefined;
}

/** Ids of one page of a scan, in order, and whether more rows follow. */
export function pageOf<Row extends { id: number }>(
  connection: Connection,
  scan: Scan<Row>,
  page: { limit: number; offset: number },
): Page<number> {
  const found: number[] = [];
  const { match } = scan;
  if (match === undefined) {
    const rows = connection.sql(textOf(scan)).all<Row>(...scan.where.params, page.limit + 1, page.offset);
    for (const row of rows) found.push(row.id);
  } else {
    let skip = page.offset;
    for (const row of matches(connection, scan, match)) {
      if (skip > 0) skip--;
      else if (found.push(row.id) > page.limit) break;
    }
  }
  return { items: found.slice(0, page.limit), more: found.length > page.limit };
}

export function countOf<Row extends { id: number }>(connection: Connection, scan: Scan<Row>): number {
  const { match } = scan;
  if (match === undefined) {
    const from = scan.select.slice(scan.select.indexOf(" from "));
    const text = `select count(*) as total${from} where ${scan.where.sql.join(" and ")}`;
    return connection.sql(text).get<{ total: number }>(...scan.where.params)?.total ?? 0;
  }
  let total = 0;
  for (const _ of matches(connection, scan, match)) total++;
  return total;
}

function* matches<Row extends { id: number }>(
  connection: Connection,
  scan: Scan<Row>,
  match: (row: Row) => boolean,
): Generator<Row> {
  for (let offset = 0; ; offset += STEP) {
    const rows = connection.sql(textOf(scan)).all<Row>(...scan.where.params, STEP, offset);
    for (const row of rows) if (match(row)) yield row;
    if (rows.length < STEP) return;
  }
}

function textOf<Row>(scan: Scan<Row>): string {
  return `${scan.select} where ${scan.where.sql.join(" and ")} order by ${scan.order} limit ? offset ?`;
}
