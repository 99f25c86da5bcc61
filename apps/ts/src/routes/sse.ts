import { breakOff } from "#platform/serve";
import type { Unread } from "./unread.ts";

/** Every 5 s from the first byte, without a pause: clients take silence for a dead connection. */
export const HEARTBEAT_MS = 5000;
/** A client that takes nothing for so long is cut off: it comes back by its last id, and meanwhile costs nothing. */
export const BLOCKED_MS = 30_000;
/** Delay between the last bytes of an answer and breaking it off: the engine drops bytes that it has not sent yet. */
const LAST_BYTES_MS = 200;

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": heartbeat\n\n");
const NEWLINE = encoder.encode("\n");

const SSE_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
} as const;

export interface StreamCall {
  /** Whose connection is broken off when the answer cannot be completed. */
  request: Request;
  headers: Record<string, string>;
  /** Aborted by us when the client has gone. */
  controller: AbortController;
  /** The client closed the connection before the answer was complete; never called when the server ends it. */
  onClientGone?: (() => void) | undefined;
  /** A fault while the body was being made; the connection is then broken off. */
  onError(error: unknown): void;
  /** Counts event streams, not waits. */
  streams?: StreamCount | undefined;
  unread?: Unread | undefined;
}

/** Told of every event stream: once when it opens, once when it is over, however it ends. */
export interface StreamCount {
  opened(): void;
  closed(): void;
  /** It is over because its client did not read. */
  cutOff(): void;
}

/**
 * An event stream over batches of ready frames. Pulled by the socket, so a slow client holds back its own reader and
 * nothing else; a client that leaves at any moment only ends this one.
 */
export function sseResponse(source: AsyncGenerator<Uint8Array[]>, call: StreamCall): Response {
  const body = pulled(call, {
    openAfterMs: AT_ONCE_MS,
    beat: HEARTBEAT,
    next: () => source.next().then(joined),
    close: () => source.return(undefined),
    count: call.streams,
  });
  return new Response(body, { headers: { ...SSE_HEADERS, ...call.headers } });
}

/** A run that ends within this time is answered in one piece; it is also how late the headers of a longer one may be. */
const AT_ONCE_MS = 20;

/**
 * A JSON answer whose headers go out at once and which is kept alive with newlines until it is known.
 * A stream costs as much as the rest of a short request, so an answer that is there in a moment goes without.
 */
export async function waitResponse(result: Promise<string>, call: StreamCall): Promise<Response> {
  const init = { headers: { "content-type": "application/json", ...call.headers } };
  // Whoever must be told that the client has gone needs the stream's cancel from the first moment.
  const quick = call.onClientGone === undefined ? await atOnce(result) : undefined;
  if (quick !== undefined) return new Response(quick, init);
  let sent = false;
  // It may fail before anybody pulls, or after the client has gone; `next` meets it where somebody is there.
  result.catch(() => undefined);
  const body = pulled(call, {
    openAfterMs: 0,
    beat: NEWLINE,
    next: async () => {
      if (sent) return undefined;
      const text = await result;
      sent = true;
      return encoder.encode(text);
    },
    close: async () => undefined,
  });
  return new Response(body, init);
}

/** The text if it comes in a moment; undefined if it does not, or fails: then the stream tells. */
function atOnce(result: Promise<string>): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, AT_ONCE_MS, undefined);
    const settle = (text: string | undefined) => {
      clearTimeout(timer);
      resolve(text);
    };
    result.then(settle, () => settle(undefined));
  });
}

interface Source {
  /** When to send a newline if there is nothing else to send yet: the engine keeps the headers back until a first byte. */
  openAfterMs: number;
  beat: Uint8Array;
  /** The next bytes; undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  close(): Promise<unknown>;
  count?: StreamCount | undefined;
}

export function pulled(call: StreamCall, source: Source): ReadableStream<Uint8Array> {
  let closed = false;
  let sent = false;
  /** The client waits for bytes. */
  let asked = false;
  /** performance.now() when the client last took something. */
  let takenAt = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    closed = true;
    clearTimeout(timer);
    call.unread?.taken(client);
    source.count?.closed();
  };
  // Without an error: the engine would print it, and it is told already.
  const fail = () => {
    if (!breakOff(call.request)) body?.error();
  };
  const client = {
    // Not the client's wish, so its run goes on, whatever it asked for when it leaves.
    cutOff: () => {
      stop();
      source.count?.cutOff();
      call.controller.abort();
      source.close().catch(call.onError);
      fail();
    },
  };
  let body: ReadableStreamDefaultController<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        body = controller;
        source.count?.opened();
        const open = () => {
          if (!sent) controller.enqueue(NEWLINE);
          timer = setInterval(() => {
            if (closed) return;
            // Who does not ask for more does not read: no need to tell it that we live.
            if (asked && controller.desiredSize === 0) controller.enqueue(source.beat);
            else if (performance.now() - takenAt > BLOCKED_MS) client.cutOff();
            else call.unread?.relieve();
          }, HEARTBEAT_MS);
          timer.unref?.();
        };
        if (source.openAfterMs === 0) open();
        else timer = setTimeout(open, source.openAfterMs);
      },
      async pull(controller) {
        asked = true;
        takenAt = performance.now();
        call.unread?.taken(client);
        try {
          const bytes = await source.next();
          if (closed) return;
          takenAt = performance.now();
          if (bytes === undefined) {
            stop();
            controller.close();
          } else {
            sent = true;
            asked = false;
            controller.enqueue(bytes);
            call.unread?.give(client, bytes.length);
          }
        } catch (error) {
          if (closed) return;
          stop();
          call.onError(error);
          setTimeout(fail, LAST_BYTES_MS);
        }
      },
      cancel() {
        if (closed) return;
        stop();
        call.controller.abort();
        call.onClientGone?.();
        source.close().catch(call.onError);
      },
    },
    // A batch when the client asks for it, and none before: until then it stays in the run's ring or log.
    { highWaterMark: 0, size: () => 1 },
  );
}

function joined(step: IteratorResult<Uint8Array[], void>): Uint8Array | undefined {
  if (step.done) return undefined;
  const { value: frames } = step;
  const bytes = frames.length === 1 ? frames[0] : Buffer.concat(frames);
  // Its maker may keep the batch for as long as nobody asks for the next.
  frames.length = 0;
  return bytes;
}
