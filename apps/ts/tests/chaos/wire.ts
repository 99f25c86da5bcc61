import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

/** One SSE request on a bare socket: thousands of them fit into a test process. */
export class BareReader {
  readonly #socket: Socket;
  #text = "";
  /** Of the answer's first line; 0: none yet. */
  status = 0;
  bytes = 0;
  /** The last event id that was seen. */
  lastId: string | undefined;
  /** Whether all of the event `end` has come: the connection may be cut within it. */
  ended = false;
  #ending = false;
  closed = false;
  readonly #keep: boolean;
  /** Ids of all events, and a hash over id and data of each, when it keeps them. */
  readonly ids: string[] = [];
  readonly #hash = createHash("sha256");

  constructor(url: string, path: string, options: { lastId?: string | undefined; keep?: boolean } = {}) {
    const { hostname, port } = new URL(url);
    this.#keep = options.keep ?? false;
    this.#socket = connect(Number(port), hostname);
    this.#socket.setEncoding("utf8");
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      this.closed = true;
    });
    this.#socket.on("data", (text: string) => this.#take(text));
    const id = options.lastId === undefined ? "" : `last-event-id: ${options.lastId}\r\n`;
    this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n${id}\r\n`);
  }

  /** Reads nothing more until `resume`. */
  stall(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  drop(): void {
    this.#socket.destroy();
  }

  get hash(): string {
    return this.#hash.copy().digest("hex");
  }

  #take(text: string): void {
    this.bytes += text.length;
    this.#text += text;
    if (this.status === 0) this.status = Number(/^HTTP\/1\.1 (\d+)/.exec(this.#text)?.[1] ?? 0);
    // Chunk sizes stand on lines of their own and name no field.
    const lines = this.#text.split(/\r?\n/);
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("id: ")) {
        this.lastId = line.slice(4);
        if (this.#keep) this.ids.push(this.lastId);
      }
      if (line === "event: end") this.#ending = true;
      if (line === "" && this.#ending) this.ended = true;
      if (this.#keep && /^(?:id|event|data): /.test(line)) this.#hash.update(`${line}\n`);
    }
  }
}
