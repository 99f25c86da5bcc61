import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StorageError } from "#core/storage";
import { openSqlite, SQLITE, type SqliteDatabase, sqliteErrorCode } from "#platform/sqlite";
import { OpenFile } from "./open-file.ts";

/** Proof that no other process uses the data directory, held until `release` or the end of the process. */
export interface DirectoryLock {
  /** The previous holder did not release: it crashed or was killed. */
  readonly unclean: boolean;
  /**
   * Takes the lock again when its file was removed.
   * @returns "lost": another process has taken it meanwhile.
   */
  renew(): Promise<"held" | "retaken" | "lost">;
  /** `keepMark`: the next start shall look at the file as after a crash. */
  release(keepMark?: boolean): void;
}

interface Held {
  db: SqliteDatabase;
  file: OpenFile;
}

/**
 * Handles that hold a lock: an engine closes a handle that nobody refers to any more, and the lock would go with it while
 * the process lives on.
 */
const held = new Set<SqliteDatabase>();

/** Longer than a holder takes to notice that its lock file is gone (file-watch.ts). */
const YIELD_MS = 1_500;
const YIELDS = 2;

/**
 * Takes the directory for this process. The lock is an exclusive transaction on a small database of its own, because
 * the operating system frees it when the process dies, however it dies; the text file beside it only names the holder.
 * A free lock proves nothing when its file was removed under a live holder. So the database is checked too: if another
 * process has it open, the lock is released for a moment, and a live holder takes it again. A tool that only reads the
 * database does not. Throws StorageError when another process has the directory.
 */
export async function lockDirectory(dataDir: string, database: string): Promise<DirectoryLock> {
  const holderFile = join(dataDir, "lock.pid");
  let mine = await take(dataDir);
  for (let yields = 0; yields < YIELDS && (await isOpenElsewhere(database)); yields++) {
    free(mine);
    await delay(YIELD_MS);
    mine = await take(dataDir);
  }
  const unclean = existsSync(holderFile);
  const sign = () => writeFileSync(holderFile, `${process.pid}\n`);
  try {
    sign();
  } catch (error) {
    free(mine);
    throw error;
  }
  return {
    unclean,
    async renew() {
      if (mine.file.isInPlace()) {
        if (!existsSync(holderFile)) sign();
        return "held";
      }
      try {
        const again = await take(dataDir);
        free(mine);
        mine = again;
      } catch (error) {
        if (error instanceof StorageError) return "lost";
        throw error;
      }
      sign();
      return "retaken";
    },
    release(keepMark = false) {
      // The directory at this path may be another one by now, and another process's.
      if (!keepMark && mine.file.isInPlace()) rmSync(holderFile, { force: true });
      free(mine);
    },
  };
}

async function take(dataDir: string): Promise<Held> {
  const path = join(dataDir, "lock.db");
  const db = await openSqlite(path);
  try {
    db.exec("pragma busy_timeout = 0");
    db.exec("begin exclusive");
  } catch (error) {
    db.close();
    if (sqliteErrorCode(error) === SQLITE.busy) throw inUse(dataDir, readHolder(join(dataDir, "lock.pid")));
    throw error;
  }
  held.add(db);
  return { db, file: new OpenFile(path) };
}

function free({ db, file }: Held): void {
  held.delete(db);
  db.exec("rollback");
  db.close();
  file.close();
}

/** In WAL mode any open connection prevents exclusive locking. Other problems are found when the database is opened. */
async function isOpenElsewhere(database: string): Promise<boolean> {
  if (!existsSync(database)) return false;
  const db = await openSqlite(database);
  try {
    db.exec("pragma busy_timeout = 0");
    db.exec("pragma locking_mode = exclusive");
    db.prepare("select count(*) from sqlite_schema").get();
    return false;
  } catch (error) {
    return sqliteErrorCode(error) === SQLITE.busy;
  } finally {
    db.close();
  }
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
