import { z } from "@hono/zod-openapi";
import { Metrics } from "#schemas/metrics";
import { failures, json, type Router, route, router } from "./router.ts";

const tags = ["System"];

const metrics = route({
  auth: "public",
  method: "get",
  path: "/metrics",
  tags,
  summary: "Metrics for Prometheus",
  request: { query: z.object({ format: z.enum(["prometheus", "json"]).optional() }) },
  responses: {
    200: {
      description: "Prometheus text format 0.0.4; JSON with format=json",
      content: { "text/plain": { schema: z.string() }, "application/json": { schema: Metrics } },
    },
    ...failures(422),
  },
});

const metricsJson = route({
  auth: "public",
  method: "get",
  path: "/metrics/json",
  tags,
  summary: "Metrics as JSON",
  responses: { 200: { description: "The same values", ...json(Metrics) } },
});

/** The values as they are now. Neither rejects when the database does not answer: what it knows is then left out. */
export interface MetricsSource {
  text(): Promise<{ body: string; contentType: string }>;
  json(): Promise<Metrics>;
}

/** What happens on this server, for those who watch it. Public, like /info: numbers and names of routes and graphs. */
export function metricsRoutes(source: MetricsSource): Router {
  const r = router();
  r.openapi(metrics, async (c) => {
    if (c.req.valid("query").format === "json") return c.json(await source.json(), 200);
    const { body, contentType } = await source.text();
    return c.body(body, 200, { "Content-Type": contentType }) as never;
  });
  r.openapi(metricsJson, async (c) => c.json(await source.json(), 200));
  return r;
}
