import type { EventRow } from "#core/runs/repository";
import { type PackRow, packsOf } from "../common/event-packs.ts";

export interface Place {
  epoch: number;
  n: number;
}

/** Larger packs are read from the database: the live log is for tokens, not for documents. Characters. */
const LARGEST_PACK = 1024 * 1024;

/** An entry of a run's stream: a pack of consecutive events, or the statement that none follow. */
export interface Entry extends PackRow {
  /** Position of the pack's last event; of the event that would have come next when the run is over. */
  last: number;
  /** The pack begins the first attempt of its run: no event of the run is older. */
  first: boolean;
  over: boolean;
}

/** An entry as a command takes it. */
export interface NewEntry {
  id: string;
  fields: string[];
  /** Characters. */
  size: number;
}

export function keyOf(runId: string): string {
  return `fractal:ev:{${runId}}`;
}

/**
 * The id that stands for an event: `<epoch>-<n+1>`, because streams begin at 0-1. A stream takes growing ids only: what
 * an attempt says after the next one has spoken is refused by the server, and so is a repetition.
 */
export function idOf({ epoch, n }: Place): string {
  return epoch < 0 ? "0-0" : `${epoch}-${n + 1}`;
}

/** Packs of events of one run, each under the id of its last event. `first`: of the run's first attempt. */
export function entriesOf(rows: readonly EventRow[], first: boolean): NewEntry[] {
  const entries: NewEntry[] = [];
  for (const { epoch, n, at, data } of packsOf(rows)) {
    if (data.length > LARGEST_PACK) continue;
    const fields = ["n", String(n), "at", String(at), "data", data];
    if (first && n === 0) fields.push("first", "1");
    // A line an event.
    entries.push({ id: idOf({ epoch, n: n + data.split("\n").length - 1 }), fields, size: data.length });
  }
  return entries;
}

/** The statement that a run is over, in the place after its last event. */
export function endAfter({ epoch, n }: Place): NewEntry {
  return { id: idOf({ epoch, n: n + 1 }), fields: ["n", String(n + 1), "over", "1"], size: 0 };
}

/** Reads an entry as the server gives it; undefined when it is not one of ours. */
export function parseEntry(runId: string, id: string, fields: readonly string[]): Entry | undefined {
  const place = /^(\d{1,15})-(\d{1,15})$/.exec(id);
  const values = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) values.set(fields[i] as string, fields[i + 1] as string);
  const n = Number(values.get("n") ?? Number.NaN);
  const over = values.has("over");
  const data = values.get("data");
  if (place === null || !Number.isSafeInteger(n) || (data === undefined && !over)) return undefined;
  return {
    epoch: Number(place[1]),
    n,
    last: Number(place[2]) - 1,
    at: Number(values.get("at") ?? 0),
    run_id: runId,
    data: data ?? "",
    first: values.has("first"),
    over,
  };
}

/** Whether nothing can lie between a reader's place and an entry. */
export function follows(entry: Entry, place: Place): boolean {
  if (entry.epoch === place.epoch) return entry.n <= place.n + 1;
  // Between two attempts only the database knows whether the first had more to say.
  return entry.first && entry.epoch > place.epoch;
}
