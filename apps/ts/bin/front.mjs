// The listener of `fractal dev`. It stands before the server and stays while one server process replaces another.
//
//   closed --listen--> holding --release--> passing --hold--> holding (a reload, a crash)
//                         +------refuse----> refusing --release--> passing
//
// holding: requests wait for the next server, for HOLD_MS at most. refusing: the server cannot be started, or all of it
// stops; requests get a 503 that says so. Bodies pass as they come, in both directions, and a client that leaves takes
// its connection to the server with it. Waits and event streams that the old server leaves open are continued by the new one
// (exchange.mjs). Plain JavaScript for Node 18 and Bun, like the supervisor.
import { once } from "node:events";
import { createServer } from "node:http";
import { Exchange } from "./exchange.mjs";

/** A reload lets runs yield for 10 s and then loads every graph. */
const HOLD_MS = 60_000;
/** Ordinary requests end before a server is replaced; those that take longer share its grace. */
const SETTLE_MS = 1_000;
/** The new server answers before it executes runs: none of them can end unseen. */
const REJOIN_MS = 5_000;
/** As the server does. */
const KEEP_ALIVE_MS = 60_000;
const MAX_HEADER_BYTES = 64 * 1024;

export class Front {
  #listener;
  #address;
  /** Where the server listens; undefined while requests are held or refused. */
  #port;
  /** Why requests are refused. */
  #refusal;
  /** Settle functions of the requests that are held. */
  #held = new Set();
  #exchanges = new Set();
  /** Everything stops: what breaks now stays broken. */
  closing = false;

  /** @returns The requests that wait for a server. */
  get held() {
    return this.#held.size;
  }

  /** Listens there, or goes on if it does. Rejects with the system's error. @returns {Promise<number>} The port. */
  async listen({ hostname, port }) {
    const old = this.#listener;
    const known = this.#address;
    if (known?.hostname === hostname && (port === 0 || port === known.port)) return known.port;
    const options = { keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0 };
    const listener = createServer(options, (request, response) => this.#take(request, response));
    listener.listen(port, hostname);
    await once(listener, "listening");
    this.#listener = listener;
    this.#address = { hostname, port: listener.address().port };
    old?.close();
    return this.#address.port;
  }

  /** Requests wait from here on. */
  hold() {
    this.#port = undefined;
    this.#refusal = this.closing ? this.#refusal : undefined;
  }

  /** Resolves when the server has begun to answer everything that it was sent, or in a second. */
  async settled() {
    const timeout = AbortSignal.timeout(SETTLE_MS);
    const late = once(timeout, "abort");
    for (;;) {
      const open = [...this.#exchanges].flatMap(({ unanswered }) => unanswered ?? []);
      if (timeout.aborted || open.length === 0) return;
      await Promise.race([late, Promise.all(open)]);
    }
  }

  /** Continues at the new server what the old one left open. Resolves when that has begun. */
  async rejoin(port) {
    const late = new Promise((resolve) => setTimeout(resolve, REJOIN_MS).unref());
    await Promise.race([late, Promise.all([...this.#exchanges].map((exchange) => exchange.rejoin(port)))]);
  }

  /** The server is ready: what waits goes there, and all that comes. */
  release(port) {
    if (this.closing) return;
    this.#refusal = undefined;
    this.#port = port;
    for (const settle of [...this.#held]) settle();
  }

  /** No server comes: what waits and what comes is told so. */
  refuse(reason) {
    this.#port = undefined;
    this.#refusal ??= reason;
    for (const settle of [...this.#held]) settle();
    for (const exchange of this.#exchanges) exchange.abandon(reason);
  }

  /** Takes no more connections; what is under way goes on. */
  stop() {
    if (this.closing) return;
    this.closing = true;
    this.refuse("The server is stopping.");
    this.#listener?.close();
  }

  /** Resolves when every answer has been sent, or after `ms`. */
  async drained(ms) {
    const late = new Promise((resolve) => setTimeout(resolve, ms));
    await Promise.race([late, Promise.all([...this.#exchanges].map(({ done }) => done))]);
  }

  /** @returns {boolean} Whether the server that was there is going, or gone. */
  get changing() {
    return this.#port === undefined;
  }

  /**
   * @param {AbortSignal} left Of the client.
   * @returns {Promise<number>} Where the server listens. Rejects with an Error for the client.
   */
  async server(left) {
    if (this.#port === undefined && this.#refusal === undefined) await this.#change(left);
    if (this.#refusal !== undefined) throw new Error(this.#refusal);
    if (this.#port === undefined) throw new Error(`The server has not come back for ${HOLD_MS / 1_000} s.`);
    return this.#port;
  }

  #change(left) {
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        left.removeEventListener("abort", settle);
        this.#held.delete(settle);
        resolve();
      };
      const timer = setTimeout(settle, HOLD_MS);
      left.addEventListener("abort", settle);
      this.#held.add(settle);
    });
  }

  #take(request, response) {
    const exchange = new Exchange({ front: this, request, response });
    this.#exchanges.add(exchange);
    void exchange.done.then(() => this.#exchanges.delete(exchange));
    void exchange.run();
  }
}
