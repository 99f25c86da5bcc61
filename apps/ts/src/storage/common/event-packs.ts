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

/** Which events a reader asks for: after a place, of some modes, and how much of them at once. */
export interface Wanted {
  after: { epoch: number; n: number };
  modes: readonly string[] | undefined;
  limit: number;
  /** Characters of JSON: the row that reaches it is the last. */
  bytes: number;
}

/** Events of one answer, in order, until there are as many as were asked for. */
export class EventPage {
  readonly rows: EventRow[] = [];
  readonly #wanted: Wanted;
  #bytes = 0;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  get full(): boolean {
    return this.rows.length >= this.#wanted.limit || this.#bytes >= this.#wanted.bytes;
  }

  /** Adds what of a pack comes after a place: the one that was asked for, if none is given. */
  add(pack: PackRow, after = this.#wanted.after): void {
    const { modes } = this.#wanted;
    const { epoch, run_id } = pack;
    let n = pack.n;
    let before = "";
    for (let start = 0, end = 0; start <= pack.data.length && !this.full; start = end + 1) {
      end = pack.data.indexOf("\n", start);
      if (end < 0) end = pack.data.length;
      const place = n++;
      const fields = cut(pack.data.slice(start, end));
      const { mode, ns, time, shared } = fields;
      const data = shared === 0 ? fields.head : fields.head + before.slice(before.length - shared);
      before = data;
      if (epoch === after.epoch && place <= after.n) continue;
      if (modes !== undefined && !modes.includes(mode)) continue;
      this.rows.push({ epoch, n: place, run_id, ns: unescapeName(ns), mode, at: pack.at + time, data });
      this.#bytes += data.length;
    }
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
