import type { Redis, RedisOptions } from "ioredis";
import type { Address } from "./address.ts";

const COMMAND_TIMEOUT_MS = 2000;
const CONNECT_TIMEOUT_MS = 5000;
const PULSE_MS = 3000;
const SHORTEST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 3000;

/** What makes one connection different from the other. */
export interface LinkPurpose {
  /** Makes a fresh connection ready; rejects when the server does not let it do what it is for. */
  greet(redis: Redis): Promise<unknown>;
  /** Called when the connection becomes usable, or stops being so. */
  changed(up: boolean, error?: Error): void;
}

/**
 * One connection that is kept for ever. Commands fail at once while it is not up, and after 2 s without an answer; a
 * pulse finds sockets whose other end is gone without a word.
 *
 *   connecting --greeted--> up --closed, silent or refused--> connecting (after a backoff of 0.1 to 3 s)
 */
export class Link {
  readonly redis: Redis;
  readonly #purpose: LinkPurpose;
  readonly #first = Promise.withResolvers<void>();
  readonly #pulse: ReturnType<typeof setInterval>;
  #up = false;
  #failures = 0;
  #lastError: Error | undefined;
  #closing = false;

  constructor(client: new (options: RedisOptions) => Redis, address: Address, purpose: LinkPurpose) {
    this.#purpose = purpose;
    this.redis = new client({
      ...address,
      protocol: 2,
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      socketTimeout: COMMAND_TIMEOUT_MS,
      // What could not be said at once is not said late: hints would be stale, and entries are in the database.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      // Greeting is a better check, and INFO is forbidden to some users.
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: () => this.#backoff(),
    });
    this.redis.on("ready", () => void this.#greet());
    this.redis.on("error", (error: Error) => {
      this.#lastError = error;
      this.#first.reject(error);
    });
    this.redis.on("close", () => this.#down(this.#lastError ?? new Error("the connection was closed")));
    this.#pulse = setInterval(() => {
      if (this.#up) this.redis.ping().catch((error: Error) => this.failed(error));
    }, PULSE_MS);
    this.#pulse.unref();
  }

  get up(): boolean {
    return this.#up;
  }

  /** Resolves when the connection is up for the first time; rejects with what kept it from that. */
  async open(): Promise<void> {
    this.redis.connect().catch((error: Error) => this.#first.reject(this.#lastError ?? error));
    await this.#first.promise;
  }

  /** A command failed: the connection counts as lost until the server has been greeted again. */
  failed(error: Error): void {
    if (!this.#up) return;
    this.#down(error);
    this.redis.disconnect(true);
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#pulse);
    // Hints that were just sent are to leave before the socket does.
    if (this.#up) await this.redis.quit().catch(() => undefined);
    this.#up = false;
    this.redis.disconnect();
  }

  async #greet(): Promise<void> {
    try {
      await this.#purpose.greet(this.redis);
    } catch (error) {
      this.#lastError = error as Error;
      this.#first.reject(error);
      this.redis.disconnect(true);
      return;
    }
    if (this.#closing || this.redis.status !== "ready") return;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#up = true;
    this.#first.resolve();
    this.#purpose.changed(true);
  }

  #down(error: Error): void {
    this.#first.reject(error);
    if (!this.#up || this.#closing) return;
    this.#up = false;
    this.#purpose.changed(false, error);
  }

  /** Grows until the server was greeted, not only reached. */
  #backoff(): number {
    const delay = Math.min(SHORTEST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 10), LONGEST_BACKOFF_MS);
    return delay * (0.8 + Math.random() * 0.4);
  }
}
