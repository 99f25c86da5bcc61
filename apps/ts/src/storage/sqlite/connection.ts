import { RuntimeError } from "#core/errors";
import { SQLITE, type SqliteDatabase, type SqliteStatement, sqliteErrorCode } from "#platform/sqlite";

/**
 * The one connection of the process. Every port method is one `write` or `read`: synchronous inside, so the lane rules
 * hold without further locks.
 */
export class Connection {
  readonly #db: SqliteDatabase;
  readonly #clock: () => number;
  /** When the open transaction began. */
  #began: number | undefined;

  constructor(db: SqliteDatabase, clock: () => number) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * The database's clock in Unix ms: SQLite lives in this process, so it is the process's clock (strftime reads the same).
   * It stands still within a transaction, so that everything written together, and answered, bears one time.
   */
  now(): number {
    return this.#began ?? this.#clock();
  }

  sql(text: string): SqliteStatement {
    return this.#db.prepare(text);
  }

  /** One transaction; all or nothing. */
  write<T>(work: () => T): T {
    this.#began = this.#clock();
    try {
      return this.#db.transaction(work);
    } catch (error) {
      throw translate(error);
    } finally {
      this.#began = undefined;
    }
  }

  /** Part of a transaction that may fail alone. */
  attempt<T>(work: () => T): T {
    return this.#db.savepoint(work);
  }

  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw translate(error);
    }
  }

  exec(text: string): void {
    this.#db.exec(text);
  }

  close(): void {
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
