import { z } from "@hono/zod-openapi";
import { RuntimeError } from "#core/errors";
import type { GraphRegistry } from "#core/graphs/registry";
import { queryFlag } from "#schemas/query";
import { Health, Info, Ok, Root } from "#schemas/system";
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

export interface SystemDeps {
  facts: Facts;
  graphs: GraphRegistry;
  storage: { description: string; ping(): Promise<void> };
}

export function systemRoutes(deps: SystemDeps): Router {
  // "sqlite .fractal/fractal.db": the engine only; where it lies is nobody's business.
  const engine = deps.storage.description.split(" ")[0] ?? "unknown";
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
  r.openapi(info, (c) => c.json(describeServer(deps.facts, deps.graphs, engine), 200));
  return r;
}

export function rootAnswer(facts: Facts): z.infer<typeof Root> {
  return { service: SERVICE, runtime: facts.runtime, version: facts.version };
}
