import type { EventRepository, RunNews } from "#core/streams/repository";
import { EventPage } from "../common/event-packs.ts";
import { type Entry, follows, idOf, keyOf, type Place, parseEntry } from "./entries.ts";
import type { Link } from "./link.ts";

/** Packs read of a run at once. */
const PACKS = 32;
/** How long a silent stream is believed before the database is asked whether it knows more. */
const BELIEVED_MS = 2000;
/** How long readers wait for the server before they turn to the database. */
const PATIENCE_MS = 250;

type Asked = Parameters<EventRepository["news"]>[0];
type Stream = [key: string, entries: [id: string, fields: string[]][] | null];

/** Answers what the streams of runs prove, and leaves the rest to the database. */
export class LiveNews {
  readonly #link: Link;
  /** Places up to which the stream of a run was read without a hole, and when that, or the database, was last seen. */
  readonly #proven = new Map<string, Place & { at: number }>();
  #prunedAt = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  async news(runs: Asked, limit: number, stored: EventRepository["news"]): Promise<RunNews[]> {
    const answers = await this.#ask(runs, limit);
    const missing = runs.filter((run) => !answers.has(run.run_id));
    if (missing.length === 0) return [...answers.values()];
    const rest = await stored(missing, limit);
    for (const { run_id, after } of missing) this.#believeAgain(run_id, after);
    return [...answers.values(), ...rest];
  }

  /** Answers by run, of those for which the streams have one; none when the server does not answer in time. */
  async #ask(runs: Asked, limit: number): Promise<Map<string, RunNews>> {
    const answers = new Map<string, RunNews>();
    if (!this.#link.up || runs.length === 0) return answers;
    this.#prune();
    const silent = runs.filter((run) => this.#isBelieved(run));
    const replies = await this.#within(this.#read(runs, silent));
    if (replies === undefined) return answers;
    for (const run of runs) {
      const { run_id } = run;
      const entries = replies.streams.get(keyOf(run_id)) ?? [];
      const answer = entries.length > 0 ? this.#told(run, entries, limit) : undefined;
      if (answer !== undefined) answers.set(run_id, answer);
      else if (entries.length === 0 && replies.silent.has(run_id)) answers.set(run_id, nothingNew(run_id));
    }
    return answers;
  }

  /** One round trip: what the streams hold after the places, and which of those believed to be silent still exist. */
  async #read(runs: Asked, silent: Asked) {
    const pipeline = this.#link.redis.pipeline();
    const keys = runs.map((run) => keyOf(run.run_id));
    pipeline.call("XREAD", ["COUNT", PACKS, "STREAMS", ...keys, ...runs.map((run) => idOf(run.after))]);
    for (const run of silent) pipeline.exists(keyOf(run.run_id));
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    const streams = (replies[0]?.[1] ?? []) as Stream[];
    return {
      streams: new Map(streams.map(([key, entries]) => [key, entries ?? []])),
      silent: new Set(silent.filter((_, i) => replies[i + 1]?.[1] === 1).map((run) => run.run_id)),
    };
  }

  /** Undefined when the entries do not follow the reader's place. */
  #told({ run_id, after }: Asked[number], entries: [string, string[]][], limit: number): RunNews | undefined {
    const page = new EventPage({ after, modes: undefined, limit: limit + 1, bytes: Infinity });
    const { rows } = page;
    let place: Place = after;
    let more = entries.length === PACKS;
    let over = false;
    for (const [id, fields] of entries) {
      const entry: Entry | undefined = parseEntry(run_id, id, fields);
      if (entry === undefined || !follows(entry, place)) {
        if (rows.length === 0) return undefined;
        more = true;
        break;
      }
      over = entry.over;
      if (over) break;
      page.add(entry, place);
      place = { epoch: entry.epoch, n: entry.last };
      if (rows.length > limit) break;
    }
    if (rows.length > limit) {
      rows.length = limit;
      more = true;
    }
    const last = rows[rows.length - 1] ?? after;
    if (over) this.#proven.delete(run_id);
    else this.#proven.set(run_id, { epoch: last.epoch, n: last.n, at: performance.now() });
    return { run_id, over, rows, more: more && !over };
  }

  #isBelieved({ run_id, after }: Asked[number]): boolean {
    const proven = this.#proven.get(run_id);
    if (proven === undefined || proven.epoch !== after.epoch || proven.n !== after.n) return false;
    return performance.now() - proven.at < BELIEVED_MS;
  }

  /** The database was asked about a stream that has been silent for long. */
  #believeAgain(runId: string, { epoch, n }: Place): void {
    const proven = this.#proven.get(runId);
    if (proven?.epoch === epoch && proven.n === n) proven.at = performance.now();
  }

  /** Places that nobody has asked about for a while. */
  #prune(): void {
    const now = performance.now();
    if (now - this.#prunedAt < 10 * BELIEVED_MS) return;
    this.#prunedAt = now;
    for (const [runId, { at }] of this.#proven) if (now - at > 10 * BELIEVED_MS) this.#proven.delete(runId);
  }

  async #within<T>(work: Promise<T>): Promise<T | undefined> {
    const failed = (error: unknown) => {
      this.#link.failed(error as Error);
      return undefined;
    };
    const patience = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => patience.resolve(undefined), PATIENCE_MS);
    try {
      return await Promise.race([work.catch(failed), patience.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function nothingNew(runId: string): RunNews {
  return { run_id: runId, over: false, rows: [], more: false };
}
