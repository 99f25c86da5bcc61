import type { Socket } from "node:net";
import { TcpProxy } from "../servers/tcp-proxy.ts";

/** A TCP proxy before Postgres that loses the answer to a statement: it was committed, and its caller never knows. */
export class DatabaseProxy implements AsyncDisposable {
  #proxy: TcpProxy | undefined;
  readonly #target: URL;
  #lose: string | undefined;
  /** Answers that were lost. */
  lost = 0;
  /** Swallows everything in both directions, as a half-open connection does; new ones are accepted and not answered. */
  silent = false;

  private constructor(target: URL) {
    this.#target = target;
  }

  static async start(target: string): Promise<DatabaseProxy> {
    const between = new DatabaseProxy(new URL(target));
    between.#proxy = await TcpProxy.start(
      () => target,
      (near, far) => between.#pass(near, far),
    );
    return between;
  }

  get url(): string {
    const url = new URL(this.#target);
    url.hostname = "127.0.0.1";
    url.port = `${this.#proxy?.port}`;
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
    this.#proxy?.cut();
  }

  #pass(near: Socket, far: Socket): void {
    let doomed = false;
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
    await this.#proxy?.[Symbol.asyncDispose]();
  }
}
