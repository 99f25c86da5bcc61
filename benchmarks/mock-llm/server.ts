import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { anthropic } from "./anthropic.ts";
import type { Dialect, JsonObject } from "./dialect.ts";
import { google } from "./google.ts";
import { openAi } from "./openai.ts";
import type { OrderFault } from "./order.ts";
import { type CompletionRequest, chooseReply, promptTokens, type Reply, replyTokens } from "./reply.ts";
import { fromEnvironment, type MockLlmOptions, type Settings, withDefaults } from "./settings.ts";

export interface MockLlmStats {
  /** Answers begun, and those whose client went away before the end. */
  requests: number;
  aborted: number;
  /** Conversations that were refused for the order of their messages. */
  refused: number;
  prompt_tokens: number;
  completion_tokens: number;
  uptime_seconds: number;
  config: Settings;
}

/** A request as it arrived; the newest 50 are kept. */
export interface ReceivedRequest {
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: CompletionRequest & Record<string, unknown>;
}

export interface MockLlm {
  /** Without a path, for example http://127.0.0.1:40123; OpenAI's clients want `${url}/v1`, the others this. */
  url: string;
  stats(): MockLlmStats;
  received(): readonly ReceivedRequest[];
  /** Counters to zero, requests forgotten. */
  reset(): void;
  /** Cuts what is open. Closing twice does nothing. */
  close(): Promise<void>;
}

const MAX_BODY = 32 * 1024 * 1024;
const KEPT_REQUESTS = 50;

class HttpError extends Error {
  readonly status: number;
  readonly fault: OrderFault;
  constructor(status: number, fault: OrderFault | string) {
    super(typeof fault === "string" ? fault : fault.message);
    this.status = status;
    this.fault = typeof fault === "string" ? { message: fault } : fault;
  }
}

/** The chat endpoints of OpenAI, Anthropic and Google, answered from a script. Runs on Bun and on Node. */
export async function startMockLlm(options: MockLlmOptions = {}): Promise<MockLlm> {
  const mock = new MockServer(withDefaults(options));
  await mock.listen();
  return mock;
}

