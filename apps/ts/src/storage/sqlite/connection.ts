import { setTimeout as delay } from "node:timers/promises";
import { RuntimeError } from "#core/errors";
import { SQLITE, type SqliteDatabase, type SqliteStatement, sqliteErrorCode } from "#platform/sqlite";
import { WriteHealth } from "../common/write-health.ts";

/** The transaction that the writes of one turn of the event loop share, and when it is durable. */
interface Turn {
  readonly committed: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Writes so far; the first needs no savepoint, for nothing else could be lost with it. */
  writes: number;
}

/** How often the lock of another program is looked at, ms. */
const LOOK_MS = 10;

/** A write that waits for another program's lock. */
interface Waiting {
  /** performance.now() when it gives up. */
  readonly until: number;
  /** Does the work in this turn. */
  start(turn: Turn): void;
  reject(error: unknown): void;
}

/**
 * The one connection of the process. Each port method is one `write` or `read`: synchronous inside, so the lane rules
 * hold without further locks. Writes of the same turn of the event loop share one transaction, because committing is
 * what costs: each has a savepoint of its own and fails alone, and its promise settles when the transaction has
 * committed. What a turn has written is shown to nobody before that.
 *
 * Another program may lock the file, to back it up for instance. SQLite is not left to wait for it (busy_timeout 0), for
 * it would block the event loop: writes queue here, in order, and the lock is looked at between turns.
 */
export class Connection {
  readonly #db: SqliteDatabase;
  readonly #clock: () => number;
  /** Time of the write under way. */
  #began: number | undefined;
  #turn: Turn | undefined;
  readonly #waiting: Waiting[] = [];
  readonly #lockedMs: number;
  /** Why nothing is read or written at present. */
  #refusal: RuntimeError | undefined;
  /** What the writes so far say about the next. */
  readonly health: WriteHealth = new WriteHealth();

  /** @param options.lockedMs How long another program may keep the database locked before a call fails. */
  constructor(db: SqliteDatabase, options: { clock: () => number; lockedMs: number }) {
    this.#db = db;
    this.#clock = options.clock;
    this.#lockedMs = options.lockedMs;
  }

  /**
   * The database's clock in Unix ms, which never goes back (clock.ts). It stands still within a write, so that everything
   * written together, and answered, bears one time.
   */
  now(): number {
    return this.#began ?? this.#clock();
  }

  sql(text: string): SqliteStatement {
    return this.#db.prepare(text);
  }

