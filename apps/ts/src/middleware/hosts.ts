import { hostNames } from "@fractal-agents/infra/host-names";
import type { MiddlewareHandler } from "hono";
import { RuntimeError } from "#core/errors";
import type { Env } from "#routes/router";

export interface HostOptions {
  /** Address that the server listens on. */
  bound: string;
  /** FRACTAL_ALLOWED_HOSTS: names, `.suffix` or `*.suffix` for all names below one; "*" is every name. */
  allowed: readonly string[];
}

/** Probes and scrapers call a server by its address, and a page can do nothing with what they are answered. */
const EXEMPT = new Set(["/ok", "/health", "/live", "/ready", "/startup", "/metrics"]);

/**
 * Refuses requests to a name that is none of this server's. A page of evil.example can have its own name point to
 * 127.0.0.1 (DNS rebinding), and is then of the server's own origin for the browser: only the name gives it away.
 * Without FRACTAL_ALLOWED_HOSTS the names of a server on another address are not known, and nothing is checked.
 */
export function hostCheck({ bound, allowed }: HostOptions): MiddlewareHandler<Env> {
  const checked = (isLoopbackName(bound) || allowed.length > 0) && !allowed.includes("*");
  if (!checked) return (_, next) => next();
  const named = hostNames([bound, ...allowed]);
  return (c, next) => {
    const host = c.req.raw.headers.get("host");
    // Every browser names the host; HTTP/1.0 may do without.
    if (host === null || host === "" || EXEMPT.has(c.req.path)) return next();
    const name = nameOf(host);
    if (isLoopbackName(name) || named(name)) return next();
    throw new RuntimeError(
      "forbidden",
      `"${name.slice(0, 200)}" is not a name of this server. FRACTAL_ALLOWED_HOSTS adds the names it may be called by.`,
    );
  };
}

/** A name or an address that no other machine can be reached by. */
export function isLoopbackName(name: string): boolean {
  return /^(?:(?:[\w-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(name);
}

/** "name:3000" and "[::1]:3000" without the port, without the dot that ends a full name. */
function nameOf(host: string): string {
  const name = /^\[(.*)\](?::\d*)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, "");
  return name.toLowerCase().replace(/\.$/, "");
}
