import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Client, type ClientConfig, type PoolClient, type QueryConfig, types } from "pg";
import { ANSWER_MS } from "./connection-options.ts";
import { Connections, type PoolLimits } from "./connections.ts";
import {
  isConnectionFailure,
  isLockTimeout,
  isPlanStale,
  isReadOnly,
  isReadTimeout,
  isRepeatable,
  isStatementLost,
  translate,
  wasAnswered,
} from "./failures.ts";
import type { Identity } from "./identity.ts";

/** int8 columns here are times in Unix ms, epochs and sequence numbers: all below 2^53. */
const INT8 = 20;
const JSON_OID = 114;
const JSONB = 3802;
const parsers = {
  getTypeParser: ((oid: number, format?: "text" | "binary") => {
    if (oid === INT8) return Number;
    // JSON stays text: it is passed on more often than read.
    if (oid === JSON_OID || oid === JSONB) return (text: string) => text;
    return types.getTypeParser(oid, format as "text");
  }) as typeof types.getTypeParser,
};

export interface DatabaseOptions {
  url: string;
  pool: PoolLimits;
  /** Prepared statements; off for poolers in transaction mode that do not know them (PgBouncer before 1.21). */
  prepare: boolean;
  /** Whether connections bring settings of their own; off for poolers that refuse them. */
  settings?: boolean;
  patience?: Patience;
  /** Sees every error of a statement that is not sent again. */
  onError?: ((error: unknown) => void) | undefined;
  /** Called when the process continues without a feature, with the reason. */
  onLimited?: (what: "timelines" | "prepared statements", reason: Error) => void;
}

/** How often a statement that met a deadlock, a serialisation failure or a lost connection is sent again. */
const REPEATS = 5;
/** How long is waited for a server that may be silent, ms. */
export interface Patience {
  /** For the answer to one statement. Above the server's own limit, so that it is only met when nothing answers. */
  answerMs: number;
  /** For a connection and for an answer, once one was waited for in vain and until the server answers anything. */
  silentMs: number;
  /** Later than this nothing is sent again, so that what is sent has time. */
  repeatMs: number;
  /** For a statement or a transaction with all that it waits for and all repeats: one request may send several. */
  deadlineMs: number;
}

const PATIENCE: Patience = { answerMs: ANSWER_MS, silentMs: 5_000, repeatMs: 25_000, deadlineMs: 45_000 };

export type Row = Record<string, unknown>;

interface Statement {
  once?: boolean;
  built?: boolean;
  /** Not sent again because of a lock that is held for long: the caller has another way. */
  impatient?: boolean;
}

/** Statements on one connection, inside a transaction. */
export interface Transaction {
  rows<T = Row>(text: string, params?: readonly unknown[]): Promise<T[]>;
}

/**
 * The pool of this process. Every method of a port is one statement on it, or one short transaction; no connection is
 * held across anything else. The connection's own settings bound what a lost peer or a stuck lock can cost.
 */
export class Database implements AsyncDisposable {
  readonly #connections: Connections;
  readonly #onLimited: NonNullable<DatabaseOptions["onLimited"]>;
  #prepare: boolean;
  readonly #names = new Map<string, string>();
  readonly #patience: Patience;
  readonly #onError: (error: unknown) => void;
  /** An answer was waited for in vain, and there was none since. */
  #silent = false;

  constructor(options: DatabaseOptions) {
    const { url, pool, settings, prepare, patience = PATIENCE, onLimited = () => undefined } = options;
    this.#prepare = prepare;
    this.#patience = patience;
    this.#onError = options.onError ?? (() => undefined);
    this.#onLimited = onLimited;
    const onBlind = (reason: Error) => onLimited("timelines", reason);
    this.#connections = new Connections({ url, pool, settings, types: parsers, onBlind });
  }

  /** Connections of the pool: open, idle, and how many callers wait for one. */
  get connections(): { total: number; idle: number; waiting: number; max: number } {
    return this.#connections.counts;
  }

  /** Which database it is, and which past it has. */
  get identity(): Identity {
    return this.#connections.identity;
  }

  /** A connection outside of the pool, for the caller to end. */
  open(config: ClientConfig): Promise<Client> {
    return this.#connections.open(config);
  }

  /** Asks the database who it is. @returns The number of its timeline under this process. */
  async confirm(): Promise<number> {
    try {
      const client = await this.#connect();
      let broken: Error | undefined;
      try {
        await this.identity.check(client);
      } catch (error) {
        broken = error as Error;
        throw error;
      } finally {
        this.#connections.giveBack(client, broken);
      }
      return this.identity.number;
    } catch (error) {
      throw translate(error);
    }
  }

