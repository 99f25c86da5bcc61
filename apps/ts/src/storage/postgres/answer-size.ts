import { answerTooLarge } from "#core/answers";
import type { Database } from "./database.ts";

/** The rows of a page as a statement that gives `bytes`. The row after the page, which only tells that there is one, does not count. */
export interface WeighedPage {
  text: string;
  params: readonly unknown[];
  limit: number;
}

/** Measures a page before any of its values is sent. Throws RuntimeError invalid; one row alone may be larger. */
export async function mustFit(database: Database, page: WeighedPage, most: number | undefined): Promise<void> {
  if (most === undefined || page.limit === 1) return;
  const found = await database.row<{ total: number; rows: number }>(
    "select coalesce(sum(q.bytes), 0)::bigint as total, count(*) as rows from (" +
      `select p.bytes, row_number() over () as place from (${page.text}) p) q where q.place <= ${page.limit}`,
    [...page.params],
    { built: true },
  );
  if (found !== undefined && found.rows > 1 && found.total > most) throw answerTooLarge(found.total, most);
}
