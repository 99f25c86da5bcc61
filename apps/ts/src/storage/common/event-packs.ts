import type { EventRow } from "#core/runs/repository";

/**
 * Events that are written together stand in one row: a streamed answer is a hundred events, and a row each was a third of
 * what the storage cost. A pack holds consecutive events of one run, one line each: mode, namespace, ms after the first,
 * how many characters at the end are those of the line before (every token repeats its message's metadata), and the JSON
 * up to there. JSON has no raw newline or tab.
 */
export interface PackRow {
  epoch: number;
  /** Of the first event. */
  n: number;
  at: number;
  run_id: string | null;
  data: string;
}

/** Events as they are stored, in order. */
export function packsOf(rows: readonly EventRow[]): PackRow[] {
  const packs: PackRow[] = [];
  for (let start = 0, end = 0; start < rows.length; start = end) {
    end = endOfPack(rows, start);
    const { epoch, n, at, run_id } = rows[start] as EventRow;
    packs.push({ epoch, n, at, run_id, data: packed(rows.slice(start, end)) });
  }
  return packs;
}

/** Shorter common ends are not worth the number that says so. */
const WORTH = 32;
const LONGEST = 8192;

function packed(rows: readonly EventRow[]): string {
  const at = (rows[0] as EventRow).at;
  const lines: string[] = [];
  let before = "";
  let tail = "";
  for (const { mode, ns, at: time, data } of rows) {
    if (tail === "" || data.length < tail.length || !data.endsWith(tail)) tail = commonEnd(before, data);
    lines.push(`${mode}\t${escapeName(ns)}\t${time - at}\t${tail.length}\t${data.slice(0, data.length - tail.length)}`);
    before = data;
  }
  return lines.join("\n");
}

function commonEnd(a: string, b: string): string {
  const most = Math.min(a.length, b.length, LONGEST);
  let length = 0;
  while (length < most && a.charCodeAt(a.length - 1 - length) === b.charCodeAt(b.length - 1 - length)) length++;
  // Half of a surrogate pair would not survive the database's UTF-8.
  if (length > 0 && isLowSurrogate(b.charCodeAt(b.length - length))) length--;
  return length < WORTH ? "" : b.slice(b.length - length);
}

function endOfPack(rows: readonly EventRow[], start: number): number {
  const first = rows[start] as EventRow;
  let end = start + 1;
  for (; end < rows.length; end++) {
    const row = rows[end] as EventRow;
    if (row.epoch !== first.epoch || row.run_id !== first.run_id || row.n !== first.n + end - start) break;
  }
  return end;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

/** Appends the events of a pack that come after `after` and have one of `modes` to `rows`, up to `limit`. */
export function unpack(
  pack: PackRow,
  wanted: { after: { epoch: number; n: number }; modes: readonly string[] | undefined; limit: number },
  rows: EventRow[],
): void {
  const { epoch, run_id } = pack;
  let n = pack.n;
  let before = "";
  for (const line of pack.data.split("\n")) {
    if (rows.length >= wanted.limit) return;
    const place = n++;
    const fields = cut(line);
    const { mode, ns, time, shared } = fields;
    const data = shared === 0 ? fields.head : fields.head + before.slice(before.length - shared);
    before = data;
    if (epoch === wanted.after.epoch && place <= wanted.after.n) continue;
    if (wanted.modes !== undefined && !wanted.modes.includes(mode)) continue;
    rows.push({ epoch, n: place, run_id, ns: unescapeName(ns), mode, at: pack.at + time, data });
  }
}

function cut(line: string) {
  const modeEnd = line.indexOf("\t");
  const nsEnd = line.indexOf("\t", modeEnd + 1);
  const timeEnd = line.indexOf("\t", nsEnd + 1);
  const sharedEnd = line.indexOf("\t", timeEnd + 1);
  return {
    mode: line.slice(0, modeEnd),
    ns: line.slice(modeEnd + 1, nsEnd),
    time: Number(line.slice(nsEnd + 1, timeEnd)),
    shared: Number(line.slice(timeEnd + 1, sharedEnd)),
    head: line.slice(sharedEnd + 1),
  };
}

/** Node names are the user's: they may hold what separates the fields. */
function escapeName(ns: string): string {
  // Half of a surrogate pair has no encoding: it becomes U+FFFD.
  return /[%\t\n\0\ud800-\udfff]/.test(ns) ? ns.toWellFormed().replace(/[%\t\n\0]/g, encodeURIComponent) : ns;
}

function unescapeName(ns: string): string {
  return ns.includes("%") ? decodeURIComponent(ns) : ns;
}
