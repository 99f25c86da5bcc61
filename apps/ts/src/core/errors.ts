/**
 * The one error that core throws on purpose. Every edge (HTTP, MCP, A2A) has a table from code to its own number that
 * the compiler keeps complete; anything that is not a RuntimeError is a bug and never shown to a client.
 */
export const ERROR_CODES = [
  "bad_request",
  "unauthenticated",
  "forbidden",
  "not_found",
  "conflict",
  "too_large",
  "invalid",
  "rate_limited",
  "not_supported",
  "unavailable",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  readonly code: ErrorCode;

  /** @param detail Text for the person who made the request: what is wrong, never a secret or a stack. */
  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(detail, options);
    this.code = code;
  }
}

/** A write of a run whose lane has moved on. The run must stop; nothing was written. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
  constructor(threadId: string, runId: string) {
    super(`Run ${runId} no longer owns thread ${threadId}`);
  }
}
