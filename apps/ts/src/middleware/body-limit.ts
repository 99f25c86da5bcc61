import type { MiddlewareHandler } from "hono";
import { bodyTooLarge } from "#routes/request-body";
import type { Env } from "#routes/router";

/**
 * Refuses a body that says it is too large, before a byte of it is read. One without a length (chunked) is counted while
 * it is read, in routes/request-body.ts.
 */
export function bodyLimit(bytes: number): MiddlewareHandler<Env> {
  return (c, next) => {
    c.set("bodyLimit", bytes);
    const length = c.req.header("content-length");
    if (length !== undefined && Number(length) > bytes) throw bodyTooLarge(bytes);
    return next();
  };
}
