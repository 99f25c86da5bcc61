import { StorageError } from "#core/storage";
import type { SqliteDatabase } from "#platform/sqlite";
import { INITIAL } from "./migrations/001-initial.ts";
import { CHECKPOINT_ORDER } from "./migrations/002-checkpoint-order.ts";
import { QUARANTINE } from "./migrations/003-quarantine.ts";
import { RECENT_THREADS } from "./migrations/004-recent-threads.ts";
import { DELAYED_RUNS } from "./migrations/005-delayed-runs.ts";

/** In order; the position (from 1) is the version that the file records in `user_version`. Never change a shipped one. */
const MIGRATIONS: readonly string[] = [INITIAL, CHECKPOINT_ORDER, QUARANTINE, RECENT_THREADS, DELAYED_RUNS];

export function versionOf(db: SqliteDatabase): number {
  return db.prepare("pragma user_version").get<{ user_version: number }>()?.user_version ?? 0;
}

/** Throws StorageError for a file that a newer program has written: its rows may mean other things. Changes nothing. */
export function refuseNewer(db: SqliteDatabase, path: string): void {
  const version = versionOf(db);
  if (version <= MIGRATIONS.length) return;
  throw new StorageError(
    `${path} was written by a newer version of fractal (data version ${version}, this program knows ${MIGRATIONS.length}). ` +
      "Nothing was changed. Start the newer version, or point FRACTAL_DATA_DIR at another directory.",
  );
}

/**
 * Brings a file to the version of this program, one transaction per step, so that a kill in the middle leaves the file
 * at a whole version.
 */
export function migrate(db: SqliteDatabase): void {
  for (let step = versionOf(db); step < MIGRATIONS.length; step++) {
    db.transaction(() => {
      db.exec(MIGRATIONS[step] as string);
      db.exec(`pragma user_version = ${step + 1}`);
    });
  }
}
