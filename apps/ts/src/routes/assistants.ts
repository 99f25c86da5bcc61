import { maskSecrets } from "@fractal-agents/infra/secrets";
import { z } from "@hono/zod-openapi";
import { mirrored } from "#core/assistants/mirror";
import type { AssistantService } from "#core/assistants/service";
import { RuntimeError } from "#core/errors";
import {
  Assistant,
  AssistantCount,
  AssistantCreate,
  AssistantPatch,
  AssistantSearch,
  AssistantVersionChange,
  AssistantVersionsQuery,
} from "#schemas/assistants";
import { Count } from "#schemas/common";
import { queryFlag, queryInt } from "#schemas/query";
import { paginate, project } from "./http.ts";
import type { Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";

const tags = ["Assistants"];
const params = z.object({
  assistant_id: z.string().min(1).meta({ description: "Id of an assistant, or of a graph for its own assistant" }),
});

const create = route({
  auth: "assistants:create",
  method: "post",
  path: "/assistants",
  tags,
  summary: "Create an assistant",
  request: { body: json(AssistantCreate) },
  responses: { 200: { description: "The assistant, version 1", ...json(Assistant) }, ...failures(400, 404, 409, 422) },
});

const search = route({
  auth: "assistants:search",
  method: "post",
  path: "/assistants/search",
  tags,
  summary: "Search assistants",
  request: { body: json(AssistantSearch) },
  responses: {
    200: { description: "A page; X-Pagination-Next has the next offset", ...json(z.array(Assistant.partial())) },
    ...failures(422),
  },
});

const count = route({
  auth: "assistants:search",
  method: "post",
  path: "/assistants/count",
  tags,
  summary: "Count assistants",
  request: { body: json(AssistantCount) },
  responses: { 200: { description: "How many match", ...json(Count) }, ...failures(422) },
});

const get = route({
  auth: "assistants:read",
  method: "get",
  path: "/assistants/{assistant_id}",
  tags,
  summary: "Get an assistant",
  request: { params },
  responses: { 200: { description: "The assistant", ...json(Assistant) }, ...failures(404) },
});

const patch = route({
  auth: "assistants:update",
  method: "patch",
  path: "/assistants/{assistant_id}",
  tags,
  summary: "Update an assistant",
  description: "Makes a new version and sets it current. Metadata is merged, all else replaced.",
  request: { params, body: json(AssistantPatch) },
  responses: { 200: { description: "The new version", ...json(Assistant) }, ...failures(400, 403, 404, 422) },
});

const remove = route({
  auth: "assistants:delete",
  method: "delete",
  path: "/assistants/{assistant_id}",
  tags,
  summary: "Delete an assistant",
  request: {
    params,
    query: z.object({
      delete_threads: queryFlag().meta({ description: "Also the threads whose metadata names this assistant" }),
    }),
  },
  responses: { 204: { description: "Gone, with its versions" }, ...failures(403, 404, 422) },
});

const versions = route({
  auth: "assistants:read",
  method: "post",
  path: "/assistants/{assistant_id}/versions",
  tags,
  summary: "List the versions of an assistant",
  request: { params, body: json(AssistantVersionsQuery) },
  responses: { 200: { description: "Newest first", ...json(z.array(Assistant)) }, ...failures(404, 422) },
});

const latest = route({
  auth: "assistants:update",
  method: "post",
  path: "/assistants/{assistant_id}/latest",
  tags,
  summary: "Make an older version current",
  request: {
    params,
    query: z.object({ version: queryInt(1) }),
    body: { required: false, ...json(AssistantVersionChange) },
  },
  responses: {
    200: { description: "The assistant as of that version", ...json(Assistant) },
    ...failures(403, 404, 422),
  },
});

/** An assistant as clients see it: its secrets are used, never shown. */
function shown(assistant: Assistant): Assistant {
  // Releases up to 0.1.0 stored what was given under the one name it was given under.
  const { config, context } = mirrored({}, assistant);
  return { ...assistant, config: maskSecrets(config), context: maskSecrets(context) };
}

export function assistantRoutes(assistants: AssistantService): Router {
  const r = router();
  r.openapi(create, async (c) => c.json(shown(await assistants.create(c.var.scope, c.req.valid("json"))), 200));
  r.openapi(search, async (c) => {
    const { select, ...query } = c.req.valid("json");
    const page = await assistants.search(c.var.scope, { ...query, max_bytes: c.var.answerLimit });
    paginate(c, page, query.offset);
    return c.json(project(page.items.map(shown), select), 200);
  });
  r.openapi(count, async (c) => c.json(await assistants.count(c.var.scope, c.req.valid("json")), 200));
  r.openapi(get, async (c) =>
    c.json(shown(await assistants.resolve(c.var.scope, c.req.valid("param").assistant_id)), 200),
  );
  r.openapi(patch, async (c) => {
    const { assistant_id } = c.req.valid("param");
    return c.json(shown(await assistants.update(c.var.scope, assistant_id, c.req.valid("json"))), 200);
  });
  r.openapi(remove, async (c) => {
    const { assistant_id } = c.req.valid("param");
    await assistants.remove(c.var.scope, assistant_id, c.req.valid("query").delete_threads ?? false);
    return c.body(null, 204);
  });
  r.openapi(versions, async (c) => {
    const { assistant_id } = c.req.valid("param");
    const query = { ...c.req.valid("json"), max_bytes: c.var.answerLimit };
    const all = await assistants.versions(c.var.scope, assistant_id, query);
    return c.json(all.map(shown), 200);
  });
  r.openapi(latest, async (c) => {
    const { assistant_id } = c.req.valid("param");
    const version = c.req.valid("json").version ?? c.req.valid("query").version;
    if (version === undefined) throw new RuntimeError("invalid", "version: is required, in the body or the query");
    return c.json(shown(await assistants.setLatest(c.var.scope, assistant_id, version)), 200);
  });
  return r;
}
