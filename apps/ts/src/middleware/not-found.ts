import type { Context } from "hono";
import type { Env, Router } from "#routes/router";
import { notYet } from "./not-yet.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/**
 * No route took the request: 501 for what clients of LangGraph Platform may ask and this server lacks, 405 with Allow
 * where another method would have had a route, else 404.
 */
export function notFound(app: Router, disabled?: ReadonlySet<string>) {
  return (c: Context<Env>): Response => {
    const missing = notYet(c.req.method, c.req.path, disabled);
    if (missing !== undefined) return c.json({ detail: missing }, 501);
    const allowed = allowedMethods(app, c.req.path);
    if (allowed.length === 0) return c.json({ detail: "Not Found" }, 404);
    if (allowed.includes("GET")) allowed.push("HEAD");
    c.header("Allow", [...allowed, "OPTIONS"].join(", "));
    if (c.req.method === "OPTIONS") return c.body(null, 204);
    return c.json({ detail: `Method ${c.req.method} is not allowed here; allowed: ${allowed.join(", ")}` }, 405);
  };
}

/** A path that is a route by itself ("/threads/search") is not also taken for the parameter of another. */
function allowedMethods(app: Router, path: string): string[] {
  const literal = METHODS.filter((method) => routesOf(app, method, path).some((pattern) => pattern === path));
  return literal.length > 0 ? literal : METHODS.filter((method) => routesOf(app, method, path).length > 0);
}

/** Middleware is registered for ALL methods; only handlers are registered by name. */
function routesOf(app: Router, method: string, path: string): string[] {
  const [handlers] = app.router.match(method, path);
  return handlers
    .map(([[, registered]]) => registered)
    .filter((entry) => entry.method === method)
    .map(({ path }) => path);
}
