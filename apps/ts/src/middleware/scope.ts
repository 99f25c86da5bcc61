import type { MiddlewareHandler } from "hono";
import { ANONYMOUS } from "#core/identity/scope";
import type { Env } from "#routes/router";

/** The one place where a request gets its scope: who asks, and what they may see. */
export function scope(): MiddlewareHandler<Env> {
  return (c, next) => {
    c.set("scope", ANONYMOUS);
    return next();
  };
}
