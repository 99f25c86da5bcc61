import { z } from "@hono/zod-openapi";
import type { AssistantService } from "#core/assistants/service";
import { GraphDrawing, GraphSchema, Subgraphs } from "#schemas/assistants";
import { queryFlag } from "#schemas/query";
import type { Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";

/** What an assistant's graph looks like: drawing, schemas, subgraphs. */

const tags = ["Assistants"];
const assistantId = z.string().min(1).meta({ description: "Id of an assistant or of a graph" });
const params = z.object({ assistant_id: assistantId });

/** `true`, or how many levels of subgraphs to draw out. "1" is a depth, which draws the same as true for one level. */
const Xray = z
  .preprocess((value) => {
    const text = typeof value === "string" ? value.toLowerCase() : value;
    if (text === "true" || text === "yes") return true;
    if (text === "false" || text === "no") return false;
    return typeof text === "string" && /^\d{1,4}$/.test(text) ? Number(text) : text;
  }, z.union([z.boolean(), z.int().min(0)], { error: "must be true, false or a depth" }).optional())
  .meta({ anyOf: [{ type: "boolean" }, { type: "integer", minimum: 0 }] });

const drawing = route({
  auth: "assistants:read",
  method: "get",
  path: "/assistants/{assistant_id}/graph",
  tags,
  summary: "Draw an assistant's graph",
  request: { params, query: z.object({ xray: Xray }) },
  responses: { 200: { description: "Nodes and edges", ...json(GraphDrawing) }, ...failures(404, 422) },
});

const schemas = route({
  auth: "assistants:read",
  method: "get",
  path: "/assistants/{assistant_id}/schemas",
  tags,
  summary: "JSON Schemas of an assistant's graph",
  request: { params },
  responses: { 200: { description: "A schema that cannot be made is null", ...json(GraphSchema) }, ...failures(404) },
});

const subgraphs = route({
  auth: "assistants:read",
  method: "get",
  path: "/assistants/{assistant_id}/subgraphs",
  tags,
  summary: "Schemas of the subgraphs",
  request: { params, query: z.object({ recurse: queryFlag() }) },
  responses: { 200: { description: "By namespace", ...json(Subgraphs) }, ...failures(404, 422) },
});

const subgraph = route({
  auth: "assistants:read",
  method: "get",
  path: "/assistants/{assistant_id}/subgraphs/{namespace}",
  tags,
  summary: "Schemas of one subgraph namespace",
  request: {
    params: params.extend({ namespace: z.string().min(1).meta({ description: "Names joined by |" }) }),
    query: z.object({ recurse: queryFlag() }),
  },
  responses: { 200: { description: "By namespace", ...json(Subgraphs) }, ...failures(404, 422) },
});

export function assistantGraphRoutes(assistants: AssistantService): Router {
  const r = router();
  r.openapi(drawing, async (c) => {
    const { assistant_id } = c.req.valid("param");
    const graph = await assistants.drawing(c.var.scope, assistant_id, c.req.valid("query").xray ?? false);
    return c.json(graph as z.infer<typeof GraphDrawing>, 200);
  });
  r.openapi(schemas, async (c) => {
    return c.json(await assistants.schemas(c.var.scope, c.req.valid("param").assistant_id), 200);
  });
  r.openapi(subgraphs, async (c) => {
    const { assistant_id } = c.req.valid("param");
    const recurse = c.req.valid("query").recurse ?? false;
    return c.json(await assistants.subgraphs(c.var.scope, assistant_id, { recurse }), 200);
  });
  r.openapi(subgraph, async (c) => {
    const { assistant_id, namespace } = c.req.valid("param");
    const recurse = c.req.valid("query").recurse ?? false;
    return c.json(await assistants.subgraphs(c.var.scope, assistant_id, { namespace, recurse }), 200);
  });
  return r;
}
