import pLimit from "p-limit";
import type { AuthScope } from "#core/identity/scope";
import type { RunRecord } from "#core/runs/repository";
import { compareIds, type EventId, frameOf, framesOf, type RunEvent, START } from "./events.ts";
import type { RunFeed } from "./feed.ts";
import { isAlways, passes, type ReaderFilter } from "./modes.ts";
import type { EventRepository } from "./repository.ts";

/** Most rows of one read of the log. */
const PAGE = 500;
/** What one reader may have in its hands at once, bytes: it keeps them for as long as its client does not read. */
const BATCH = 16 * 1024;
/** Readers of this process that read the log at once: what they have read lies in memory until their client has it. */
const replays = pLimit(8);

export interface ReadRequest extends ReaderFilter {
  /** "start": everything kept; "now": only what comes; an id: what comes after it. */
  from: "start" | "now" | EventId;
  /** Whether to send `event: end` (FRACTAL_STREAM_END_EVENT). */
  endEvent: boolean;
}

export interface ReaderSource {
  log: EventRepository;
  scope: AuthScope;
  run: Pick<RunRecord, "run_id" | "thread_id">;
}

/**
 * How a live stream ended. `over`: with the run, or because the client left. `elsewhere`: the run goes on in another
 * process, or the client has missed something that nobody can tell it here. `unknown`: the run ended, and none of its
 * events came after the id that was asked for.
 */
export type ReadEnd = "over" | "elsewhere" | "unknown";

/**
 * Frames of a live run, in batches that belong to who takes them (an emptied one is not held until the next is asked
 * for): first what the log or the ring holds after the position asked for, then what comes,
 * until the run ends, is suspended, or the reader leaves. No id is sent twice and none is skipped. What has no id, of a run
 * whose log is not kept, leaves the ring for good: a reader that is too slow for it gets the state as `values` instead.
 */
export async function* readLive(
  feed: RunFeed,
  source: ReaderSource,
  request: ReadRequest & { signal: AbortSignal },
): AsyncGenerator<Uint8Array[], ReadEnd> {
  const waiter = new Waiter(feed, request.signal);
  feed.readers++;
  try {
    // Taken before the first await: whatever is appended meanwhile is met at or after this position.
    const cursor = cursorAt(feed, request.from);
    if (request.from !== "now" && !(request.from === "start" && feed.whole)) {
      const known = feed.positionAfter(cursor.last);
      if (known !== undefined) cursor.position = known;
      else cursor.last = yield* replay(source, request, { after: cursor.last, before: feed.firstId });
    }
    while (!request.signal.aborted) {
      if (cursor.position < feed.start) {
        if (!(yield* catchUp(feed, cursor, { source, request }))) return "elsewhere";
        // While the log was read the ring may have gone on.
        continue;
      }
      const { state } = feed;
      const frames = take(feed, cursor, request);
      if (frames.length > 0) {
        cursor.told = true;
        yield frames;
      } else if (cursor.position < feed.end) continue;
      else if (state === "suspended") return "elsewhere";
      else if (state === "ended") return endOf(feed, cursor, request.from);
      else await waiter.next();
    }
    return "over";
  } finally {
    feed.readers--;
    waiter.close();
  }
}

/** Gives what has left the ring from the log; false when that does not have it any more, or never had it. */
async function* catchUp(
  feed: RunFeed,
  cursor: Cursor,
  { source, request }: { source: ReaderSource; request: ReadRequest },
): AsyncGenerator<Uint8Array[], boolean> {
  const missed = Math.max(cursor.position, cursor.outdated) < feed.forgotten;
  const before = feed.firstId;
  cursor.position = feed.start;
  cursor.last = yield* replay(source, request, { after: cursor.last, before });
  if (missed && !(yield* tellState(feed, cursor))) return false;
  return !isCut(cursor.last, before);
}

/** Whether the log did not lead up to the ring: it was deleted while the reader was behind. Numbers have no holes. */
function isCut(last: EventId, ring: EventId | undefined): boolean {
  return ring !== undefined && ring.n > (ring.epoch === last.epoch ? last.n + 1 : 0);
}

/** Where a reader of the ring begins. */
function cursorAt(feed: RunFeed, from: ReadRequest["from"]): Cursor {
  const cursor = { outdated: 0, told: false };
  if (from === "now") return { ...cursor, position: feed.end, last: feed.lastId ?? START };
  const last = from === "start" || isAhead(from, feed) ? START : from;
  return { ...cursor, position: feed.start, last };
}

/** Nothing has come but what lies before the id that was asked for, or all was told. */
function endOf({ lastId }: RunFeed, { last, told }: Cursor, from: ReadRequest["from"]): ReadEnd {
  const stands = !told && typeof from === "object" && last === from;
  return stands && lastId !== undefined && compareIds(from, lastId) >= 0 ? "unknown" : "over";
}

