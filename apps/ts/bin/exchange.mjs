// One request of a client of `fractal dev` (front.mjs), from its arrival to the end of its answer.
import { request as send } from "node:http";
import { Replay } from "./replay.mjs";

/** Concern one connection, not the request. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"]);
/** Of a request that made a run, what the request that joins it does not have. */
const OF_BODY = new Set(["content-length", "content-type", "content-encoding", "transfer-encoding", "idempotency-key"]);
/** A connection may break before the supervisor hears that its server has ended. */
const NEWS_MS = 1_000;
/** As the server does: clients take silence for a dead connection. */
const HEARTBEAT_MS = 5_000;

export class Exchange {
  #front;
  #request;
  #response;
  /** Aborts when the client has gone. */
  #left = new AbortController();
  /** The request to the server. */
  #upstream;
  /** What the client has been sent of a wait or an event stream; undefined for other answers. */
  #replay;
  /** Broken off by a server that was replaced, and waiting for the next. */
  #suspended = false;
  #heartbeat;
  #isRepeated = false;
  #finish;
  /** While the server has it and has not begun to answer: resolves when it does, or will not. */
  unanswered;
  #begun = () => undefined;

  constructor({ front, request, response }) {
    this.#front = front;
    this.#request = request;
    this.#response = response;
    /** Resolves when nothing is left to do. */
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    response.once("close", () => {
      clearInterval(this.#heartbeat);
      // The next server has to learn that the client of this run has gone.
      const owing = this.#suspended && this.#replay.cancels;
      if (!response.writableFinished) this.#left.abort();
      if (!owing) this.#close();
    });
    // Their ends are seen on the answer.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
  }

  async run() {
    try {
      while (!this.#left.signal.aborted && !(await this.#pass(await this.#front.server(this.#left.signal))));
    } catch (error) {
      this.#refuse(error.message);
    }
  }

  /** @returns {Promise<boolean>} False: the server was not there any more and has seen nothing of it. */
  #pass(port) {
    if (this.#left.signal.aborted) return Promise.resolve(true);
    const { method, url } = this.#request;
    const upstream = this.#open({ port, method, path: url, headers: forwarded(this.#request) });
    this.unanswered = new Promise((resolve) => {
      this.#begun = () => {
        this.unanswered = undefined;
        resolve();
      };
    });
    return new Promise((resolve) => {
      upstream.once("socket", (socket) => socket.once("connect", () => this.#request.pipe(upstream)));
      upstream.once("response", (answer) => {
        this.#begun();
        this.#answer(answer);
        resolve(true);
      });
      upstream.on("error", async (error) => {
        this.#begun();
        if (this.#left.signal.aborted || this.#response.headersSent) return resolve(true);
        await this.#news();
        if (this.#front.changing && this.#mayRepeat(error)) return resolve(false);
        this.#refuse("The server ended while it worked on this request, which may or may not have been carried out.");
        resolve(true);
      });
    });
  }

  #open({ port, method, path, headers }) {
    // A connection of its own: its end is the client's end, and none is idle when a server is replaced.
    const options = {
      host: "127.0.0.1",
      port,
      method,
      path,
      headers: [...headers, "Connection", "close"],
      agent: false,
    };
    this.#upstream = send(options);
    return this.#upstream;
  }

  /** Its body has not been read, or it has none and changes nothing: once, since it may be what ended the server. */
  #mayRepeat({ code }) {
    if (code === "ECONNREFUSED") return true;
    const isRead = this.#request.method === "GET" || this.#request.method === "HEAD";
    const may = isRead && !this.#isRepeated;
    this.#isRepeated = true;
    return may;
  }

  #answer(answer) {
    const { statusCode, statusMessage, rawHeaders } = answer;
    const headers = without(rawHeaders, (name) => HOP_BY_HOP.has(name) || name === "transfer-encoding");
    this.#response.writeHead(statusCode, statusMessage, headers);
    this.#response.flushHeaders();
    this.#replay = Replay.of(this.#request, answer);
    this.#forward(answer);
  }

  /** Passes a body on as it comes; the client's pace is the server's. */
  #forward(answer) {
    const response = this.#response;
    answer.on("data", (bytes) => {
      this.#replay?.sent(bytes);
      if (response.write(bytes)) return;
      answer.pause();
      response.once("drain", () => answer.resume());
    });
    answer.once("end", () => answer.complete && response.end());
    answer.on("error", () => undefined);
    answer.once("close", () => {
      if (!answer.complete && !this.#left.signal.aborted) void this.#broken();
    });
  }

  /** The server broke an answer off: if it is being replaced, the next one goes on with it where that is possible. */
  async #broken() {
    if (this.#replay?.possible !== true || this.#front.closing) return this.#response.destroy();
    this.#suspended = true;
    await this.#news();
    if (!this.#suspended) return;
    if (!this.#front.changing) return this.#response.destroy();
    this.#heartbeat = setInterval(() => this.#response.write(this.#replay.beat), HEARTBEAT_MS);
  }

  async #news() {
    const until = Date.now() + NEWS_MS;
    while (!this.#front.changing && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Continues at the next server. Resolves when that has begun to answer. */
  rejoin(port) {
    if (!this.#suspended) return undefined;
    this.#resume();
    const { path, headers } = this.#replay.next();
    const given = without(forwarded(this.#request), (name) => OF_BODY.has(name) || name === "last-event-id");
    const upstream = this.#open({ port, method: "GET", path, headers: [...given, ...headers] });
    let answered = false;
    return new Promise((resolve) => {
      upstream.once("response", (answer) => {
        answered = true;
        resolve();
        // Its client left meanwhile, and the server sees it leave now.
        if (this.#left.signal.aborted) return this.#close();
        if (answer.statusCode === 200) return this.#forward(answer);
        answer.resume();
        this.#response.end(this.#replay.failure(`The reloaded server answered ${answer.statusCode} for this run.`));
      });
      upstream.on("error", () => {
        resolve();
        if (this.#left.signal.aborted) return this.#close();
        // What breaks later breaks the answer.
        if (answered) return;
        this.#suspended = true;
        void this.#broken();
      });
      upstream.end();
    });
  }

  /** No next server comes. */
  abandon(reason) {
    if (!this.#suspended) return;
    this.#resume();
    // A stream is taken up again by its client; a wait has no other way to learn it.
    if (this.#replay.kind === "stream") this.#response.destroy();
    else this.#response.end(this.#replay.failure(`${reason} The run goes on when the server is back.`));
  }

  #resume() {
    this.#suspended = false;
    clearInterval(this.#heartbeat);
  }

  #close() {
    this.#begun();
    this.#upstream?.destroy();
    this.#finish();
  }

  #refuse(detail) {
    const response = this.#response;
    if (response.headersSent || this.#left.signal.aborted) return;
    this.#request.resume();
    const body = `${JSON.stringify({ detail })}\n`;
    response.writeHead(503, {
      "content-type": "application/json",
      "retry-after": "1",
      "content-length": Buffer.byteLength(body),
    });
    response.end(this.#request.method === "HEAD" ? undefined : body);
  }
}

/** As the client sent them, which the server's rules for hosts and origins read, with the client's address. */
function forwarded({ rawHeaders, socket }) {
  const headers = without(rawHeaders, (name) => HOP_BY_HOP.has(name) || name === "x-forwarded-for");
  const before = headerOf(rawHeaders, "x-forwarded-for");
  const client = socket.remoteAddress ?? "unknown";
  // HTTP/1.0 may do without a host, and this is no HTTP/1.0 connection.
  if (headerOf(rawHeaders, "host") === undefined) headers.push("Host", "localhost");
  headers.push("X-Forwarded-For", before === undefined ? client : `${before}, ${client}`);
  return headers;
}

/** @param rawHeaders Names and values in turn. */
function without(rawHeaders, drop) {
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!drop(rawHeaders[i].toLowerCase())) kept.push(rawHeaders[i], rawHeaders[i + 1]);
  }
  return kept;
}

function headerOf(rawHeaders, name) {
  const values = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i].toLowerCase() === name) values.push(rawHeaders[i + 1]);
  return values.length === 0 ? undefined : values.join(", ");
}
