import type { MiddlewareHandler } from "hono";
import { RuntimeError } from "#core/errors";
import type { Env } from "#routes/router";

/** Routes whose answer may take longer than an idle connection lives: they stream, or wait for a run. */
const MAY_BE_SILENT = /\/(?:stream|wait|join|cancel)(?:\?|$)/;
/** A larger body may take its time to arrive, and its connection is not idle meanwhile. */
const SMALL_BODY = 1024 * 1024;

/** @param url Or its path. */
export function mayBeSilent(url: string): boolean {
  return MAY_BE_SILENT.test(url);
}

/**
 * Answers 503 when nothing else has answered in `ms`: a connection that is silent for longer is cut, and its client is
 * told nothing. The storage gives up sooner by itself; this is for requests that wait for several things, or for others.
 */
export function answerDeadline(ms: number): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { method, path, raw } = c.req;
    if (mayBeSilent(path) || !hasSmallBody(method, raw.headers)) return next();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new RuntimeError("unavailable", "The request took too long; it may yet take effect"));
    }, ms);
    try {
      // What the handler throws is answered and logged below this: it does not reject.
      await Promise.race([next(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}

function hasSmallBody(method: string, headers: Headers): boolean {
  if (method === "GET" || method === "HEAD") return true;
  const length = headers.get("content-length");
  if (length === null) return headers.get("transfer-encoding") === null;
  return Number(length) <= SMALL_BODY;
}