/** Gives the present state of a run that is executed here, for what was missed; false when it cannot be had. */
async function* tellState(feed: RunFeed, cursor: Cursor): AsyncGenerator<Uint8Array[], boolean> {
  const data = feed.followed ? undefined : feed.present?.();
  if (data === undefined) return false;
  cursor.outdated = feed.end;
  yield [frameOf({ epoch: 0, n: null, runId: feed.runId, ns: "", mode: "values", at: Date.now(), data })];
  return true;
}

/**
 * Events that an executor may have shown before they reached the log: a reader that comes from there knows more than the
 * feed that is filled from the log, and must not get everything again.
 */
const AHEAD_OF_LOG = 10_000;

/** Whether no event has this id yet: its reader comes from somewhere else and gets what is kept. */
function isAhead(id: EventId, { lastId, followed, epoch }: RunFeed): boolean {
  if (lastId === undefined || compareIds(id, lastId) <= 0) return false;
  // Of an earlier attempt than the one that begins here: what the log lacks of it was lost with its process.
  if (id.epoch < epoch) return false;
  return !followed || id.n - (id.epoch === lastId.epoch ? lastId.n : 0) > AHEAD_OF_LOG;
}

/** How far a reader is. */
interface Cursor {
  /** Its place in the ring. */
  position: number;
  /** The highest id that it has met. */
  last: EventId;
  /** What has no id and lies before this place is older than the state that the reader was given. */
  outdated: number;
  /** Whether it got anything from the ring. */
  told: boolean;
}

/** Moves the cursor on in the ring, a batch at most; the frames on the way that the reader is to see. */
function take(feed: RunFeed, cursor: Cursor, request: ReadRequest): Uint8Array[] {
  const events: RunEvent[] = [];
  let bytes = 0;
  for (const event of feed.slice(cursor.position)) {
    if (bytes >= BATCH) break;
    cursor.position++;
    if (event.n !== null) {
      const id = { epoch: event.epoch, n: event.n };
      if (compareIds(id, cursor.last) <= 0) continue;
      cursor.last = id;
    } else if (cursor.position <= cursor.outdated && !isAlways(event.mode)) continue;
    if (!shown(event, request)) continue;
    events.push(event);
    bytes += event.data.length;
  }
  if (events.length === 0) return [];
  return feed.readers === 1 ? [framesOf(events)] : events.map(frameOf);
}

/** Wakes a reader when its feed changes or its client leaves; one listener for the whole stream. */
class Waiter {
  readonly #feed: RunFeed;
  readonly #signal: AbortSignal;
  #wake: () => void = () => {};
  #forget: () => void = () => {};
  readonly #onAbort = () => {
    this.#forget();
    this.#wake();
  };

  constructor(feed: RunFeed, signal: AbortSignal) {
    this.#feed = feed;
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort);
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#forget = this.#feed.onChange(resolve);
    });
  }

  close(): void {
    this.#forget();
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}

/** Frames of a run that is over, from the log; empty when nothing after the position is kept. */
export async function* readEnded(source: ReaderSource, request: ReadRequest): AsyncGenerator<Uint8Array[]> {
  if (request.from === "now") return;
  yield* replay(source, request, { after: request.from === "start" ? START : request.from, before: undefined });
}

interface Range {
  after: EventId;
  /** Where what the ring holds begins. */
  before: EventId | undefined;
}

async function* replay(
  source: ReaderSource,
  request: ReadRequest,
  { after, before }: Range,
): AsyncGenerator<Uint8Array[], EventId> {
  for (let last = after; ; ) {
    const page = await replays(() => readPage(source, request, { after: last, before }));
    last = page.last;
    if (page.frames.length > 0) yield page.frames;
    if (page.end) return last;
  }
}

interface Page {
  frames: Uint8Array[];
  last: EventId;
  end: boolean;
}

async function readPage(source: ReaderSource, request: ReadRequest, { after, before }: Range): Promise<Page> {
  const { thread_id, run_id } = source.run;
  const rows = await source.log.read(source.scope, { thread_id, run_id, after, limit: PAGE, bytes: BATCH });
  const events: RunEvent[] = [];
  let last = after;
  let bytes = 0;
  for (const row of rows) {
    if (before !== undefined && compareIds(row, before) >= 0) return { frames: framed(events), last, end: true };
    last = { epoch: row.epoch, n: row.n };
    bytes += row.data.length;
    const event: RunEvent = { ...row, runId: row.run_id };
    if (shown(event, request)) events.push(event);
  }
  return { frames: framed(events), last, end: rows.length < PAGE && bytes < BATCH };
}

function framed(events: readonly RunEvent[]): Uint8Array[] {
  return events.length === 0 ? [] : [framesOf(events)];
}

function shown(event: RunEvent, request: ReadRequest): boolean {
  if (event.mode === "end") return request.endEvent;
  return passes(request, event);
}
