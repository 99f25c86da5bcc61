import type { MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { matchedRoutes } from "hono/route";
import { RuntimeError } from "#core/errors";
import type { Env } from "#routes/router";

/** One answered request. */
export interface CountedRequest {
  method: string;
  /** Pattern as declared ("/threads/{thread_id}"), or "unmatched": never the path that was asked for. */
  route: string;
  status: number;
  /** Until the answer began; the body of a stream comes after that. */
  seconds: number;
  /** Kind of the error behind the answer, if there was one. */
  error: string | undefined;
}

const UNMATCHED = "unmatched";
/** A client may invent methods; the label may not grow by it. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Tells of every answer, those of the other middleware included: goes before all of it. */
export function countRequests(count: (request: CountedRequest) => void): MiddlewareHandler<Env> {
  const patterns = new Map<string, string>();
  const declared = (path: string): string => {
    const known = patterns.get(path);
    if (known !== undefined) return known;
    const made = path.replaceAll(/:(\w+)/g, "{$1}");
    patterns.set(path, made);
    return made;
  };
  return async (c, next) => {
    const start = performance.now();
    let status = 500;
    try {
      await next();
      status = c.res.status;
    } finally {
      // Middleware is registered for all methods, routes for one.
      const route = matchedRoutes(c).find(({ method }) => method !== "ALL");
      count({
        method: METHODS.has(c.req.method) ? c.req.method : "other",
        route: route === undefined ? UNMATCHED : declared(route.path),
        status,
        seconds: (performance.now() - start) / 1_000,
        error: c.error === undefined ? refusal(route, status) : kindOf(c.error),
      });
    }
  };
}

/** What no route has taken is answered without an error. */
function refusal(route: unknown, status: number): string | undefined {
  if (route !== undefined || status < 400) return undefined;
  return status === 405 ? "method_not_allowed" : UNMATCHED;
}

function kindOf(error: Error): string {
  if (error instanceof RuntimeError) return error.code;
  return error instanceof HTTPException && error.status < 500 ? "http_exception" : "handler_error";
}
