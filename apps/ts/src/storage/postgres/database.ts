import { setTimeout as delay } from "node:timers/promises";
import { Pool, type PoolClient, type PoolConfig, type QueryConfig, types } from "pg";
import { isConnectionFailure, isLockTimeout, isReadTimeout, isRepeatable, translate, wasAnswered } from "./failures.ts";

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

export interface PoolLimits {
  min: number;
  max: number;
  /** How long a request waits for a free connection, ms. */
  timeoutMs: number;
}

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

const ANSWER_MS = 35_000;
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
  readonly #pool: Pool;
  readonly #prepare: boolean;
  readonly #names = new Map<string, string>();
  readonly #limits: PoolLimits;
  readonly #patience: Patience;
  readonly #onError: (error: unknown) => void;
  /** An answer was waited for in vain, and there was none since. */
  #silent = false;

  constructor(options: DatabaseOptions) {
    this.#prepare = options.prepare;
    this.#limits = options.pool;
    this.#patience = options.patience ?? PATIENCE;
    this.#onError = options.onError ?? ignore;
    this.#pool = new Pool({
      ...connectionOptions(options.url, options.settings),
      min: options.pool.min,
      max: options.pool.max,
      connectionTimeoutMillis: options.pool.timeoutMs,
      idleTimeoutMillis: 30_000,
      types: parsers,
    });
    // An idle connection that breaks is replaced when it is next needed; without a listener it would end the process.
    this.#pool.on("error", () => undefined);
  }

  /** Connections of the pool: open, idle, and how many callers wait for one. */
  get connections(): { total: number; idle: number; waiting: number; max: number } {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { total, idle, waiting, max: this.#limits.max };
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
      giveBack(client, broken);
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
      giveBack(client, broken);
    }
  }

  /** @returns Why the connection cannot be used again, if so: then its end rolls back. */
  async #rollback(client: PoolClient, error: unknown): Promise<Error | undefined> {
    // It would only wait behind a statement that is not answered.
    if (isConnectionFailure(error)) return error as Error;
    try {
      await this.#ask(client, { text: "rollback" }, performance.now());
      return undefined;
    } catch (failure) {
      return failure as Error;
    }
  }

  async #connect(): Promise<PoolClient> {
    const connecting = this.#pool.connect();
    const client = await (this.#silent ? soon(connecting, this.#patience.silentMs) : connecting);
    // The pool listens to idle clients only. What is wrong is told by the statement that needs the connection.
    client.on("error", ignore);
    return client;
  }

  async #ask<T>(client: PoolClient, query: QueryConfig, began: number): Promise<T[]> {
    const { answerMs, silentMs, deadlineMs } = this.#patience;
    const limit = this.#silent ? silentMs : answerMs;
    const left = began + deadlineMs - performance.now();
    const timed: QueryConfig & { query_timeout: number } = {
      ...query,
      query_timeout: Math.max(1, Math.min(limit, left)),
    };
    try {
      const { rows } = await client.query(timed);
      this.#silent = false;
      return rows as T[];
    } catch (error) {
      if (isReadTimeout(error) && limit <= left) this.#silent = true;
      else if (wasAnswered(error)) this.#silent = false;
      throw error;
    }
  }

  /** Prepared under a name that stands for its text: parsed and planned once per connection. */
  #named(text: string): { name?: string } {
    if (!this.#prepare) return {};
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `f${this.#names.size}`;
      this.#names.set(text, name);
    }
    return { name };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }
}

function ignore(): void {}

function giveBack(client: PoolClient, broken: Error | undefined): void {
  client.off("error", ignore);
  client.release(broken);
}

/** A connection of the pool that nobody waits for any more goes back to it. */
async function soon(connecting: Promise<PoolClient>, ms: number): Promise<PoolClient> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("connection timeout: the server was silent before")), ms);
  let waiting = true;
  try {
    return await Promise.race([connecting, late.promise]);
  } catch (error) {
    waiting = false;
    throw error;
  } finally {
    clearTimeout(timer);
    if (!waiting) connecting.then((client) => client.release(), ignore);
  }
}

/** What a stuck lock or a forgotten transaction may cost, ms. */
const SETTINGS = { statement_timeout: 30_000, lock_timeout: 10_000, idle_in_transaction_session_timeout: 15_000 };

/** Of every connection of ours, in a pool or alone. */
export function connectionOptions(url: string, settings = true): PoolConfig {
  return {
    connectionString: url,
    application_name: "fractal",
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    query_timeout: ANSWER_MS,
    ...(settings && SETTINGS),
  };
}

/** The thread, run or assistant that this text names; null, which equals nothing, when it cannot be an id. */
export function uuid(text: string): string | null {
  return UUID.test(text) ? text : null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
