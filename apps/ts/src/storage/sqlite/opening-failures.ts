import { StorageError } from "#core/storage";
import { SQLITE, type SqliteDatabase, sqliteErrorCode } from "#platform/sqlite";

/** Reads the whole file. Throws StorageError when a page of it is not as it must be. */
export function refuseDamaged(db: SqliteDatabase, path: string): void {
  const finding = db.prepare("pragma quick_check(1)").get<{ quick_check: string }>()?.quick_check;
  if (finding !== "ok") throw damaged(path, finding ?? "no answer", undefined);
}

function damaged(path: string, finding: string, cause: unknown): StorageError {
  return new StorageError(
    `${path} is damaged (${finding}). It was left as it is. Restore a backup, or move the file away to start empty.`,
    { cause },
  );
}

/** Why the file cannot be used, as a StorageError; an error that has another reason is returned as it is. */
export function explainOpening(error: unknown, path: string): unknown {
  if (error instanceof StorageError) return error;
  const code = (error as { code?: unknown }).code;
  switch (sqliteErrorCode(error)) {
    case SQLITE.full:
      return passing(`The disk that holds ${path} is full. Make room and start again.`, error);
    case SQLITE.readonly:
    case SQLITE.cantopen:
      return new StorageError(
        `${path} cannot be written: check the rights of the directory and whether its file system is read-only.`,
        { cause: error },
      );
    case SQLITE.ioerr:
      return passing(`The disk that holds ${path} does not answer reads and writes.`, error);
    case SQLITE.busy:
      return passing(`Another program keeps ${path} locked. Close it and start again.`, error);
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return damaged(path, error instanceof Error ? error.message : String(error), error);
    default:
  }
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EIO") {
    return passing(`The data directory of ${path} cannot be used: ${(error as Error).message}`, error);
  }
  if (typeof code === "string" && ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENOENT"].includes(code)) {
    const reason = error instanceof Error ? error.message : code;
    return new StorageError(`The data directory of ${path} cannot be used: ${reason}`, { cause: error });
  }
  return error;
}

/** A state of the machine, not a mistake in the configuration: the same start works when it is over. */
function passing(detail: string, cause: unknown): StorageError {
  return new StorageError(detail, { cause, inUse: true });
}
