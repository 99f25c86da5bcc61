import { newId } from "@fractal-agents/infra/ids";
import type { MiddlewareHandler } from "hono";
import type { Env } from "#routes/router";

/** What we take from a client: nothing that could break a log line or a header. */
const ACCEPTED = /^[\w.:/+=@-]{1,200}$/;

/** Takes the caller's X-Request-ID or makes one, and sends it back with every answer. */
export function requestId(): MiddlewareHandler<Env> {
  return async (c, next) => {
    const given = c.req.header("x-request-id");
    const id = given !== undefined && ACCEPTED.test(given) ? given : newId();
    c.set("requestId", id);
    await next();
    c.res.headers.set("X-Request-ID", id);
  };
}