  /**
   * One statement, which commits by itself. It is sent again after a deadlock; and, unless `once`, after a lost
   * connection, so it must be safe to repeat. `built`: made of a caller's conditions, so it is not worth preparing.
   */
  async rows<T = Row>(text: string, params: readonly unknown[] = [], how: Statement = {}): Promise<T[]> {
    const began = performance.now();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#alone<T>(
          { ...(how.built !== true && this.#named(text)), text, values: params as unknown[] },
          began,
        );
      } catch (error) {
        const repeatable = isRepeatable(error) && !(how.impatient === true && isLockTimeout(error));
        const again = repeatable || (how.once !== true && isConnectionFailure(error) && !this.#silent);
        if (!again || !this.#mayRepeat(attempt, began)) throw this.#told(error);
        await delay(2 ** attempt * 5 * (0.5 + Math.random()));
      }
    }
  }

  async row<T = Row>(text: string, params: readonly unknown[] = [], how: Statement = {}): Promise<T | undefined> {
    return (await this.rows<T>(text, params, how))[0];
  }

  /** A few statements that belong together; repeated whole after a deadlock. */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const began = performance.now();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#together(work, began);
      } catch (error) {
        if (!isRepeatable(error) || !this.#mayRepeat(attempt, began)) throw this.#told(error);
        await delay(2 ** attempt * 5 * (0.5 + Math.random()));
      }
    }
  }

  #told(error: unknown): unknown {
    this.#onError(error);
    return translate(error);
  }

  #mayRepeat(attempt: number, began: number): boolean {
    return attempt < REPEATS && performance.now() - began < this.#patience.repeatMs;
  }

  /** A connection on which a statement has failed is not used again. */
  async #alone<T>(query: QueryConfig, began: number): Promise<T[]> {
    const client = await this.#connect();
    let broken: Error | undefined;
    try {
      return await this.#ask<T>(client, query, began);
    } catch (error) {
      broken = error as Error;
      throw error;
    } finally {
      this.#connections.giveBack(client, broken);
    }
  }

  async #together<T>(work: (transaction: Transaction) => Promise<T>, began: number): Promise<T> {
    const client = await this.#connect();
    let broken: Error | undefined;
    try {
      await this.#ask(client, { text: "begin" }, began);
      const result = await work({
        rows: (text, params = []) =>
          this.#ask(client, { ...this.#named(text), text, values: params as unknown[] }, began),
      });
      await this.#ask(client, { text: "commit" }, began);
      return result;
    } catch (error) {
      broken = await this.#rollback(client, error);
      throw error;
    } finally {
      this.#connections.giveBack(client, broken);
    }
  }

  /** @returns Why the connection cannot be used again, if so: then its end rolls back. */
  async #rollback(client: PoolClient, error: unknown): Promise<Error | undefined> {
    // It would only wait behind a statement that is not answered; or the connection holds statements that are no good.
    if (isConnectionFailure(error) || isStatementLost(error) || isPlanStale(error)) return error as Error;
    try {
      await this.#ask(client, { text: "rollback" }, performance.now());
      return undefined;
    } catch (failure) {
      return failure as Error;
    }
  }

  async #connect(): Promise<PoolClient> {
    const connecting = this.#connections.take();
    return this.#silent ? await this.#soon(connecting) : connecting;
  }

  /** A connection that nobody waits for any more goes back to the pool. */
  async #soon(connecting: Promise<PoolClient>): Promise<PoolClient> {
    const late = Promise.withResolvers<never>();
    const isLate = () => late.reject(new Error("connection timeout: the server was silent before"));
    const timer = setTimeout(isLate, this.#patience.silentMs);
    let waiting = true;
    try {
      return await Promise.race([connecting, late.promise]);
    } catch (error) {
      waiting = false;
      throw error;
    } finally {
      clearTimeout(timer);
      if (!waiting) {
        connecting.then(
          (client) => this.#connections.giveBack(client, undefined),
          () => undefined,
        );
      }
    }
  }

  async #ask<T>(client: PoolClient, query: QueryConfig, began: number): Promise<T[]> {
    const { answerMs, silentMs, deadlineMs } = this.#patience;
    const limit = this.#silent ? silentMs : answerMs;
    const left = began + deadlineMs - performance.now();
    const timed: QueryConfig & { query_timeout: number } = {
      ...query,
      query_timeout: Math.max(1, Math.min(limit, left)),
    };
    const { silence } = this.#connections;
    silence.begin(client);
    try {
      const { rows } = await client.query(timed);
      this.#silent = false;
      return rows as T[];
    } catch (error) {
      if (isReadTimeout(error) && limit <= left) this.#silent = true;
      else if (wasAnswered(error)) this.#silent = false;
      if (isReadOnly(error)) this.#connections.doubt();
      if (isStatementLost(error)) this.#stopPreparing(error as Error);
      throw error;
    } finally {
      silence.end(client);
    }
  }

  /** A pooler gives the connection backends that do not know its prepared statements. */
  #stopPreparing(reason: Error): void {
    if (!this.#prepare) return;
    this.#prepare = false;
    this.#onLimited("prepared statements", reason);
  }

  /**
   * Prepared under a name that stands for its text: parsed and planned once per connection. Made of the text, so that
   * where backends are shared without our knowing, a name never means another statement.
   */
  #named(text: string): { name?: string } {
    if (!this.#prepare) return {};
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `f${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
      this.#names.set(text, name);
    }
    return { name };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
  }
}

/** The thread, run or assistant that this text names; null, which equals nothing, when it cannot be an id. */
export function uuid(text: string): string | null {
  return UUID.test(text) ? text : null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
