import { z } from "@hono/zod-openapi";
import type { ThreadService } from "#core/threads/service";
import { Count, Id } from "#schemas/common";
import { queryList } from "#schemas/query";
import {
  Thread,
  ThreadCount,
  ThreadCreate,
  ThreadPatch,
  ThreadPrune,
  ThreadPruned,
  ThreadSearch,
} from "#schemas/threads";
import { paginate, project } from "./http.ts";
import type { Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";

const tags = ["Threads"];
const params = z.object({ thread_id: Id });

const create = route({
  auth: "threads:create",
  method: "post",
  path: "/threads",
  tags,
  summary: "Create a thread",
  request: { body: json(ThreadCreate) },
  responses: { 200: { description: "The thread", ...json(Thread) }, ...failures(400, 404, 409, 422) },
});

const search = route({
  auth: "threads:search",
  method: "post",
  path: "/threads/search",
  tags,
  summary: "Search threads",
  request: { body: json(ThreadSearch) },
  responses: {
    200: { description: "A page; X-Pagination-Next has the next offset", ...json(z.array(Thread.partial())) },
    ...failures(422),
  },
});

const count = route({
  auth: "threads:search",
  method: "post",
  path: "/threads/count",
  tags,
  summary: "Count threads",
  request: { body: json(ThreadCount) },
  responses: { 200: { description: "How many match", ...json(Count) }, ...failures(422) },
});

const prune = route({
  auth: "threads:delete",
  method: "post",
  path: "/threads/prune",
  tags,
  summary: "Delete threads, or drop their older checkpoints",
  request: { body: json(ThreadPrune) },
  responses: { 200: { description: "Unknown threads are passed over", ...json(ThreadPruned) }, ...failures(422) },
});

const get = route({
  auth: "threads:read",
  method: "get",
  path: "/threads/{thread_id}",
  tags,
  summary: "Get a thread",
  request: { params, query: z.object({ include: queryList(z.string()) }) },
  responses: { 200: { description: "The thread", ...json(Thread) }, ...failures(404, 422) },
});

const patch = route({
  auth: "threads:update",
  method: "patch",
  path: "/threads/{thread_id}",
  tags,
  summary: "Update a thread",
  description: "Metadata is merged. `Prefer: return=minimal` asks for 204 without a body.",
  request: {
    params,
    headers: z.object({ prefer: z.string().optional() }),
    body: json(ThreadPatch),
  },
  responses: {
    200: { description: "The thread", ...json(Thread) },
    204: { description: "Done, as asked without a body" },
    ...failures(404, 422),
  },
});

const remove = route({
  auth: "threads:delete",
  method: "delete",
  path: "/threads/{thread_id}",
  tags,
  summary: "Delete a thread",
  request: { params },
  responses: { 204: { description: "Gone, with its runs and checkpoints" }, ...failures(404, 422) },
});

const copy = route({
  auth: "threads:create",
  method: "post",
  path: "/threads/{thread_id}/copy",
  tags,
  summary: "Copy a thread with its checkpoints",
  request: { params },
  responses: { 200: { description: "The new thread", ...json(Thread) }, ...failures(409, 422) },
});

export function threadRoutes(threads: ThreadService): Router {
  const r = router();
  r.openapi(create, async (c) => c.json(await threads.create(c.var.scope, c.req.valid("json")), 200));
  r.openapi(search, async (c) => {
    const { select, extract, ...query } = c.req.valid("json");
    const page = await threads.search(c.var.scope, { ...query, max_bytes: c.var.answerLimit }, extract);
    paginate(c, page, query.offset);
    const keys = select !== undefined && extract !== undefined ? [...select, "extracted" as const] : select;
    return c.json(project(page.items, keys), 200);
  });
  r.openapi(count, async (c) => c.json(await threads.count(c.var.scope, c.req.valid("json")), 200));
  r.openapi(prune, async (c) => {
    const { thread_ids, strategy } = c.req.valid("json");
    return c.json({ pruned_count: await threads.prune(c.var.scope, thread_ids, strategy) }, 200);
  });
  r.openapi(get, async (c) => {
    const ttl = c.req.valid("query").include?.includes("ttl") ?? false;
    return c.json(await threads.get(c.var.scope, c.req.valid("param").thread_id, { ttl }), 200);
  });
  r.openapi(patch, async (c) => {
    const thread = await threads.patch(c.var.scope, c.req.valid("param").thread_id, c.req.valid("json"));
    const minimal = /(^|[,;\s])return=minimal/i.test(c.req.valid("header").prefer ?? "");
    return minimal ? c.body(null, 204) : c.json(thread, 200);
  });
  r.openapi(remove, async (c) => {
    await threads.remove(c.var.scope, c.req.valid("param").thread_id);
    return c.body(null, 204);
  });
  r.openapi(copy, async (c) => c.json(await threads.copy(c.var.scope, c.req.valid("param").thread_id), 200));
  return r;
}
