import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";

/** What SQLite stores. Integers beyond 2^53 are not representable on either engine: keep such ids as text. */
export type SqliteValue = string | number | null | Uint8Array;

/** A prepared statement; rows are objects by column name, BLOBs are Uint8Array. */
export interface SqliteStatement {
  /** First row, undefined when there is none. */
  get<Row>(...params: SqliteValue[]): Row | undefined;
  all<Row>(...params: SqliteValue[]): Row[];
  /** Number of rows changed. */
  run(...params: SqliteValue[]): number;
}

/**
 * The same small synchronous surface over bun:sqlite and node:sqlite. Nothing here yields, so a transaction cannot
 * interleave with another one of the process.
 */
export interface SqliteDatabase {
  /** Compiled once per text and kept: SQL texts must be constants, never built from data. */
  prepare(sql: string): SqliteStatement;
  exec(sql: string): void;
  /** BEGIN IMMEDIATE, work, COMMIT. Rolls back what is still open when the work throws, and rethrows. */
  transaction<T>(work: () => T): T;
  /** As `transaction`, inside one: undoes only this work when it throws. */
  savepoint<T>(work: () => T): T;
  /** BEGIN IMMEDIATE, for a transaction whose end is decided elsewhere. */
  begin(): void;
  commit(): void;
  /** Nothing to do when SQLite has rolled back by itself. */
  rollback(): void;
  inTransaction(): boolean;
  close(): void;
}

/** What the two engines' own handles have in common. */
interface NativeStatement {
  get(...params: SqliteValue[]): unknown;
  all(...params: SqliteValue[]): unknown[];
  run(...params: SqliteValue[]): { changes: number | bigint };
  /** Bun only; Node ends its statements with the database. */
  finalize?(): void;
}

interface NativeDatabase {
  prepare(sql: string): NativeStatement;
  exec(sql: string): unknown;
  close(): void;
}

/** Result codes that the storage reacts to (https://sqlite.org/rescode.html). */
export const SQLITE = {
  busy: 5,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  tooBig: 18,
  constraint: 19,
  notADatabase: 26,
} as const;

/** Primary result code of an error that SQLite raised; undefined for any other error. */
export function sqliteErrorCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  // Bun: SQLiteError.errno; Node: errcode. Both carry the extended code, whose low byte is the primary one.
  const { errno, errcode, name, code } = error as { errno?: unknown; errcode?: unknown; name: string; code?: unknown };
  if (typeof errcode === "number" && code === "ERR_SQLITE_ERROR") return errcode & 0xff;
  if (typeof errno === "number" && name === "SQLiteError") return errno & 0xff;
  return undefined;
}

/** Opens (and creates) a database file, its directory included. */
export async function openSqlite(path: string): Promise<SqliteDatabase> {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
  if (process.versions.bun !== undefined) {
    const { Database } = await import("bun:sqlite");
    const native = new Database(path, { create: true, readwrite: true });
    return wrap(native as unknown as NativeDatabase, () => native.inTransaction);
  }
  const { DatabaseSync } = await import("node:sqlite");
  const native = new DatabaseSync(path);
  return wrap(native as unknown as NativeDatabase, () => native.isTransaction);
}

/**
 * Opens a database file that is there, to look at it. Also while another process has it open; and where none has, without
 * the files that even a reader puts beside it, which nobody would take away again.
 */
export async function openSqliteReadOnly(path: string): Promise<SqliteDatabase> {
  const url = `${pathToFileURL(path).href}${existsSync(`${path}-wal`) ? "" : "?immutable=1"}`;
  if (process.versions.bun !== undefined) {
    const { Database, constants } = await import("bun:sqlite");
    const native = new Database(url, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
    return wrap(native as unknown as NativeDatabase, () => native.inTransaction);
  }
  const { DatabaseSync } = await import("node:sqlite");
  const native = new DatabaseSync(url, { readOnly: true });
  return wrap(native as unknown as NativeDatabase, () => native.isTransaction);
}

function wrap(native: NativeDatabase, inTransaction: () => boolean): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>();
  const natives: NativeStatement[] = [];

  function prepare(sql: string): SqliteStatement {
    let statement = statements.get(sql);
    if (statement === undefined) {
      const compiled = native.prepare(sql);
      natives.push(compiled);
      statement = wrapStatement(compiled);
      statements.set(sql, statement);
    }
    return statement;
  }

  /** SQLite itself rolls back on some errors (full disk); a second ROLLBACK would hide the reason. */
  function undo(sql: string): void {
    if (inTransaction()) native.exec(sql);
  }

  return {
    prepare,
    exec: (sql) => void native.exec(sql),
    begin: () => void prepare("begin immediate").run(),
    commit: () => void prepare("commit").run(),
    rollback: () => undo("rollback"),
    inTransaction,
    transaction<T>(work: () => T): T {
      prepare("begin immediate").run();
      try {
        const result = work();
        prepare("commit").run();
        return result;
      } catch (error) {
        undo("rollback");
        throw error;
      }
    },
    savepoint<T>(work: () => T): T {
      prepare("savepoint inner_work").run();
      try {
        const result = work();
        prepare("release inner_work").run();
        return result;
      } catch (error) {
        undo("rollback to inner_work; release inner_work");
        throw error;
      }
    },
    close() {
      // A statement left open keeps the file open behind our back.
      for (const statement of natives.splice(0)) statement.finalize?.();
      statements.clear();
      native.close();
    },
  };
}

function wrapStatement(native: NativeStatement): SqliteStatement {
  return {
    // Bun answers null and Node undefined when there is no row.
    get: <Row>(...params: SqliteValue[]) => (native.get(...params) ?? undefined) as Row | undefined,
    all: <Row>(...params: SqliteValue[]) => native.all(...params) as Row[],
    run: (...params) => Number(native.run(...params).changes),
  };
}
