import type { Logger } from "@fractal-agents/infra/logger";
import { z } from "@hono/zod-openapi";
import { RuntimeError } from "#core/errors";
import type { StoreRepository } from "#core/store/repository";
import { NO_TTL, type StoreTtl } from "#core/store/ttl";
import { UNINDEXED, warnUnindexed } from "#core/store/unindexed";
import { queryFlag } from "#schemas/query";
import {
  Item,
  Namespace,
  REFRESH,
  StoreDelete,
  StoreNamespaces,
  StoreNamespacesResult,
  StorePut,
  StoreSearch,
  StoreSearchResult,
  unknownOperator,
} from "#schemas/store";
import { describeIssues } from "./issues.ts";
import type { Router } from "./router.ts";
import { failures, json, route, router } from "./router.ts";

/** The cross-thread memory over HTTP. */

const tags = ["Store"];

const put = route({
  auth: "store:put",
  method: "put",
  path: "/store/items",
  tags,
  summary: "Put an item",
  request: { body: json(StorePut) },
  responses: { 204: { description: "Stored" }, ...failures(400, 422) },
});

const get = route({
  auth: "store:get",
  method: "get",
  path: "/store/items",
  tags,
  summary: "Get an item",
  request: {
    query: z.object({
      key: z
        .string()
        .optional()
        .meta({ param: { required: true } }),
      namespace: z
        .union([z.string(), z.array(z.string())])
        .optional()
        .meta({ type: "string", description: 'Labels joined by "."' }),
      refresh_ttl: queryFlag().meta({ description: REFRESH }),
    }),
  },
  responses: {
    200: { description: "The item; null if there is none", ...json(Item.nullable()) },
    ...failures(400, 422),
  },
});

const remove = route({
  auth: "store:delete",
  method: "delete",
  path: "/store/items",
  tags,
  summary: "Delete an item",
  request: { body: json(StoreDelete) },
  responses: { 204: { description: "Gone, or never there" }, ...failures(422) },
});

const search = route({
  auth: "store:search",
  method: "post",
  path: "/store/items/search",
  tags,
  summary: "Search items",
  description:
    "Newest first. The store has no index yet: a search with `query` lists like one without it, and a `Warning` header says so.",
  request: { body: json(StoreSearch) },
  responses: { 200: { description: "A page of items", ...json(StoreSearchResult) }, ...failures(400, 422) },
});

const namespaces = route({
  auth: "store:list_namespaces",
  method: "post",
  path: "/store/namespaces",
  tags,
  summary: "List namespaces",
  request: { body: json(StoreNamespaces) },
  responses: { 200: { description: "A page of namespaces", ...json(StoreNamespacesResult) }, ...failures(422) },
});

interface StoreOptions {
  /** How long items live; without it as long as their puts say. */
  rules?: StoreTtl | undefined;
  logger: Logger;
}

export function storeRoutes(store: StoreRepository, { rules = NO_TTL, logger }: StoreOptions): Router {
  const r = router();
  r.openapi(put, async (c) => {
    const { namespace, key, value, ttl } = c.req.valid("json");
    if (namespace.length === 0) throw new RuntimeError("bad_request", "namespace: cannot be empty");
    if (namespace[0] === "langgraph") {
      throw new RuntimeError("bad_request", 'namespace: the first label "langgraph" is reserved');
    }
    await store.put(c.var.scope, { namespace, key, value, ttl: ttl ?? rules.minutes });
    return c.body(null, 204);
  });
  r.openapi(get, async (c) => {
    const { key, namespace, refresh_ttl: refresh = rules.refreshOnRead } = c.req.valid("query");
    if (key === undefined || key === "") throw new RuntimeError("bad_request", "key: is required");
    return c.json((await store.get(c.var.scope, { namespace: splitNamespace(namespace), key, refresh })) ?? null, 200);
  });
  r.openapi(remove, async (c) => {
    const { namespace, key } = c.req.valid("json");
    await store.remove(c.var.scope, { namespace, key });
    return c.body(null, 204);
  });
  r.openapi(search, async (c) => {
    const { refresh_ttl: refresh = rules.refreshOnRead, query, ...wanted } = c.req.valid("json");
    const wrong = unknownOperator(wanted.filter);
    if (wrong !== undefined) throw new RuntimeError("bad_request", wrong);
    if (query !== undefined && query !== "") {
      warnUnindexed(logger, { request_id: c.var.requestId });
      c.header("Warning", `299 - "${UNINDEXED}"`);
    }
    return c.json(
      { items: await store.search(c.var.scope, { ...wanted, refresh, max_bytes: c.var.answerLimit }) },
      200,
    );
  });
  r.openapi(namespaces, async (c) => {
    return c.json({ namespaces: await store.namespaces(c.var.scope, c.req.valid("json")) }, 200);
  });
  return r;
}

/** SDKs join the labels by "."; repeated keys are taken as labels too. */
function splitNamespace(given: string | string[] | undefined): string[] {
  if (given === undefined || given === "") return [];
  const labels = Namespace.safeParse(typeof given === "string" ? given.split(".") : given);
  if (!labels.success) throw new RuntimeError("invalid", describeIssues(labels.error, "namespace"));
  return labels.data;
}
