// What a client of `fractal dev` has seen of a wait or an event stream, so that another server can go on with it.

const NEWLINE = 10;
const ID = /^id: ?(.*)$/;
/** Longer lines are data. */
const MAX_ID_LINE = 200;

export class Replay {
  /** "wait" or "stream". */
  kind;
  /** Whether the run is cancelled when its client goes. */
  cancels;
  #path;
  /** Of an event stream: the last id that its client has. */
  #lastId;
  /** The id of the event that is being sent. */
  #id;
  /** The beginning of the line that is being sent. */
  #line = "";
  /** Bytes of that line. */
  #length = 0;
  #between = true;
  /** Of a stream: it stands between two events. Of a wait: nothing but newlines was sent. */
  possible = true;

  /** @returns {Replay | undefined} Of an answer that another server can continue. */
  static of({ method, url, headers: asked }, { statusCode, headers }) {
    if (statusCode !== 200 || method === "HEAD") return undefined;
    const type = headers["content-type"] ?? "";
    const { location } = headers;
    const kind = type.startsWith("text/event-stream") ? "stream" : location?.endsWith("/join") ? "wait" : undefined;
    if (kind === undefined || (method !== "GET" && location === undefined)) return undefined;
    const cancels = headers["x-fractal-on-disconnect"] === "cancel";
    // Who made the run sees it from its beginning.
    const from = method === "GET" ? asked["last-event-id"] : "-1";
    const path = method === "GET" ? url : joinPath({ url, location, cancels });
    return new Replay({ kind, path, cancels, from });
  }

  constructor({ kind, path, cancels, from }) {
    this.kind = kind;
    this.cancels = cancels;
    this.#path = path;
    this.#lastId = kind === "stream" ? from : undefined;
  }

  /** Sent while nothing else is. */
  get beat() {
    return this.kind === "stream" ? ": heartbeat\n\n" : "\n";
  }

  sent(bytes) {
    if (this.kind === "wait") {
      this.possible &&= bytes.every((byte) => byte === NEWLINE);
      return;
    }
    let from = 0;
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
      this.#add(bytes, from, at);
      this.#endLine();
      from = at + 1;
    }
    this.#add(bytes, from, bytes.length);
    if (from < bytes.length) this.possible = false;
  }

  /** The request that continues it. */
  next() {
    const headers = this.#lastId === undefined ? [] : ["Last-Event-ID", this.#lastId];
    return { path: this.#path, headers };
  }

  /** The end of an answer that nobody can continue. */
  failure(message) {
    const error = { error: "Unavailable", message };
    if (this.kind === "wait") return JSON.stringify({ __error__: error });
    return `event: error\ndata: ${JSON.stringify(error)}\n\n`;
  }

  #add(bytes, from, to) {
    this.#length += to - from;
    if (this.#line.length < MAX_ID_LINE) {
      this.#line += bytes.toString("latin1", from, Math.min(to, from + MAX_ID_LINE - this.#line.length));
    }
  }

  #endLine() {
    const blank = this.#length === 0 || this.#line === "\r";
    const id = this.#length < MAX_ID_LINE ? ID.exec(this.#line.replace(/\r$/, ""))?.[1] : undefined;
    if (id !== undefined) this.#id = id;
    if (blank && this.#id !== undefined) this.#lastId = this.#id;
    if (blank) this.#id = undefined;
    // Comments and the pause before a new try belong to no event.
    if (!/^(:|retry:)/.test(this.#line)) this.#between = blank;
    this.possible = this.#between;
    this.#line = "";
    this.#length = 0;
  }
}

/** Where the run of a request can be joined, with what that request wanted of its stream. */
function joinPath({ url, location, cancels }) {
  const query = new URLSearchParams();
  for (const namespace of new URL(url, "http://localhost").searchParams.getAll("namespace")) {
    query.append("namespace", namespace);
  }
  if (cancels) query.set("cancel_on_disconnect", "true");
  return query.size === 0 ? location : `${location}?${query}`;
}
