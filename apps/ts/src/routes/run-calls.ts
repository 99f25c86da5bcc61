import type { Logger } from "@fractal-agents/infra/logger";
import { maskSecrets } from "@fractal-agents/infra/secrets";
import type { Context } from "hono";
import { RuntimeError } from "#core/errors";
import { withoutServerKeys } from "#core/graphs/server-keys";
import type { AuthScope } from "#core/identity/scope";
import type { RunKwargs } from "#core/runs/create";
import { type Readable, StreamSuspended } from "#core/runs/read";
import type { RunRecord } from "#core/runs/repository";
import type { Accepted, RunService } from "#core/runs/service";
import { type EventId, parseEventId } from "#core/streams/events";
import type { JsonObject } from "#schemas/common";
import type { RunCreate } from "#schemas/run-requests";
import type { Run } from "#schemas/runs";
import type { Env } from "./router.ts";
import { type StreamCall, type StreamCount, sseResponse, waitResponse } from "./sse.ts";
import type { Unread } from "./unread.ts";

export interface RunRouteDeps {
  runs: RunService;
  logger: Logger;
  /** Whether a run's stream closes with `event: end` (FRACTAL_STREAM_END_EVENT). */
  endEvent: boolean;
  /** Told of the event streams that are open. */
  streams?: StreamCount | undefined;
  /** What the clients of this process have not read yet. */
  unread?: Unread | undefined;
}

/** The run as clients see it: without the server's own arguments, its secrets masked. */
export function toRun(record: RunRecord): Run {
  return {
    run_id: record.run_id,
    thread_id: record.thread_id,
    assistant_id: record.assistant_id,
    created_at: record.created_at,
    updated_at: record.updated_at,
    status: record.status,
    metadata: maskSecrets(record.metadata),
    kwargs: toKwargs(record),
    multitask_strategy: record.multitask_strategy,
  };
}

/** Arguments of a run under the names that LangGraph Platform has for them; what was not given is null. */
function toKwargs(record: RunRecord): JsonObject {
  const { run_id, thread_id, assistant_id, graph_id, durability } = record;
  const { transient: _, batch: __, request_id, ...kwargs } = record.kwargs as unknown as RunKwargs;
  const { config, context } = kwargs;
  const place = { run_id, thread_id, assistant_id, graph_id, langgraph_request_id: request_id };
  return {
    command: null,
    interrupt_before: null,
    interrupt_after: null,
    ...kwargs,
    config: maskSecrets({ ...config, configurable: { ...withoutServerKeys(config.configurable ?? {}), ...place } }),
    context: maskSecrets(context ?? null),
    durability,
    checkpoint_during: durability !== "exit",
    temporary: record.stateless && record.on_completion === "delete",
    resumable: record.logged,
    feedback_keys: null,
    webhook: null,
  };
}

/** Clients learn the run's id from Content-Location, and reconnect to Location. Nothing may follow the id. */
export function locations(run: RunRecord, kind: "stream" | "join"): Record<string, string> {
  const ofThread = `/threads/${run.thread_id}/runs/${run.run_id}`;
  const own = run.stateless ? `/runs/${run.run_id}` : ofThread;
  return {
    "content-location": own,
    location: kind === "stream" ? `${own}/stream` : `${ofThread}/join`,
  };
}

/** How a client wants to go on: its Last-Event-ID, or undefined. Malformed: RuntimeError invalid. */
export function lastEventId(c: Context<Env>): EventId | undefined {
  const header = c.req.header("last-event-id");
  if (header === undefined || header === "") return undefined;
  const id = parseEventId(header);
  if (id === undefined) throw new RuntimeError("invalid", `Last-Event-ID: "${header}" is not an event id`);
  return id;
}

/** Characters: longer ones do not fit the index that finds them. */
const MAX_KEY = 255;

/** Whether two requests are the same one is the client's to say; an empty key says nothing. */
export function idempotencyKey(c: Context<Env>): string | undefined {
  const key = c.req.header("idempotency-key");
  if (key === undefined || key === "") return undefined;
  if (key.length > MAX_KEY) {
    throw new RuntimeError("invalid", `Idempotency-Key: has ${key.length} characters, the most is ${MAX_KEY}`);
  }
  return key;
}

/** Whether the run is cancelled when the client goes; of a resumable run it may come back first. */
type OnDisconnect = boolean | "if it stays away";

