import type { Logger } from "@fractal-agents/infra/logger";
import { Rarely } from "@fractal-agents/infra/rarely";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ErrorCode } from "#core/errors";
import { RuntimeError } from "#core/errors";
import type { Page } from "#schemas/common";
import type { Env } from "./router.ts";

/** The one place where a core error becomes a status; a new code without a status does not compile. */
export const STATUS = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  invalid: 422,
  rate_limited: 429,
  not_supported: 501,
  unavailable: 503,
} as const satisfies Record<ErrorCode, ContentfulStatusCode>;

/** Seconds a client waits before it tries again, where the answer invites it to. */
const RETRY_AFTER: Partial<Record<ErrorCode, string>> = { rate_limited: "1", unavailable: "1" };

/** Errors to `{"detail"}`. The cause of anything unexpected goes to the log only, under the request's id. */
export function onError(logger: Logger) {
  // A database that takes no writes refuses every request alike: a line a minute says so.
  const outage = new Rarely();
  return (error: Error, c: Context<Env>): Response => {
    if (error instanceof RuntimeError) {
      const retryAfter = RETRY_AFTER[error.code];
      if (retryAfter !== undefined) c.header("Retry-After", retryAfter);
      if (STATUS[error.code] >= 500) {
        const unsaid = error.code === "unavailable" ? outage.due(error.message) : 0;
        const more = unsaid === 0 ? undefined : { unsaid };
        if (unsaid !== undefined) logger.warn({ err: error, ...where(c), ...more }, error.message);
      }
      return c.json({ detail: error.message }, STATUS[error.code]);
    }
    if (error instanceof HTTPException && error.status < 500) {
      return c.json({ detail: error.message || "Bad request" }, error.status);
    }
    logger.error({ err: error, ...where(c) }, "Unexpected error while answering a request");
    return c.json({ detail: "Internal server error", request_id: c.var.requestId }, 500);
  };
}

function where(c: Context<Env>) {
  return { request_id: c.var.requestId, method: c.req.method, path: c.req.path };
}

/**
 * Pagination headers of a search: with more rows to come, the total is only a lower bound.
 * @param offset Of the first row on this page.
 */
export function paginate(c: Context<Env>, page: Page<unknown>, offset: number): void {
  const next = offset + page.items.length;
  if (page.more) c.header("X-Pagination-Next", String(next));
  c.header("X-Pagination-Total", String(page.more ? next + 1 : next));
}

/** The listed keys of each row; every key when nothing was selected. */
export function project<T extends object, K extends keyof T>(rows: readonly T[], keys: readonly K[] | undefined): T[] {
  if (keys === undefined || keys.length === 0) return [...rows];
  return rows.map((row) => Object.fromEntries(keys.filter((key) => key in row).map((key) => [key, row[key]])) as T);
}
