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

/**
 * The one connection of the process. Each port method is one `write` or `read`: synchronous inside, so the lane rules
 * hold without further locks. Writes of the same turn of the event loop share one transaction, because committing is
 * what costs: each has a savepoint of its own and fails alone, and its promise settles when the transaction has
 * committed. What a turn has written is shown to nobody before that.
 */
export class Connection {
  readonly #db: SqliteDatabase;
  readonly #clock: () => number;
  /** Time of the write under way. */
  #began: number | undefined;
  #turn: Turn | undefined;
  /** Why nothing is read or written at present. */
  #refusal: RuntimeError | undefined;
  /** What the writes so far say about the next. */
  readonly health: WriteHealth = new WriteHealth();

  constructor(db: SqliteDatabase, clock: () => number) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * The database's clock in Unix ms: SQLite lives in this process, so it is the process's clock (strftime reads the same).
   * It stands still within a write, so that everything written together, and answered, bears one time.
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
    const before = this.#db.prepare("pragma busy_timeout").get<{ timeout: number }>()?.timeout ?? 0;
    // Somebody else who has the database open keeps it in WAL mode, perhaps for long.
    this.#db.exec("pragma busy_timeout = 0");
    try {
      this.#db.exec("pragma wal_checkpoint(truncate)");
      this.#db.exec("pragma journal_mode = delete");
      this.#db.exec("pragma journal_mode = wal");
      this.#db.prepare("select count(*) from sqlite_schema").get();
    } finally {
      this.#db.exec(`pragma busy_timeout = ${before}`);
    }
  }

  /** All or nothing; settles when it is durable. Rejects with the transaction's own error when that failed. */
  async write<T>(work: () => T): Promise<T> {
    const turn = this.#turn ?? this.#open();
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
    const result = translated(work);
    if (turn === undefined) return result;
    // What was seen of a turn that failed was never there: look again.
    return turn.committed.then(
      () => result,
      () => this.read(work),
    );
  }

  #open(): Turn {
    if (this.#refusal !== undefined) throw this.#refusal;
    try {
      this.#db.begin();
    } catch (error) {
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

  /** As the caller is told. A machine that refuses a write is remembered until the next one works. */
  #noted(error: unknown): unknown {
    if (isMachineFailure(error)) this.health.failed();
    return translate(error);
  }

  exec(text: string): void {
    this.#db.exec(text);
  }

  close(): void {
    if (this.#turn !== undefined) this.#commit(this.#turn);
    this.#db.close();
  }
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(error);
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
      return unavailable("Another program keeps the database locked; try again", error);
    case SQLITE.tooBig:
      return new RuntimeError("too_large", "The value is larger than the database can store", { cause: error });
    default:
      return error;
  }
}

function unavailable(detail: string, cause: unknown): RuntimeError {
  return new RuntimeError("unavailable", detail, { cause });
}

/** Whether a transaction failed because of the machine, not because of one of its rows. */
export function isMachineFailure(error: unknown): boolean {
  const code = sqliteErrorCode(error);
  return code !== undefined && code !== SQLITE.constraint && code !== SQLITE.tooBig;
}
