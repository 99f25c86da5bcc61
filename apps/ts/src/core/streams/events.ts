/**
 * One event of a run in neutral form. Every wire encodes it once and shares the bytes among its readers.
 * `n` counts the kept events of an epoch without holes; it is null for an event that is only shown live (intermediate
 * values of a run whose log is not kept), which therefore has no id.
 */
export interface RunEvent {
  readonly epoch: number;
  readonly n: number | null;
  readonly runId: string | null;
  /** Namespace segments joined by "|"; "" is the root. */
  readonly ns: string;
  readonly mode: string;
  /** Unix ms. */
  readonly at: number;
  /** JSON text. */
  readonly data: string;
  /** SSE bytes, made by the first reader that needs them. */
  frame?: Uint8Array;
}

/** Position in a thread's log: epochs grow, n grows within an epoch. */
export interface EventId {
  epoch: number;
  n: number;
}

export function compareIds(a: EventId, b: EventId): number {
  return a.epoch - b.epoch || a.n - b.n;
}

/** Before every event of the log. */
export const START: EventId = { epoch: -1, n: -1 };

/** No run comes to so many events; a larger number is not even a place that a storage could look for. */
const LAST_N = 2 ** 31 - 1;

/**
 * Reads a Last-Event-ID. `-1`, `-`, `0` and `0-0` mean the beginning; undefined means malformed.
 */
export function parseEventId(text: string): EventId | undefined {
  if (text === "-1" || text === "-" || text === "0" || text === "0-0") return START;
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  return match ? { epoch: Number(match[1]), n: Math.min(Number(match[2]), LAST_N) } : undefined;
}

const encoder = new TextEncoder();

/** SSE frame of an event, made once and shared by its readers. */
export function frameOf(event: RunEvent): Uint8Array {
  event.frame ??= encoder.encode(frameText(event));
  return event.frame;
}

/** Frames of several events in one piece, for the only reader of a run: one encoding instead of one an event. */
export function framesOf(events: readonly RunEvent[]): Uint8Array {
  let text = "";
  for (const event of events) text += frameText(event);
  return encoder.encode(text);
}

/** Mode and namespace as its name, its JSON on one line, its id if it has one. */
function frameText(event: RunEvent): string {
  const name = event.ns === "" ? event.mode : `${event.mode}|${event.ns}`;
  const id = event.n === null ? "" : `id: ${event.epoch}-${event.n}\n`;
  return `event: ${name}\ndata: ${event.data}\n${id}\n`;
}