class MockServer implements MockLlm {
  readonly #settings: Settings;
  readonly #server: Server;
  readonly #startedAt = Date.now();
  #counts = { requests: 0, aborted: 0, refused: 0, prompt_tokens: 0, completion_tokens: 0 };
  #received: ReceivedRequest[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#settings.port, this.#settings.host, () => resolve());
    });
  }

  stats(): MockLlmStats {
    return { ...this.#counts, uptime_seconds: (Date.now() - this.#startedAt) / 1000, config: this.#settings };
  }

  received(): readonly ReceivedRequest[] {
    return this.#received;
  }

  reset(): void {
    this.#counts = { requests: 0, aborted: 0, refused: 0, prompt_tokens: 0, completion_tokens: 0 };
    this.#received = [];
  }

  close(): Promise<void> {
    if (!this.#server.listening) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#server.close((error) => (error ? reject(error) : resolve()));
      this.#server.closeAllConnections();
    });
  }

  /** Never rejects: a client that left is counted, everything else becomes an answer. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on("close", () => {
      if (!response.writableFinished) gone.abort();
    });
    try {
      await this.#route(request, response, gone.signal);
    } catch (error) {
      if (gone.signal.aborted || response.headersSent) return void response.destroy();
      const status = error instanceof HttpError ? error.status : 500;
      const fault = error instanceof HttpError ? error.fault : { message: String(error) };
      sendJson(response, status, dialectOf(request).error(status, fault));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, gone: AbortSignal): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://mock");
    const route = `${request.method} ${pathname}`;
    switch (route) {
      case "POST /v1/chat/completions":
      case "POST /v1/messages":
        return this.#complete(request, response, gone);
      case "GET /v1/models":
        return sendJson(response, 200, {
          object: "list",
          data: [{ id: this.#settings.model, object: "model", created: seconds(this.#startedAt), owned_by: "mock" }],
        });
      case "GET /stats":
        return sendJson(response, 200, this.stats());
      case "POST /stats/reset":
        this.reset();
        return sendJson(response, 200, this.stats());
      case "GET /health":
        return sendJson(response, 200, { status: "ok" });
      case "GET /":
        return sendJson(response, 200, {
          service: "mock-llm",
          model: this.#settings.model,
          endpoints: [
            ...["POST /v1/chat/completions", "POST /v1/messages", "POST /v1beta/models/{model}:generateContent"],
            ...["POST /v1beta/models/{model}:streamGenerateContent", "GET /v1/models"],
            ...["GET /stats", "POST /stats/reset", "GET /health"],
          ],
        });
      default:
        if (request.method === "POST" && GOOGLE_PATH.test(pathname)) return this.#complete(request, response, gone);
        throw new HttpError(404, `No route ${route}`);
    }
  }

  async #complete(request: IncomingMessage, response: ServerResponse, gone: AbortSignal): Promise<void> {
    const dialect = dialectOf(request);
    const body = parseRequest(await readBody(request), dialect.list);
    this.#remember(request, body as ReceivedRequest["body"]);
    const fault = this.#settings.strict ? dialect.fault(body) : undefined;
    if (fault !== undefined) {
      this.#counts.refused++;
      throw new HttpError(400, fault);
    }
    const asked = dialect.read(body);
    this.#counts.requests++;
    try {
      const reply = chooseReply(asked, this.#settings);
      await pause(this.#settings.delayMs, gone);
      const envelope = {
        // Clients make it the message's id, and a message list keeps one message per id: it must never come twice.
        id: randomUUID(),
        created: seconds(Date.now()),
        model: asked.model ?? this.#settings.model,
      };
      if (isStreamed(request, body)) await this.#stream(response, dialect.events(asked, reply, envelope), gone);
      else sendJson(response, 200, dialect.whole(asked, reply, envelope));
      this.#count(asked, reply);
    } catch (error) {
      if (gone.aborted) this.#counts.aborted++;
      throw error;
    }
  }

  async #stream(response: ServerResponse, events: Iterable<string>, gone: AbortSignal): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    for (const event of events) {
      await pause(this.#settings.streamDelayMs, gone);
      await write(response, event, gone);
    }
    response.end();
  }

  #remember(request: IncomingMessage, body: ReceivedRequest["body"]): void {
    this.#received.push({ headers: request.headers, body });
    if (this.#received.length > KEPT_REQUESTS) this.#received.shift();
  }

  #count(body: CompletionRequest, reply: Reply): void {
    this.#counts.prompt_tokens += promptTokens(body);
    this.#counts.completion_tokens += replyTokens(reply);
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BODY) throw new HttpError(413, `The body is larger than ${MAX_BODY} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const GOOGLE_PATH = /^\/v1(beta)?\/models\/[^/]+:(stream)?[gG]enerateContent$/;

function dialectOf({ url }: IncomingMessage): Dialect {
  const { pathname } = new URL(url ?? "/", "http://mock");
  if (pathname === "/v1/messages") return anthropic;
  return GOOGLE_PATH.test(pathname) ? google : openAi;
}

function isStreamed({ url }: IncomingMessage, body: JsonObject): boolean {
  return body.stream === true || (url ?? "").includes(":streamGenerateContent");
}

function parseRequest(text: string, list: Dialect["list"]): JsonObject {
  let body: JsonObject | null;
  try {
    body = JSON.parse(text);
  } catch {
    throw new HttpError(400, "The body is not JSON");
  }
  const messages = typeof body === "object" ? body?.[list] : undefined;
  if (!Array.isArray(messages)) throw new HttpError(400, `${list}: expected a list`);
  if (!messages.every((message) => typeof message === "object" && message !== null)) {
    throw new HttpError(400, `${list}: expected objects with a role`);
  }
  return body as JsonObject;
}

/** Waits, or throws as soon as the client is gone. */
async function pause(milliseconds: number, gone: AbortSignal): Promise<void> {
  if (milliseconds > 0) await setTimeout(milliseconds, undefined, { signal: gone });
  gone.throwIfAborted();
}

/** Writes and, when the socket's buffer is full, waits until the client has read. */
function write(response: ServerResponse, text: string, gone: AbortSignal): Promise<void> | undefined {
  if (response.write(text)) return undefined;
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error("The client is gone"));
    gone.addEventListener("abort", stop, { once: true });
    response.once("drain", () => {
      gone.removeEventListener("abort", stop);
      resolve();
    });
  });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}

if (import.meta.main) {
  const mock = await startMockLlm(fromEnvironment(process.env));
  process.stdout.write(`mock-llm listening on ${mock.url}\n`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void mock.close());
}
