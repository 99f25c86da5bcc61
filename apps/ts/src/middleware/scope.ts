import type { MiddlewareHandler } from "hono";
import { ANONYMOUS } from "#core/identity/scope";
import type { Env } from "#routes/router";

/**
 * The one place where a request gets its scope: who asks, and what they may see. Only a call in this process brings one
 * along; nothing of a request that came by HTTP reaches `c.env`.
 */
export function scope(): MiddlewareHandler<Env> {
  return (c, next) => {
    // Without a second argument of fetch() there is no `env`, whatever its type says.
    c.set("scope", c.env?.scope ?? ANONYMOUS);
    return next();
  };
}
