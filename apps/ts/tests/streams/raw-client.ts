import { connect, type Socket } from "node:net";

/** A bare TCP connection that has sent one HTTP request; nothing is read unless it is asked for. */
export class RawClient {
  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** @param body Sent as JSON; without it the request is a GET. */
  static async open(url: string, path: string, body?: unknown): Promise<RawClient> {
    const { hostname, port, host } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    socket.on("error", () => undefined);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const text = body === undefined ? "" : JSON.stringify(body);
    const head = [
      `${body === undefined ? "GET" : "POST"} ${path} HTTP/1.1`,
      `host: ${host}`,
      `content-length: ${Buffer.byteLength(text)}`,
    ];
    socket.pause();
    socket.write(`${head.join("\r\n")}\r\n\r\n${text}`);
    return new RawClient(socket);
  }

  /** Everything up to and with the chunk that holds `mark`; then it stops reading again. */
  async readUntil(mark: string): Promise<string> {
    let text = "";
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const onData = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes(mark)) resolve(text);
    };
    const onClose = () => reject(new Error(`closed before ${JSON.stringify(mark)} came: ${text.slice(-200)}`));
    this.socket.on("data", onData);
    this.socket.once("close", onClose);
    this.socket.resume();
    try {
      return await promise;
    } finally {
      this.socket.pause();
      this.socket.off("data", onData);
      this.socket.off("close", onClose);
    }
  }

  /** Everything that still comes until the other side closes, however it does that. */
  async rest(): Promise<string> {
    let text = "";
    this.socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    const closed = new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
    this.socket.resume();
    await closed;
    return text;
  }

  /** Without a word: RST where the other side has unread data for us, FIN else. */
  vanish(): void {
    this.socket.resetAndDestroy();
  }
}
