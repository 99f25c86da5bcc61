import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A call that a graph made outside, like one of a model: nothing of it can be taken back. */
export interface Call {
  run: string;
  thread: string;
  step: number;
  pid: number;
  /** Monotonic ms. */
  began: number;
  /** When it was answered; undefined: not yet, or never. */
  answered?: number;
  /** When the caller hung up before the answer. */
  aborted?: number;
}

/** Counts what graphs do outside, in place of a model. */
export class Judge implements AsyncDisposable {
  readonly calls: Call[] = [];
  readonly #server: Server;
  #waiting: { met: () => boolean; resolve: () => void }[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<Judge> {
    const server = createServer();
    const judge = new Judge(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return judge;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  of(runId: string): Call[] {
    return this.calls.filter(({ run }) => run === runId);
  }

  /** Until the condition holds; looked at whenever a call begins or ends. */
  async until(met: () => boolean): Promise<void> {
    if (met()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ met, resolve }));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { ms, ...asked } = JSON.parse(text) as Call & { ms: number };
    const call: Call = { ...asked, began: performance.now() };
    this.calls.push(call);
    this.#look();
    response.once("close", () => {
      if (call.answered === undefined) call.aborted = performance.now();
      this.#look();
    });
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    if (call.aborted !== undefined) return;
    response.end("ok", () => {
      call.answered = performance.now();
      this.#look();
    });
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ met, resolve }) => {
      const now = met();
      if (now) resolve();
      return !now;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
