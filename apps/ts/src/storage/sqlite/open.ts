import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { NO_SIGNALS } from "#core/signals";
import type { Storage } from "#core/storage";
import { openSqlite, type SqliteDatabase } from "#platform/sqlite";
import { sqliteAssistants } from "./assistants.ts";
import { sqliteCheckpoints } from "./checkpoints.ts";
import { Connection } from "./connection.ts";
import { sqliteEvents } from "./events.ts";
import { freeWriters } from "./lane-state.ts";
import { sqliteLanes } from "./lanes.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";
import { migrate, refuseNewer } from "./migrations.ts";
import { explainOpening, refuseDamaged } from "./opening-failures.ts";
import { sqliteRetention } from "./retention.ts";
import { sqliteRuns } from "./runs.ts";
import { sqliteStore } from "./store.ts";
import { sqliteThreads } from "./threads.ts";
import { sqliteTotals } from "./totals.ts";
import { LiveWorkers, sqliteKeeper, sqliteWorkers } from "./workers.ts";

export interface SqliteOptions {
  /** Created when missing; holds fractal.db with its WAL, and the lock. */
  dataDir: string;
  /** NORMAL: a power cut may cost the last commits, never the file. FULL: not even those, at a quarter of the speed. */
  synchronous?: "NORMAL" | "FULL";
  /** Unix ms; the process's clock unless a test wants to wind it. */
  clock?: () => number;
}

/**
 * Opens the embedded storage. Throws StorageError, with a text for the person at the terminal, when the directory is in
 * use, not writable, damaged, or of a newer version; an existing file is never replaced.
 */
export async function openSqliteStorage(options: SqliteOptions): Promise<Storage> {
  const path = join(options.dataDir, "fractal.db");
  let lock: DirectoryLock | undefined;
  let db: SqliteDatabase | undefined;
  try {
    mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
    lock = await lockDirectory(options.dataDir);
    db = await openSqlite(path);
    refuseNewer(db, path);
    configure(db, options.synchronous ?? "NORMAL");
    // After a crash or a kill: a page that was damaged is found now, not by whoever meets it.
    if (lock.unclean) refuseDamaged(db, path);
    migrate(db);
    const connection = new Connection(db, options.clock ?? Date.now);
    // The lock proves that no other process lives: state writes that held a lane when it ended are over.
    connection.writeNow(() => freeWriters(connection, [], connection.now()));
    return storageOver(connection, { path, lock });
  } catch (error) {
    db?.close();
    lock?.release(lock.unclean);
    throw explainOpening(error, path);
  }
}

function configure(db: SqliteDatabase, synchronous: "NORMAL" | "FULL"): void {
  // Works on an empty file only, and before WAL: pages that retention frees are given back to the file system.
  db.exec("pragma auto_vacuum = incremental");
  db.exec("pragma busy_timeout = 5000");
  db.exec("pragma journal_mode = wal");
  db.exec(`pragma synchronous = ${synchronous === "FULL" ? "FULL" : "NORMAL"}`);
  db.exec("pragma foreign_keys = on");
  db.exec("pragma temp_store = memory");
  db.exec("pragma cache_size = -32768");
  // Fewer, larger checkpoints of the WAL (16 MiB): pages that change with every run are copied once for many runs.
  db.exec("pragma wal_autocheckpoint = 4000");
}

function storageOver(connection: Connection, held: { path: string; lock: DirectoryLock }): Storage {
  let open = true;
  const workers = new LiveWorkers();
  return {
    description: `sqlite ${held.path}`,
    assistants: sqliteAssistants(connection),
    threads: sqliteThreads(connection),
    runs: sqliteRuns(connection, workers),
    lanes: sqliteLanes(connection),
    checkpoints: sqliteCheckpoints(connection),
    events: sqliteEvents(connection),
    store: sqliteStore(connection),
    retention: sqliteRetention(connection),
    workers: sqliteWorkers(connection, workers),
    keeper: sqliteKeeper(workers),
    signals: NO_SIGNALS,
    shared: false,
    totals: async () => connection.read(() => sqliteTotals(connection)),
    ping: async () => {
      await connection.read(() => connection.sql("select 1 as alive").get());
    },
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      connection.close();
      held.lock.release();
    },
  };
}
