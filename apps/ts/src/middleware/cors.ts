import type { MiddlewareHandler } from "hono";
import type { Env } from "#routes/router";

/** `http.cors` of langgraph.json; what is absent has the defaults below. */
export interface CorsOptions {
  allow_origins?: readonly string[] | undefined;
  /** Matched against the whole origin. */
  allow_origin_regex?: string | undefined;
  allow_methods?: readonly string[] | undefined;
  /** "*" allows whatever a preflight asks for; the browser's own "*" would leave out `authorization`. */
  allow_headers?: readonly string[] | undefined;
  allow_credentials?: boolean | undefined;
  expose_headers?: readonly string[] | undefined;
  /** Seconds a browser may keep the answer to a preflight. */
  max_age?: number | undefined;
}

/** Clients cannot resume or page without these, so they are exposed whatever the configuration says. */
const EXPOSED = [
  "Content-Location",
  "Location",
  "X-Pagination-Total",
  "X-Pagination-Next",
  "X-Request-ID",
  "Retry-After",
];
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Answers preflights and marks the answers of every other request that carries an Origin. */
export function cors(options: CorsOptions = {}): MiddlewareHandler<Env> {
  const allowedOrigin = originRule(options);
  const exposed = [...new Set([...EXPOSED, ...(options.expose_headers ?? [])])].join(", ");
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined) return next();
    const allowed = allowedOrigin(origin);
    if (c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined) {
      return new Response(null, { status: 204, headers: preflight(options, c.req.raw.headers, allowed) });
    }
    await next();
    const headers = c.res.headers;
    if (allowed !== "*") headers.append("Vary", "Origin");
    if (allowed === undefined) return;
    headers.set("Access-Control-Allow-Origin", allowed);
    headers.set("Access-Control-Expose-Headers", exposed);
    if (options.allow_credentials === true) headers.set("Access-Control-Allow-Credentials", "true");
  };
}

/** Origin to the value of Access-Control-Allow-Origin; undefined when it is not allowed. */
function originRule(options: CorsOptions): (origin: string) => string | undefined {
  const pattern = options.allow_origin_regex;
  const origins = new Set(options.allow_origins ?? (pattern === undefined ? ["*"] : []));
  const regex = pattern === undefined ? undefined : new RegExp(`^(?:${pattern})$`);
  // With credentials a browser refuses "*": it wants its own origin back.
  if (origins.has("*") && options.allow_credentials !== true) return () => "*";
  return (origin) => (origins.has("*") || origins.has(origin) || regex?.test(origin) === true ? origin : undefined);
}

// An origin that is not allowed gets an answer without the allow headers, and the browser stops there.
function preflight(options: CorsOptions, request: Headers, allowed: string | undefined): Headers {
  const headers = new Headers({ Vary: "Origin, Access-Control-Request-Headers" });
  if (allowed === undefined) return headers;
  headers.set("Access-Control-Allow-Origin", allowed);
  headers.set(
    "Access-Control-Allow-Methods",
    (options.allow_methods ?? METHODS).join(", ").replace("*", METHODS.join(", ")),
  );
  const listed = options.allow_headers ?? ["*"];
  const asked = request.get("access-control-request-headers");
  const names = listed.includes("*") ? asked : listed.join(", ");
  if (names !== null && names !== "") headers.set("Access-Control-Allow-Headers", names);
  if (options.allow_credentials === true) headers.set("Access-Control-Allow-Credentials", "true");
  headers.set("Access-Control-Max-Age", String(options.max_age ?? 600));
  // Chrome asks before a public page (hosted Studio) may reach a server on the local network.
  if (request.get("access-control-request-private-network") === "true") {
    headers.set("Access-Control-Allow-Private-Network", "true");
  }
  return headers;
}