  /** Everything is refused with this from now on, what has not committed included; undefined: nothing any more. */
  refuse(reason: RuntimeError | undefined): void {
    this.#refusal = reason;
    if (reason === undefined) return;
    this.health.failed();
    if (this.#turn !== undefined) this.#abandon(this.#turn, reason);
  }

  /** Leaves WAL mode, which moves everything into the database file, and enters it again with new files beside it. */
  beginWal(): void {
    this.#db.exec("pragma wal_checkpoint(truncate)");
    this.#db.exec("pragma journal_mode = delete");
    this.#db.exec("pragma journal_mode = wal");
    this.#db.prepare("select count(*) from sqlite_schema").get();
  }

  /** All or nothing; settles when it is durable. Rejects with the transaction's own error when that failed. */
  async write<T>(work: () => T): Promise<T> {
    const turn = this.#turn ?? (this.#waiting.length === 0 ? this.#open() : undefined);
    if (turn === undefined) return this.#later(work);
    const result = this.#perform(turn, work);
    await turn.committed;
    return result;
  }

  /** For the few callers that cannot wait: durable with the turn's transaction when one is open, else on return. */
  writeNow<T>(work: () => T): T {
    if (this.#turn !== undefined) return this.#perform(this.#turn, work);
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#began = this.#clock();
    try {
      return this.#db.transaction(work);
    } catch (error) {
      throw this.#noted(error);
    } finally {
      this.#began = undefined;
    }
  }

  /** Part of a write that may fail alone. */
  attempt<T>(work: () => T): T {
    return this.#db.savepoint(work);
  }

  /** Answers when everything that it has seen is durable. */
  read<T>(work: () => T): T | Promise<T> {
    if (this.#refusal !== undefined) throw this.#refusal;
    const turn = this.#turn;
    let result: T;
    try {
      result = work();
    } catch (error) {
      // Seldom: readers do not wait for writers, but for a program that has the file for itself.
      if (isLocked(error)) return this.#readLater(work);
      throw translate(error);
    }
    if (turn === undefined) return result;
    // What was seen of a turn that failed was never there: look again.
    return turn.committed.then(
      () => result,
      () => this.read(work),
    );
  }

  /** Undefined while another program keeps the database locked. */
  #open(): Turn | undefined {
    if (this.#refusal !== undefined) throw this.#refusal;
    try {
      this.#db.begin();
    } catch (error) {
      if (isLocked(error)) return undefined;
      throw this.#noted(error);
    }
    const { promise: committed, resolve, reject } = Promise.withResolvers<void>();
    // Every write of the turn awaits it; a turn whose writes all failed has nobody to tell.
    committed.catch(() => undefined);
    const turn: Turn = { committed, resolve, reject, writes: 0 };
    this.#turn = turn;
    setImmediate(() => this.#commit(turn));
    return turn;
  }

  #later<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const start = (turn: Turn) => {
        try {
          const result = this.#perform(turn, work);
          turn.committed.then(() => resolve(result), reject);
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ until: performance.now() + this.#lockedMs, start, reject });
      if (this.#waiting.length === 1) setTimeout(() => this.#look(), LOOK_MS);
    });
  }

  /** Those who wait begin in the order in which they came, in one turn, unless the lock is still there. */
  #look(): void {
    try {
      while (this.#waiting.length > 0) {
        // A write that fails may end the turn that it was the first of.
        const turn = this.#turn ?? this.#open();
        if (turn === undefined) break;
        this.#waiting.shift()?.start(turn);
      }
      this.#giveUp(performance.now());
    } catch (error) {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    }
    if (this.#waiting.length > 0) setTimeout(() => this.#look(), LOOK_MS);
  }

  /** Ends the wait of those who have waited long enough at `now`; all came in this order. */
  #giveUp(now: number): void {
    for (let first = this.#waiting[0]; first !== undefined && first.until <= now; first = this.#waiting[0]) {
      this.#waiting.shift();
      first.reject(locked());
    }
  }

  async #readLater<T>(work: () => T): Promise<T> {
    const until = performance.now() + this.#lockedMs;
    for (;;) {
      await delay(LOOK_MS);
      if (this.#refusal !== undefined) throw this.#refusal;
      try {
        return work();
      } catch (error) {
        if (!isLocked(error) || performance.now() >= until) throw translate(error);
      }
    }
  }

  #perform<T>(turn: Turn, work: () => T): T {
    this.#began = this.#clock();
    try {
      return turn.writes++ === 0 ? work() : this.#db.savepoint(work);
    } catch (error) {
      const reason = this.#noted(error);
      // SQLite gives the whole transaction up on some errors (full disk), and then nothing of the turn is left.
      if (turn.writes === 1 || !this.#db.inTransaction()) this.#abandon(turn, reason);
      throw reason;
    } finally {
      this.#began = undefined;
    }
  }

  #commit(turn: Turn): void {
    if (this.#turn !== turn) return;
    try {
      this.#db.commit();
      this.#turn = undefined;
      this.health.worked();
      turn.resolve();
    } catch (error) {
      this.#abandon(turn, this.#noted(error));
    }
  }

  #abandon(turn: Turn, reason: unknown): void {
    this.#turn = undefined;
    this.#db.rollback();
    turn.reject(reason);
  }

  /** Translates an error for the caller. A failure of the machine is remembered until the next write succeeds. */
  #noted(error: unknown): unknown {
    if (isMachineFailure(error) && !isLocked(error)) this.health.failed();
    return translate(error);
  }

  exec(text: string): void {
    this.#db.exec(text);
  }

  close(): void {
    this.#giveUp(Number.POSITIVE_INFINITY);
    if (this.#turn !== undefined) this.#commit(this.#turn);
    this.#db.close();
  }
}

/** A full or failing disk is a state of the machine, not a bug: say so, stay up, and work again when it is over. */
function translate(error: unknown): unknown {
  switch (sqliteErrorCode(error)) {
    case SQLITE.full:
      return unavailable("The disk that holds the data directory is full; nothing was written", error);
    case SQLITE.readonly:
      return unavailable("The data directory cannot be written; nothing was changed", error);
    case SQLITE.ioerr:
    case SQLITE.cantopen:
      return unavailable("The data directory does not answer reads and writes", error);
    case SQLITE.busy:
      return locked(error);
    case SQLITE.tooBig:
      return new RuntimeError("too_large", "The value is larger than the database can store", { cause: error });
    default:
      return error;
  }
}

function locked(cause?: unknown): RuntimeError {
  return unavailable("Another program keeps the database locked; try again", cause);
}

function unavailable(detail: string, cause: unknown): RuntimeError {
  return new RuntimeError("unavailable", detail, { cause });
}

/** Whether another program's lock is the reason. */
export function isLocked(error: unknown): boolean {
  return [error, (error as Error).cause].some((each) => sqliteErrorCode(each) === SQLITE.busy);
}

/** Whether a transaction failed because of the machine, not because of one of its rows. */
export function isMachineFailure(error: unknown): boolean {
  const code = sqliteErrorCode(error);
  return code !== undefined && code !== SQLITE.constraint && code !== SQLITE.tooBig;
}
