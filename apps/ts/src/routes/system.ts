import { z } from "@hono/zod-openapi";
import { RuntimeError } from "#core/errors";
import type { GraphRegistry } from "#core/graphs/registry";
import { queryFlag } from "#schemas/query";
import { Health, Info, Ok, Probe, Root } from "#schemas/system";
import type { Facts } from "./info.ts";
import { describeServer, SERVICE } from "./info.ts";
import type { Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";

/** Whether the server lives, and what it is. Public: none of it needs an identity. */

const tags = ["System"];

const ok = route({
  auth: "public",
  method: "get",
  path: "/ok",
  tags,
  summary: "Is the server there?",
  request: { query: z.object({ check_db: queryFlag().meta({ description: "Also ask the database" }) }) },
  responses: { 200: { description: "It is", ...json(Ok) }, ...failures(422, 503) },
});

const health = route({
  auth: "public",
  method: "get",
  path: "/health",
  tags,
  summary: "Liveness",
  responses: { 200: { description: "The process answers", ...json(Health) } },
});

const live = route({
  auth: "public",
  method: "get",
  path: "/live",
  tags,
  summary: "Liveness: does the event loop answer? Asks no database",
  responses: { 200: { description: "It does", ...json(Probe) } },
});

const ready = route({
  auth: "public",
  method: "get",
  path: "/ready",
  tags,
  summary: "Readiness: should requests be sent here?",
  responses: { 200: { description: "They should", ...json(Probe) }, ...failures(503) },
});

const startup = route({
  auth: "public",
  method: "get",
  path: "/startup",
  tags,
  summary: "Has the server started? It listens only after that",
  responses: { 200: { description: "It has", ...json(Probe) } },
});

const info = route({
  auth: "public",
  method: "get",
  path: "/info",
  tags,
  summary: "Version, graphs, model, capabilities",
  responses: { 200: { description: "What this server is", ...json(Info) } },
});

export const root = route({
  auth: "public",
  method: "get",
  path: "/",
  tags,
  summary: "Name and version; a browser gets the chat page",
  responses: {
    200: {
      description: "JSON, or a page where the client asks for text/html",
      content: { "application/json": { schema: Root }, "text/html": { schema: z.string() } },
    },
  },
});

/** Whether this process should be sent requests. */
export interface Readiness {
  /** Undefined when it is ready, else why not, in words. */
  reason(): Promise<string | undefined>;
}

export interface SystemDeps {
  facts: Facts;
  graphs: GraphRegistry;
  storage: { description: string; ping(): Promise<void> };
  /** Without it, a server that answers is ready. */
  readiness?: Readiness | undefined;
  /** Parts of the API that are switched off. */
  disabled?: ReadonlySet<string> | undefined;
}

export function systemRoutes(deps: SystemDeps): Router {
  // "sqlite .fractal/fractal.db": the engine only; where it lies is nobody's business.
  const engine = deps.storage.description.split(" ")[0] ?? "unknown";
  const { facts, graphs, disabled = new Set() } = deps;
  const r = router();
  r.openapi(ok, async (c) => {
    if (c.req.valid("query").check_db === true) {
      await deps.storage.ping().catch((cause: unknown) => {
        throw new RuntimeError("unavailable", "The database does not answer", { cause });
      });
    }
    return c.json({ ok: true } as const, 200);
  });
  r.openapi(health, (c) => c.json({ status: "ok", persistence: engine } as const, 200));
  r.openapi(live, (c) => c.json({ status: "ok" } as const, 200));
  r.openapi(startup, (c) => c.json({ status: "ok" } as const, 200));
  r.openapi(ready, async (c) => {
    const reason = await deps.readiness?.reason();
    // A probe every few seconds is expected to fail while a server stops: that is an answer, not an event for the log.
    if (reason !== undefined) return c.json({ detail: reason }, 503, { "Retry-After": "1" });
    return c.json({ status: "ok" } as const, 200);
  });
  r.openapi(info, (c) => c.json(describeServer({ facts, graphs, persistence: engine, disabled }), 200));
  return r;
}

export function rootAnswer(facts: Facts): z.infer<typeof Root> {
  return { service: SERVICE, runtime: facts.runtime, version: facts.version };
}