function onDisconnect(request: RunCreate): OnDisconnect {
  if (request.on_disconnect !== "cancel") return false;
  return request.stream_resumable === true ? "if it stays away" : true;
}

/** Nobody would read the body of an answer to HEAD, so none is begun: it would never be closed. */
function headOf(run: RunRecord, kind: "stream" | "join"): Response {
  return new Response(null, { headers: locations(run, kind) });
}

/** The three ways to make a run, over both forms of the path. */
export class RunCalls {
  readonly #deps: RunRouteDeps;

  constructor(deps: RunRouteDeps) {
    this.#deps = deps;
  }

  async background(c: Context<Env>, request: RunCreate, threadId?: string): Promise<Run> {
    const { run } = await this.#create(c, { request, threadId, streamed: false, attached: false });
    c.header("content-location", locations(run, "stream")["content-location"] as string);
    return toRun(run);
  }

  async stream(
    c: Context<Env>,
    request: RunCreate,
    { threadId, namespaces }: { threadId?: string; namespaces: string[] | undefined },
  ): Promise<Response> {
    const accepted = await this.#create(c, { request, threadId, streamed: true, attached: true });
    return this.streamOf(c, accepted, { from: "start", cancelOnDisconnect: onDisconnect(request), namespaces });
  }

  async wait(c: Context<Env>, request: RunCreate, threadId?: string): Promise<Response> {
    const accepted = await this.#create(c, { request, threadId, streamed: false, attached: true });
    return this.waitOf(c, accepted, { cancelOnDisconnect: onDisconnect(request) });
  }

  streamOf(
    c: Context<Env>,
    target: Readable,
    how: {
      from: "start" | "now" | EventId;
      cancelOnDisconnect: OnDisconnect;
      modes?: string[] | undefined;
      namespaces?: string[] | undefined;
    },
  ): Response {
    if (c.req.method === "HEAD") return headOf(target.run, "stream");
    const call = this.#call(c, target.run, {
      headers: locations(target.run, "stream"),
      cancel: how.cancelOnDisconnect,
    });
    const frames = this.#deps.runs.reader.frames(c.var.scope, target, {
      from: how.from,
      modes: how.modes === undefined ? undefined : new Set(how.modes),
      namespaces: how.namespaces === undefined ? undefined : new Set(how.namespaces),
      endEvent: this.#deps.endEvent,
      signal: call.controller.signal,
    });
    return sseResponse(frames, call);
  }

  async waitOf(c: Context<Env>, target: Readable, how: { cancelOnDisconnect: OnDisconnect }): Promise<Response> {
    if (c.req.method === "HEAD") return headOf(target.run, "join");
    const call = this.#call(c, target.run, { headers: locations(target.run, "join"), cancel: how.cancelOnDisconnect });
    return waitResponse(this.#deps.runs.reader.result(c.var.scope, target, call.controller.signal), call);
  }

  /** A client has gone whose run is to go with it; only the log of a run that can be resumed lets it come back. */
  async #left(scope: AuthScope, run: RunRecord, cancel: OnDisconnect): Promise<void> {
    const { runs } = this.#deps;
    if (cancel === "if it stays away" && (await runs.reader.audience.outlasts(run.run_id))) return;
    await runs.abandon(scope, run.run_id);
  }

  #create(
    c: Context<Env>,
    call: { request: RunCreate; threadId: string | undefined; streamed: boolean; attached: boolean },
  ): Promise<Accepted> {
    return this.#deps.runs.create(c.var.scope, call.request, {
      threadId: call.threadId,
      streamed: call.streamed,
      attached: call.attached,
      requestId: c.var.requestId,
      idempotencyKey: idempotencyKey(c),
    });
  }

  #call(c: Context<Env>, run: RunRecord, how: { headers: Record<string, string>; cancel: OnDisconnect }): StreamCall {
    const { logger, streams, unread } = this.#deps;
    const { scope } = c.var;
    return {
      request: c.req.raw,
      streams,
      unread,
      // Middleware set headers on the context before the handler ran; a raw Response gets them from Hono.
      headers: how.cancel === false ? how.headers : { ...how.headers, "x-fractal-on-disconnect": "cancel" },
      controller: new AbortController(),
      onClientGone: how.cancel === false ? undefined : () => void this.#left(scope, run, how.cancel),
      onError: (error) => {
        if (error instanceof StreamSuspended) return;
        logger.error({ run_id: run.run_id, err: error }, "a stream broke off");
      },
    };
  }
}
