import { failureText } from "./dom.ts";
import type { StreamEvent } from "./events.ts";
import { readEvents } from "./events.ts";

/** Hears what keeps the page from the server, and undefined when it is reached again. */
export type Lost = (problem: string | undefined) => void;

export interface Link {
  server: string;
  signal: AbortSignal;
  lost: Lost;
}

/** A run that is read: where it is, and the id of the last event that came. */
export interface Reading {
  path: string;
  lastId: string;
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}

/** One request; undefined, with `lost` called, when the server is away or about to be. */
export async function attempt(
  { server, signal, lost }: Link,
  path: string,
  init: RequestInit = {},
): Promise<Response | undefined> {
  let response: Response;
  try {
    response = await fetch(server + path, { ...init, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    lost("");
    return undefined;
  }
  if (![502, 503, 504].includes(response.status)) {
    lost(undefined);
    return response;
  }
  lost(await failureText(response));
  return undefined;
}

/** A request that may be repeated: it is, until the server answers. */
export async function reach(link: Link, path: string, init: RequestInit = {}): Promise<Response> {
  for (let ms = 250; ; ms = Math.min(ms * 2, 4000)) {
    const response = await attempt(link, path, init);
    if (response !== undefined) return response;
    await pause(ms, link.signal);
  }
}

/** The JSON of a request that may be repeated; an error answer is thrown with the server's own words. */
export async function reachJson<T>(link: Link, path: string, init: RequestInit = {}): Promise<T> {
  for (;;) {
    const response = await reach(link, path, init);
    if (!response.ok) throw new Error(await failureText(response));
    const text = await response.text().catch(() => undefined);
    link.signal.throwIfAborted();
    // Cut off in the middle of the answer.
    if (text !== undefined) return JSON.parse(text) as T;
  }
}

export function isActive(status: unknown): boolean {
  return status === "pending" || status === "running";
}

/** Every event of a run until its end, across lost connections and restarts of the server. */
export async function* followRun(link: Link, reading: Reading, opened?: Response): AsyncGenerator<StreamEvent> {
  let response = opened;
  for (let isOver = false; ; ) {
    response ??= await reach(link, `${reading.path}/stream`, { headers: { "Last-Event-ID": reading.lastId } });
    // Deleted, or rolled back: the thread says what is left.
    if (response.status === 404) return;
    if (!response.ok || response.body === null) throw new Error(await failureText(response));
    for await (const event of readEvents(response.body)) {
      if (event.id !== undefined) reading.lastId = event.id;
      yield event;
      if (event.event === "end" || event.event === "error") return;
    }
    link.signal.throwIfAborted();
    // A stream without its end was cut off, or closed by a server that stops.
    if (isOver) return;
    response = undefined;
    const run = await reach(link, reading.path);
    if (run.status === 404) return;
    isOver = run.ok && !isActive(((await run.json().catch(() => ({}))) as { status?: string }).status ?? "running");
    if (!isOver) await pause(250, link.signal);
  }
}
