import { setTimeout as delay } from "node:timers/promises";
import { Pool, type PoolClient, type PoolConfig, types } from "pg";
import { isConnectionFailure, isLockTimeout, isRepeatable, translate } from "./failures.ts";

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
}

/** How often a statement that met a deadlock, a serialisation failure or a lost connection is sent again. */
const REPEATS = 5;

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

  constructor(options: DatabaseOptions) {
    this.#prepare = options.prepare;
    this.#limits = options.pool;
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
    for (let attempt = 1; ; attempt++) {
      try {
        const name = how.built === true ? undefined : this.#named(text);
        const result = await this.#pool.query({ ...name, text, values: params as unknown[] });
        return result.rows as T[];
      } catch (error) {
        const repeatable = isRepeatable(error) && !(how.impatient === true && isLockTimeout(error));
        const again = repeatable || (how.once !== true && isConnectionFailure(error));
        if (!again || attempt >= REPEATS) throw translate(error);
        await delay(2 ** attempt * 5 * (0.5 + Math.random()));
      }
    }
  }

  async row<T = Row>(text: string, params: readonly unknown[] = [], how: Statement = {}): Promise<T | undefined> {
    return (await this.rows<T>(text, params, how))[0];
  }

  /** A few statements that belong together; repeated whole after a deadlock. */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(work);
      } catch (error) {
        if (!isRepeatable(error) || attempt >= REPEATS) throw translate(error);
        await delay(2 ** attempt * 5 * (0.5 + Math.random()));
      }
    }
  }

  async #once<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    // The pool listens to idle clients only. What is wrong is told by the statement that needs the connection.
    const lost = () => undefined;
    client.on("error", lost);
    let broken: Error | undefined;
    try {
      await client.query("begin");
      const result = await work({ rows: (text, params = []) => this.#on(client, text, params) });
      await client.query("commit");
      return result;
    } catch (error) {
      try {
        await client.query("rollback");
      } catch (rollback) {
        broken = rollback as Error;
      }
      throw error;
    } finally {
      client.off("error", lost);
      client.release(broken);
    }
  }

  async #on<T>(client: PoolClient, text: string, params: readonly unknown[]): Promise<T[]> {
    const result = await client.query({ ...this.#named(text), text, values: params as unknown[] });
    return result.rows as T[];
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

/** What a stuck lock or a forgotten transaction may cost, ms. */
const SETTINGS = { statement_timeout: 30_000, lock_timeout: 10_000, idle_in_transaction_session_timeout: 15_000 };

/** Of every connection of ours, in a pool or alone. */
export function connectionOptions(url: string, settings = true): PoolConfig {
  return {
    connectionString: url,
    application_name: "fractal",
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    // Above the server's own limit: for a server, or a way to it, that is silent.
    query_timeout: 35_000,
    ...(settings && SETTINGS),
  };
}

/** The thread, run or assistant that this text names; null, which equals nothing, when it cannot be an id. */
export function uuid(text: string): string | null {
  return UUID.test(text) ? text : null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
