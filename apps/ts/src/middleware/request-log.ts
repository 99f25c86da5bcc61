import type { Logger } from "@fractal-agents/infra/logger";
import type { MiddlewareHandler } from "hono";
import type { Env } from "#routes/router";

/** Says of every request how it was answered; of a stream, when it began. The query may hold secrets and is left out. */
export function logRequests(logger: Logger): MiddlewareHandler<Env> {
  return async (c, next) => {
    const start = performance.now();
    await next();
    logger.debug(
      {
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        ms: Math.round(performance.now() - start),
        client: c.req.header("x-forwarded-for"),
        request_id: c.var.requestId,
      },
      "request answered",
    );
  };
}
