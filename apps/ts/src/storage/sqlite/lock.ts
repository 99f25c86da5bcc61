import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { StorageError } from "#core/storage";
import { openSqlite, SQLITE, type SqliteDatabase, sqliteErrorCode } from "#platform/sqlite";

/** Proof that no other process uses the data directory, held until `release` or the end of the process. */
export interface DirectoryLock {
  /** The previous holder did not release: it crashed or was killed. */
  readonly unclean: boolean;
  /** `keepMark`: the next start shall look at the file as after a crash. */
  release(keepMark?: boolean): void;
}

/**
 * Handles that hold a lock: an engine closes a handle that nobody refers to any more, and the lock would go with it while
 * the process lives on.
 */
const held = new Set<SqliteDatabase>();

/**
 * Takes the directory for this process. The lock is an exclusive transaction on a small database of its own, because
 * the operating system frees it when the process dies, however it dies; the text file beside it only names the holder.
 * Throws StorageError when another process has it.
 */
export async function lockDirectory(dataDir: string): Promise<DirectoryLock> {
  const holderFile = join(dataDir, "lock.pid");
  const db = await openSqlite(join(dataDir, "lock.db"));
  try {
    db.exec("pragma busy_timeout = 0");
    db.exec("begin exclusive");
  } catch (error) {
    db.close();
    if (sqliteErrorCode(error) === SQLITE.busy) throw inUse(dataDir, readHolder(holderFile));
    throw error;
  }
  held.add(db);
  const unclean = existsSync(holderFile);
  try {
    writeFileSync(holderFile, `${process.pid}\n`);
  } catch (error) {
    free(db);
    throw error;
  }
  return {
    unclean,
    release(keepMark = false) {
      if (!keepMark) rmSync(holderFile, { force: true });
      free(db);
    },
  };
}

function free(db: SqliteDatabase): void {
  held.delete(db);
  db.exec("rollback");
  db.close();
}

function readHolder(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return /^\d+$/.test(text) ? text : undefined;
  } catch {
    // The holder writes the file just after it has taken the lock: without it the message only lacks the number.
    return undefined;
  }
}

function inUse(dataDir: string, pid: string | undefined): StorageError {
  const who = pid === undefined ? "Another process" : `Another process (pid ${pid})`;
  return new StorageError(
    `${who} is using the data directory ${resolve(dataDir)}. ` +
      "Stop it first, or point FRACTAL_DATA_DIR at another directory.",
    { inUse: true },
  );
}
