import type { MiddlewareHandler } from "hono";
import type { Env } from "#routes/router";

/** Says how many bytes a list may have; the routes that answer lists hand it to the storage. */
export function answerLimit(bytes: number): MiddlewareHandler<Env> {
  return (c, next) => {
    c.set("answerLimit", bytes);
    return next();
  };
}
