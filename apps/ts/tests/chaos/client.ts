import { type SseEvent, SseReader } from "../runs/sse-client.ts";
import type { Fleet } from "./fleet.ts";
import type { Instance } from "./instance.ts";

/** As the SDK: five attempts in a row without an event, after 1, 2, 4, 5, 5 seconds. */
const RETRIES = 5;
const delayMs = (attempt: number, scale: number) => Math.min(1000 * 2 ** (attempt - 1), 5000) * scale;

export interface Streamed {
  runId: string;
  threadId: string;
  events: SseEvent[];
  /** Requests, the first included. */
  connections: number;
  /** From the end of the last connection that broke to the first new event, ms, the longest. */
  longestGap: number;
}

export interface StreamOptions {
  threadId?: string | undefined;
  body: Record<string, unknown>;
  /** Where each request goes; the fleet's rotation by default. */
  pick?: (connection: number) => string;
  /** Of the waits between attempts; 1 is the SDK's. */
  scale?: number;
  onEvent?: (event: SseEvent, sofar: readonly SseEvent[]) => void;
  /** Bound of the whole stream, ms. */
  within?: number;
}

/** Streams a run to its end by the SDK's rules, over whatever instance the load balancer names. */
export async function streamRun(fleet: Fleet, options: StreamOptions): Promise<Streamed> {
  const stream = new RunStream(fleet, options);
  while (!(await stream.connection())) await stream.waitBeforeRetry();
  return stream.result;
}

class RunStream {
  readonly result: Streamed;
  readonly #fleet: Fleet;
  readonly #options: StreamOptions;
  readonly #signal: AbortSignal;
  #path: string | undefined;
  #lastId: string | undefined;
  /** Failures since the last event. */
  #attempt = 0;
  /** Since when there has been no event because a connection broke. */
  #broke: number | undefined;

  constructor(fleet: Fleet, options: StreamOptions) {
    this.#fleet = fleet;
    this.#options = options;
    this.#signal = AbortSignal.timeout(options.within ?? 180_000);
    this.result = { runId: "", threadId: options.threadId ?? "", events: [], connections: 0, longestGap: 0 };
  }

  /** One request and what it brings. True when the run is over; throws when there is no point in another. */
  async connection(): Promise<boolean> {
    const { result } = this;
    try {
      await this.#read(await this.#request());
      if (over(result.events)) return true;
      // The SDK would take that for the run's end.
      throw new EndedWell(`the stream ended well before its run: ${describe(result)}`);
    } catch (error) {
      if (error instanceof EndedWell) throw error;
      const cause = { cause: error };
      if (this.#signal.aborted) throw new Error(`${result.runId} did not end: ${describe(result)}`, cause);
      if (this.#path === undefined) throw new NotAccepted("the request that creates the run was not answered", cause);
      if (error instanceof HttpError && error.status < 500) throw error;
      this.#broke ??= performance.now();
      if (++this.#attempt > RETRIES) throw new Error(`gave up after ${RETRIES} attempts: ${describe(result)}`, cause);
      this.#fleet.history.note("client", "reconnect", { run: result.runId, what: String(error) });
      return false;
    }
  }

  async waitBeforeRetry(): Promise<void> {
    const ms = delayMs(this.#attempt, this.#options.scale ?? 1);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async #request(): Promise<Response> {
    const { threadId, body, pick = () => this.#fleet.url() } = this.#options;
    const { result } = this;
    const url = pick(result.connections++);
    const first = threadId === undefined ? "/runs/stream" : `/threads/${threadId}/runs/stream`;
    const again = this.#lastId === undefined ? {} : { "last-event-id": this.#lastId };
    const response =
      this.#path === undefined
        ? await fetch(url + first, { ...asJson(body), signal: this.#signal })
        : await fetch(url + this.#path, { headers: again, signal: this.#signal });
    if (!response.ok) throw new HttpError(response.status, await response.text());
    if (this.#path === undefined) this.#accepted(response);
    return response;
  }

  #accepted({ headers }: Response): void {
    const { result } = this;
    this.#path = headers.get("location") ?? headers.get("content-location") ?? undefined;
    const [, threadId, runId] = /(?:\/threads\/([^/]+))?\/runs\/([^/]+)/.exec(this.#path ?? "") ?? [];
    result.runId = runId ?? "";
    result.threadId = threadId ?? result.threadId;
    this.#fleet.history.note("client", "accepted", { run: result.runId, thread: result.threadId });
  }

  async #read(response: Response): Promise<void> {
    const reader = new SseReader(response);
    let told = 0;
    const take = () => {
      const fresh = reader.events.slice(told);
      told += fresh.length;
      for (const event of fresh) this.#take(event);
      return over(this.result.events);
    };
    try {
      await reader.readUntil(take);
    } finally {
      take();
    }
    if (over(this.result.events)) await reader.leave();
  }

  #take(event: SseEvent): void {
    const { result } = this;
    if (event.id !== undefined) this.#lastId = event.id;
    this.#attempt = 0;
    if (this.#broke !== undefined) result.longestGap = Math.max(result.longestGap, performance.now() - this.#broke);
    this.#broke = undefined;
    result.events.push(event);
    this.#fleet.history.note("client", event.event, { run: result.runId, what: event.id });
    this.#options.onEvent?.(event, result.events);
  }
}

function asJson(body: unknown) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function describe({ connections, events }: Streamed): string {
  return `${connections} connections, last events ${events.slice(-3).map(({ event, id }) => `${event} ${id}`)}`;
}

function over(events: readonly SseEvent[]): boolean {
  const name = events.at(-1)?.event;
  return name === "end" || name === "error";
}

/** Nobody knows whether there is a run. */
export class NotAccepted extends Error {}

/** A stream that is not over was closed as if it were: only one that is broken off is made again. */
class EndedWell extends Error {}

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`${status} ${text.slice(0, 300)}`);
    this.status = status;
  }
}

export async function post(url: string, path: string, body: unknown = {}): Promise<Response> {
  return fetch(url + path, asJson(body));
}

// biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
export async function ask(url: string, path: string, body?: unknown): Promise<any> {
  const response = body === undefined ? await fetch(url + path) : await post(url, path, body);
  const text = await response.text();
  if (!response.ok) throw new HttpError(response.status, `${path}: ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** The whole log of a run as an instance tells it. */
export async function replay(instance: Instance, run: { threadId: string; runId: string }): Promise<SseEvent[]> {
  const path = run.threadId === "" ? `/runs/${run.runId}/stream` : `/threads/${run.threadId}/runs/${run.runId}/stream`;
  const response = await fetch(instance.url + path, { headers: { "last-event-id": "-1" } });
  if (!response.ok) throw new HttpError(response.status, await response.text());
  return new SseReader(response).rest();
}
