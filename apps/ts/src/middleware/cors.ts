import type { MiddlewareHandler } from "hono";
import { RuntimeError } from "#core/errors";
import type { Env } from "#routes/router";
import { type OriginOptions, OriginRule } from "./origins.ts";

/** `http.cors` of langgraph.json; what is absent has the defaults below. */
export interface CorsOptions extends OriginOptions {
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
  "Warning",
];
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/**
 * Refuses what a page of a foreign origin asks for, answers preflights, and marks the answers to every other request that
 * carries an Origin. A browser sends some requests without a preflight (text/plain, forms, images), so hiding the answer
 * from the page is not enough: the request itself must not be served. Programs send no Origin and are not concerned.
 */
export function cors(options: CorsOptions = {}): MiddlewareHandler<Env> {
  const rule = new OriginRule(options);
  const exposed = [...new Set([...EXPOSED, ...(options.expose_headers ?? [])])].join(", ");
  return async (c, next) => {
    const { method } = c.req;
    const { headers: asked } = c.req.raw;
    const origin = asked.get("origin");
    if (origin === null) {
      if (rule.refusesSilent(method, asked)) throw foreign("another site");
      return next();
    }
    const allowed = !rule.allows(origin, asked) ? undefined : rule.any ? "*" : origin;
    if (method === "OPTIONS" && asked.has("access-control-request-method")) {
      return new Response(null, { status: 204, headers: preflight(options, asked, allowed) });
    }
    if (allowed !== "*") c.header("Vary", "Origin", { append: true });
    if (allowed === undefined) throw foreign(origin.slice(0, MAX_SHOWN));
    await next();
    const { headers } = c.res;
    if (allowed !== "*" && !headers.get("vary")?.includes("Origin")) headers.append("Vary", "Origin");
    headers.set("Access-Control-Allow-Origin", allowed);
    headers.set("Access-Control-Expose-Headers", exposed);
    if (credentials(options, allowed)) headers.set("Access-Control-Allow-Credentials", "true");
  };
}

const MAX_SHOWN = 200;

function foreign(origin: string): RuntimeError {
  return new RuntimeError(
    "forbidden",
    `Web pages of ${origin} may not use this server. CORS_ALLOW_ORIGINS names the origins that may.`,
  );
}

/** Never with `*`: any page could then act as the logged-in user. */
function credentials({ allow_credentials }: CorsOptions, allowed: string): boolean {
  return allow_credentials === true && allowed !== "*";
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
  if (credentials(options, allowed)) headers.set("Access-Control-Allow-Credentials", "true");
  headers.set("Access-Control-Max-Age", String(options.max_age ?? 600));
  // Chrome asks before a public page (hosted Studio) may reach a server on the local network.
  if (request.get("access-control-request-private-network") === "true") {
    headers.set("Access-Control-Allow-Private-Network", "true");
  }
  return headers;
}
