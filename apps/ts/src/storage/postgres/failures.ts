import { DatabaseError } from "pg";
import { RuntimeError } from "#core/errors";

/** The other end of a new connection is not what this process works with. Nothing was sent. */
export class UnfitServerError extends Error {
  override readonly name = "UnfitServerError";
}

/** SQLSTATE of an error of the server, or the code of one of the socket. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Deadlock, serialisation failure, lock timeout, lost plan: nothing was written, the same again may succeed. */
export function isRepeatable(error: unknown): boolean {
  const code = codeOf(error);
  return code === "40P01" || code === "40001" || code === "55P03" || isStatementLost(error) || isPlanStale(error);
}

/**
 * A pooler gave the connection another backend than the one on which a statement was prepared: it is not known there, or it
 * is already, or PgBouncer lost count. Nothing was executed.
 */
export function isStatementLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code === "26000" || code === "42P05") return true;
  return code === "08P01" && /prepared statement|bind message/i.test((error as Error).message);
}

/** A statement was prepared before a table that it reads was changed: it must be prepared again. */
export function isPlanStale(error: unknown): boolean {
  return codeOf(error) === "0A000" && (error as { routine?: unknown }).routine === "RevalidateCachedQuery";
}

/** The server takes no writes: it is a replica, or read-only by its settings. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(error) === "25006";
}

/** A lock was not to be had in the time that was set for it. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === "55P03";
}

const SOCKET = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
]);

/** The connection is gone, or none could be had: whether the statement took effect is unknown. */
export function isConnectionFailure(error: unknown): boolean {
  if (error instanceof UnfitServerError) return true;
  const code = codeOf(error);
  if (code !== undefined) {
    // 08: connection exceptions; 57P01-03: the server stops or starts; 53300: too many connections.
    return SOCKET.has(code) || code.startsWith("08") || /^57P0[1-5]$/.test(code) || code === "53300";
  }
  return (
    error instanceof Error &&
    /connection (?:terminated|timeout)|timeout expired|Query read timeout|Client has encountered/i.test(error.message)
  );
}

/** No answer came in the time that was set for it; the statement may still be under way. */
export function isReadTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}

/** The server itself has said so. */
export function wasAnswered(error: unknown): boolean {
  return error instanceof DatabaseError && !isConnectionFailure(error);
}

/** The pool had no connection to give in DATABASE_POOL_TIMEOUT. Nothing was sent. */
export function isPoolExhausted(error: unknown): boolean {
  return error instanceof Error && /timeout exceeded when trying to connect/.test(error.message);
}

/** A state of the server or its machine, not of the statement: it will do again when that is over. */
export function isMachineFailure(error: unknown): boolean {
  const code = codeOf(error);
  if (isConnectionFailure(error) || isPoolExhausted(error)) return true;
  // 53: out of disk or memory; 58: I/O; 25006: read-only (a replica, or a disk that is full on managed servers).
  return code !== undefined && (/^(?:53|58)/.test(code) || code === "25006" || code === "57014" || isRepeatable(error));
}

/** What a caller is told: a state of the database is "unavailable", with a reason that names no secret. */
export function translate(error: unknown): unknown {
  if (error instanceof RuntimeError) return error;
  const code = codeOf(error);
  if (error instanceof UnfitServerError) return unavailable(`${error.message}; nothing was done, try again`, error);
  if (isConnectionFailure(error)) return unavailable("The database does not answer; nothing is lost, try again", error);
  if (isPoolExhausted(error)) return unavailable("No connection to the database became free in time; try again", error);
  if (code === "53100") return unavailable("The disk of the database is full; nothing was written", error);
  if (code === "25006") return unavailable("The database is read-only; nothing was written", error);
  if (code === "54000" || code === "22001" || code === "54023") {
    return new RuntimeError("too_large", "The value is larger than the database can store", { cause: error });
  }
  if (code === "22003") {
    return new RuntimeError("invalid", "The request holds a number that is out of range", { cause: error });
  }
  // NUL, or half a surrogate pair, in a text.
  if (code === "22021" || code === "22P05" || code === "22P02") {
    return new RuntimeError("invalid", "The request holds a character that cannot be stored", { cause: error });
  }
  if (isMachineFailure(error)) return unavailable("The database cannot serve this now; nothing was written", error);
  return error;
}

function unavailable(detail: string, cause: unknown): RuntimeError {
  return new RuntimeError("unavailable", detail, { cause });
}
