import { z } from "@hono/zod-openapi";
import type { Router } from "./router.ts";
import { json, route } from "./router.ts";

const document = route({
  auth: "public",
  method: "get",
  path: "/openapi.json",
  tags: ["System"],
  summary: "This document",
  responses: { 200: { description: "OpenAPI 3.1", ...json(z.record(z.string(), z.unknown())) } },
});

const TAGS = [
  { name: "Assistants", description: "A graph together with a configuration, in versions." },
  { name: "Threads", description: "A conversation: its state, and the checkpoints that led there." },
  { name: "Thread runs", description: "Running an assistant on a thread." },
  { name: "Stateless runs", description: "Running an assistant without keeping a thread." },
  { name: "Store", description: "Memory that threads share." },
  { name: "System", description: "The server itself." },
];

/** GET /openapi.json, made from the schemas that validate the requests: once, when first asked for. */
export function serveOpenApi(app: Router, version: string): void {
  let body: string | undefined;
  app.openapi(document, (c) => {
    body ??= JSON.stringify(
      app.document({
        info: {
          title: "Fractal Agents Runtime",
          version,
          description: "LangGraph Agent Server API: assistants, threads, runs and store.",
          license: { name: "MIT", identifier: "MIT" },
        },
        tags: TAGS,
        servers: [{ url: "/" }],
      }),
    );
    return c.body(body, 200, { "Content-Type": "application/json" }) as never;
  });
}
