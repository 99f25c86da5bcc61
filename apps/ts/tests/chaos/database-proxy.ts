import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy before Postgres that loses the answer to a statement: it was committed, and its caller never knows. */
export class DatabaseProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: URL;
  #lose: string | undefined;
  /** Answers that were lost. */
  lost = 0;
  /** Swallows everything in both directions, as a half-open connection does; new ones are accepted and not answered. */
  silent = false;

  private constructor(server: Server, target: URL) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: string): Promise<DatabaseProxy> {
    const server = createServer();
    const proxy = new DatabaseProxy(server, new URL(target));
    server.on("connection", (near) => proxy.#pass(near));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    const url = new URL(this.#target);
    url.hostname = "127.0.0.1";
    url.port = `${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** The answer to the next statement with this text is lost, with its connection. Statements must not be prepared. */
  loseAnswerTo(text: string): void {
    this.#lose = text;
  }

  get armed(): boolean {
    return this.#lose !== undefined;
  }

  /** Breaks off every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(near: Socket): void {
    const far = connect(Number(this.#target.port), this.#target.hostname);
    let doomed = false;
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on("data", (chunk) => {
      if (this.silent) return;
      if (this.#lose !== undefined && chunk.includes(this.#lose)) {
        this.#lose = undefined;
        doomed = true;
      }
      far.write(chunk);
    });
    far.on("data", (chunk) => {
      if (this.silent) return;
      if (!doomed) {
        near.write(chunk);
        return;
      }
      // It was committed before the server began to answer.
      this.lost++;
      near.destroy();
      far.destroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
