import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy that breaks off every connection after a number of bytes of its answer that it is told anew each time. */
export class CuttingProxies implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: () => string, bytes: () => number): Promise<CuttingProxies> {
    const server = createServer();
    const proxy = new CuttingProxies(server);
    server.on("connection", (near) => {
      const { hostname, port } = new URL(target());
      proxy.#pass(near, connect(Number(port), hostname), bytes());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #pass(near: Socket, far: Socket, limit: number): void {
    let bytes = 0;
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.on("data", (chunk: Buffer) => {
      const rest = limit - bytes;
      bytes += chunk.length;
      if (chunk.length < rest) {
        near.write(chunk);
        return;
      }
      this.cuts++;
      // In the middle of whatever it was; what came before arrives.
      near.write(chunk.subarray(0, rest), () => near.resetAndDestroy());
      far.destroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** One SSE request on a bare socket: thousands of them fit into a test process. */
export class BareReader {
  readonly #socket: Socket;
  #text = "";
  /** Of the answer's first line; 0: none yet. */
  status = 0;
  bytes = 0;
  /** The last event id that was seen. */
  lastId: string | undefined;
  ended = false;
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
    this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: fractal\r\naccept: text/event-stream\r\n${id}\r\n`);
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
      if (line === "event: end") this.ended = true;
      if (this.#keep && /^(?:id|event|data): /.test(line)) this.#hash.update(`${line}\n`);
    }
  }
}
