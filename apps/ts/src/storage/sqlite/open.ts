import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@fractal-agents/infra/logger";
import { NO_SIGNALS } from "#core/signals";
import { ONE_TIMELINE, type Storage, type StorageError } from "#core/storage";
import { openSqlite, type SqliteDatabase } from "#platform/sqlite";
import { sqliteAssistants } from "./assistants.ts";
import { sqliteCheckpoints } from "./checkpoints.ts";
import { newestTime, steadyClock } from "./clock.ts";
import { Connection, isLocked } from "./connection.ts";
import { sqliteEvents } from "./events.ts";
import { FileWatch } from "./file-watch.ts";
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
import { provenWritable } from "./writable.ts";

export interface SqliteOptions {
  /** Created when missing, with a .gitignore; holds fractal.db with its WAL, and the lock. */
  dataDir: string;
  /** NORMAL: a power cut may cost the last commits, never the file. FULL: not even those, at a quarter of the speed. */
  synchronous?: "NORMAL" | "FULL";
  /** Unix ms; a clock that never goes back unless a test wants to wind it. */
  clock?: () => number;
  /** How long another program may keep the file locked before what needs it fails, ms. */
  lockedMs?: number;
  logger?: Pick<Logger, "warn" | "info" | "error">;
  /** Another process has taken the data directory: nothing works any more, and this one should end. */
  onLost?: (error: StorageError) => void;
}

const LOCKED_MS = 30_000;
const LOOK_MS = 50;
const SILENT = { warn: () => undefined, info: () => undefined, error: () => undefined };

/**
 * Opens the embedded storage. Throws StorageError, with a text for the person at the terminal, when the directory is in
 * use, not writable, damaged, or of a newer version; an existing file is never replaced.
 */
export async function openSqliteStorage(options: SqliteOptions): Promise<Storage> {
  const path = join(options.dataDir, "fractal.db");
  let lock: DirectoryLock | undefined;
  let db: SqliteDatabase | undefined;
  const lockedMs = options.lockedMs ?? LOCKED_MS;
  try {
    const made = mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
    // Nobody's conversations belong in a project's history.
    if (made !== undefined) writeFileSync(join(options.dataDir, ".gitignore"), "*\n");
    lock = await lockDirectory(options.dataDir, path);
    const opened = await openSqlite(path);
    db = opened;
    await prepare(opened, { path, unclean: lock.unclean, lockedMs, synchronous: options.synchronous ?? "NORMAL" });
    const clock = options.clock ?? steadyClock(await patiently(lockedMs, () => newestTime(opened)));
    const connection = new Connection(opened, { clock, lockedMs });
    // The lock proves that no other process lives: state writes that held a lane when it ended are over.
    await patiently(lockedMs, () => connection.writeNow(() => freeWriters(connection, [], connection.now())));
    const { logger = SILENT, onLost = () => undefined } = options;
    const watch = new FileWatch({ path, connection, lock, logger, onLost });
    return storageOver(connection, { path, lock, watch });
  } catch (error) {
    db?.close();
    lock?.release(lock.unclean);
    throw explainOpening(error, path);
  }
}

/** Each step can be begun again when it has met another program's lock. */
async function prepare(
  db: SqliteDatabase,
  how: { path: string; unclean: boolean; lockedMs: number; synchronous: "NORMAL" | "FULL" },
): Promise<void> {
  const steps = [
    () => refuseNewer(db, how.path),
    () => configure(db, how.synchronous),
    // After a crash, a damaged page is found now and not by a later request.
    ...(how.unclean ? [() => refuseDamaged(db, how.path)] : []),
    () => migrate(db),
  ];
  for (const step of steps) await patiently(how.lockedMs, step);
}

/** Another program may have the file for a while, to back it up for instance. */
async function patiently<T>(ms: number, work: () => T): Promise<T> {
  const until = performance.now() + ms;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error) || performance.now() >= until) throw error;
      await delay(LOOK_MS);
    }
  }
}

function configure(db: SqliteDatabase, synchronous: "NORMAL" | "FULL"): void {
  // Works on an empty file only, and before WAL: pages that retention frees are given back to the file system.
  db.exec("pragma auto_vacuum = incremental");
  // Waiting inside SQLite would block the event loop; Connection waits outside of it.
  db.exec("pragma busy_timeout = 0");
  db.exec("pragma journal_mode = wal");
  db.exec(`pragma synchronous = ${synchronous === "FULL" ? "FULL" : "NORMAL"}`);
  db.exec("pragma foreign_keys = on");
  db.exec("pragma temp_store = memory");
  db.exec("pragma cache_size = -32768");
  // Fewer, larger checkpoints of the WAL (16 MiB): pages that change with every run are copied once for many runs.
  db.exec("pragma wal_autocheckpoint = 4000");
}

function storageOver(connection: Connection, held: { path: string; lock: DirectoryLock; watch: FileWatch }): Storage {
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
    timeline: ONE_TIMELINE,
    shared: false,
    totals: async () => connection.read(() => sqliteTotals(connection)),
    ping: async () => {
      await connection.read(() => connection.sql("select 1 as alive").get());
    },
    writable: () => provenWritable(connection, dirname(held.path)),
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await held.watch.stop();
      connection.close();
      held.watch.close();
      held.lock.release();
    },
  };
}
