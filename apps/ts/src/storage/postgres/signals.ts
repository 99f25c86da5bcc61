import type { Logger } from "@fractal-agents/infra/logger";
import type { Client } from "pg";
import type { Hint, Signals } from "#core/signals";
import { HintBox } from "../common/hint-box.ts";
import type { Database } from "./database.ts";

const CHANNEL = "fractal";
/** NOTIFY takes a lock of the whole database while it commits: few messages, each with many hints. */
const COALESCE_MS = 25;
/** Of 8000 bytes. */
const MAX_LENGTH = 7_500;
/** How long our own message may take to come back before we say that this connection hears nothing. */
const ECHO_MS = 5_000;
const OPEN_MS = 5_000;
const RECONNECT_MS = { first: 250, most: 10_000 };

export interface SignalsOptions {
  database: Database;
  logger: Pick<Logger, "warn" | "info" | "error">;
}

/**
 * Hints by LISTEN/NOTIFY on a session connection of this process. No NOTIFY is ever part of a run's transaction. Where a
 * pooler in transaction mode stands between, nothing is heard: then `connected` stays false and looks are more frequent.
 */
export class PostgresSignals implements Signals, AsyncDisposable {
  readonly #database: Database;
  readonly #logger: Pick<Logger, "warn" | "info" | "error">;
  readonly #box: HintBox;
  #client: Client | undefined;
  #hears = false;
  #warned = false;
  #closed = false;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #delay = RECONNECT_MS.first;
  #retry: ReturnType<typeof setTimeout> | undefined;

  readonly #echo: () => Promise<void>;

  /** `database`: sends what must come back, over another connection than the one that listens. */
  constructor(options: SignalsOptions) {
    this.#database = options.database;
    this.#logger = options.logger;
    this.#echo = async () => {
      await options.database.rows("select pg_notify($1, $2)", [CHANNEL, "{}"]);
    };
    this.#box = new HintBox({
      coalesceMs: COALESCE_MS,
      maxLength: MAX_LENGTH,
      send: (text) => this.#send(text),
      failed: (error, hint) => this.#logger.error({ err: error, kind: hint.kind }, "a hint could not be followed"),
    });
  }

  get connected(): boolean {
    return this.#hears;
  }

  /** Resolves when the first attempt to connect is over; later ones go on by themselves. */
  async open(): Promise<void> {
    await this.#connect();
  }

  publish(hint: Hint): void {
    if (this.#client !== undefined && !this.#closed) this.#box.put(hint);
  }

  subscribe(listener: (hint: Hint) => void): () => void {
    return this.#box.listen(listener);
  }

  async #connect(): Promise<void> {
    let client: Client | undefined;
    try {
      // A message is sent in a moment, or its connection has died without a word.
      client = await this.#database.open({ connectionTimeoutMillis: OPEN_MS, query_timeout: OPEN_MS });
      this.#attend(client);
      await client.query(`listen ${CHANNEL}`);
      if (this.#closed) return await client.end();
      this.#client = client;
      this.#delay = RECONNECT_MS.first;
      // Heard when it comes back: only then does this connection get what others say. Not over this connection itself:
      // a pooler would give it the same backend, and it would hear itself alone.
      await this.#echo();
      this.#after(ECHO_MS, () => {
        if (this.#client === client && !this.#hears)
          this.#warn("no notification arrives (a pooler in transaction mode?)");
      });
    } catch (error) {
      this.#lost(client, error as Error);
    }
  }

  #attend(client: Client): void {
    client.on("error", (error) => this.#lost(client, error));
    client.on("end", () => this.#lost(client, new Error("the connection was closed")));
    client.on("notification", ({ payload = "" }) => {
      if (!this.#hears && this.#client === client) this.#heard();
      this.#box.hear(payload);
    });
  }

  #heard(): void {
    this.#hears = true;
    if (this.#warned) this.#logger.info({}, "hints between processes arrive again");
    this.#warned = false;
  }

  #lost(client: Client | undefined, error: Error): void {
    // One loss is told by several events; and a client that was replaced is nobody's concern.
    const waiting = this.#retry !== undefined && this.#timers.has(this.#retry);
    if (this.#closed || waiting || (this.#client !== undefined && this.#client !== client)) return;
    this.#client = undefined;
    this.#hears = false;
    this.#warn(error.message);
    void client?.end().catch(() => undefined);
    this.#retry = this.#after(this.#delay * (0.75 + Math.random() / 2), () => void this.#connect());
    this.#delay = Math.min(this.#delay * 2, RECONNECT_MS.most);
  }

  #warn(reason: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#logger.warn({ reason }, "hints between processes do not arrive; looking at the database more often");
  }

  #after(ms: number, work: () => void): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    timer.unref?.();
    this.#timers.add(timer);
    return timer;
  }

  /** A hint that cannot be sent is lost: that is what hints may be. */
  #send(text: string): void {
    const client = this.#client;
    client?.query("select pg_notify($1, $2)", [CHANNEL, text]).catch((error: Error) => this.#lost(client, error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#box.flush();
    this.#closed = true;
    this.#box.close();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#client?.end().catch(() => undefined);
  }
}
