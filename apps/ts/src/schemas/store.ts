import { z } from "@hono/zod-openapi";
import { JsonObject, optional, Timestamp, withDefault } from "./common.ts";

export const Item = z
  .object({
    namespace: z.array(z.string()),
    key: z.string(),
    value: JsonObject,
    created_at: Timestamp,
    updated_at: Timestamp,
    /** Only of a search by meaning. */
    score: z.number().optional(),
  })
  .meta({ id: "Item" });

/** A label of a namespace: clients join labels by ".", so one with a "." could not be told apart. */
const Label = z.string().refine((label) => label !== "" && !label.includes("."), {
  error: (issue) => `Namespace labels cannot be empty or contain periods. Received: ${String(issue.input)}`,
});
export const Namespace = z.array(Label);

export const StorePut = z
  .object({
    namespace: Namespace,
    key: z.string().min(1),
    value: JsonObject,
    index: z.union([z.literal(false), z.array(z.string())]).nullish(),
    ttl: optional(z.number().positive().max(52_560_000)).meta({ description: "Minutes; absent or null: for ever" }),
  })
  .meta({ id: "StorePutRequest" });

export const StoreDelete = z
  .object({ namespace: withDefault(Namespace, []), key: z.string().min(1) })
  .meta({ id: "StoreDeleteRequest" });

const OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];

/** Equality, or an object of operators, per key. */
const Filter = z.record(z.string(), z.unknown()).superRefine((filter, context) => {
  for (const [key, condition] of Object.entries(filter)) {
    if (typeof condition !== "object" || condition === null || Array.isArray(condition)) continue;
    const wrong = Object.keys(condition).find((name) => name.startsWith("$") && !OPERATORS.includes(name));
    if (wrong === undefined) continue;
    const message = `unknown operator ${wrong}; known are ${OPERATORS.join(", ")}`;
    context.addIssue({ code: "custom", path: [key], message });
  }
});

export const StoreSearch = z
  .object({
    namespace_prefix: withDefault(Namespace, []),
    filter: optional(Filter),
    query: optional(z.string()),
    refresh_ttl: optional(z.boolean()),
    limit: withDefault(z.int().min(1).max(1000), 10).meta({ default: 10 }),
    offset: withDefault(z.int().min(0), 0).meta({ default: 0 }),
  })
  .meta({ id: "StoreSearchRequest" });
export const StoreSearchResult = z.object({ items: z.array(Item) }).meta({ id: "SearchItemsResponse" });

export const StoreNamespaces = z
  .object({
    prefix: optional(Namespace),
    suffix: optional(Namespace),
    max_depth: optional(z.int().min(1)),
    limit: withDefault(z.int().min(1).max(1000), 100).meta({ default: 100 }),
    offset: withDefault(z.int().min(0), 0).meta({ default: 0 }),
  })
  .meta({ id: "StoreListNamespacesRequest" });
export const StoreNamespacesResult = z
  .object({ namespaces: z.array(z.array(z.string())) })
  .meta({ id: "ListNamespaceResponse" });
