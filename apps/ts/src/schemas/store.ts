import { z } from "@hono/zod-openapi";
import {
  JsonObject,
  onlyStored,
  optional,
  PageFields,
  pageLimit,
  StoredObject,
  Timestamp,
  withDefault,
} from "./common.ts";
import { Filter } from "./filters.ts";
import { LIMITS } from "./limits.ts";

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

/** Bytes of UTF-8. Key and namespace are the item's place in an index, which has no room for more. */
const MAX_KEY = 1024;
const MAX_NAMESPACE = 1024;

const utf8 = new TextEncoder();

/** What is wrong with a key: no database can hold it, or not every one. */
export function keyProblem(key: string): string | undefined {
  if (key.includes("\0")) return "cannot contain NUL";
  const bytes = utf8.encode(key).length;
  return bytes > MAX_KEY ? `has ${bytes} bytes, the most is ${MAX_KEY}` : undefined;
}

/** What is wrong with the labels of a namespace. Clients join them by ".", so one with a "." could not be told apart. */
export function namespaceProblem(labels: readonly string[]): string | undefined {
  for (const label of labels) {
    const problem = labelProblem(label);
    if (problem !== undefined) return problem;
  }
  return sizeProblem(labels);
}

function labelProblem(label: string): string | undefined {
  if (label === "" || label.includes(".")) {
    return `Namespace labels cannot be empty or contain periods. Received: ${label.slice(0, 100)}`;
  }
  return label.includes("\0") ? "Namespace labels cannot contain NUL" : undefined;
}

function sizeProblem(labels: readonly string[]): string | undefined {
  const bytes = labels.reduce((sum, label) => sum + utf8.encode(label).length + 1, 0);
  return bytes > MAX_NAMESPACE ? `The labels have ${bytes} bytes, the most is ${MAX_NAMESPACE}` : undefined;
}

const Label = z.string().superRefine((label, context) => report(context, labelProblem(label)));
export const Namespace = z.array(Label).superRefine((labels, context) => report(context, sizeProblem(labels)));
const Key = z
  .string()
  .min(1)
  .superRefine((key, context) => report(context, keyProblem(key)));

function report(context: z.RefinementCtx, message: string | undefined): void {
  if (message !== undefined) context.addIssue({ code: "custom", message });
}

export const StorePut = z
  .object({
    namespace: Namespace,
    key: Key,
    value: StoredObject,
    index: z.union([z.literal(false), z.array(z.string())]).nullish(),
    ttl: optional(z.number().positive().max(52_560_000)).meta({
      description: "Minutes; absent or null: store.ttl.default_ttl of the project, or for ever",
    }),
  })
  .meta({ id: "StorePutRequest" });

export const StoreDelete = z
  .object({ namespace: withDefault(Namespace, []), key: Key })
  .meta({ id: "StoreDeleteRequest" });

const OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];

/** Equality, or an object of operators, per key. */
const StoreFilter = onlyStored(Filter);

/** What is wrong with the operators of a filter; undefined when they are known. */
export function unknownOperator(filter: JsonObject | undefined): string | undefined {
  for (const [key, condition] of Object.entries(filter ?? {})) {
    if (typeof condition !== "object" || condition === null || Array.isArray(condition)) continue;
    const wrong = Object.keys(condition).find((name) => name.startsWith("$") && !OPERATORS.includes(name));
    if (wrong !== undefined) return `filter.${key}: unknown operator ${wrong}; known are ${OPERATORS.join(", ")}`;
  }
  return undefined;
}

/** Of `refresh_ttl`. */
export const REFRESH =
  "Whether the time to live of what is found begins anew; absent: store.ttl.refresh_on_read of the project, or true";

export const StoreSearch = z
  .object({
    namespace_prefix: withDefault(Namespace, []),
    filter: optional(StoreFilter),
    query: optional(z.string().max(LIMITS.filterText)),
    refresh_ttl: optional(z.boolean()).meta({ description: REFRESH }),
    ...PageFields,
  })
  .meta({ id: "StoreSearchRequest" });
export const StoreSearchResult = z.object({ items: z.array(Item) }).meta({ id: "SearchItemsResponse" });

export const StoreNamespaces = z
  .object({
    prefix: optional(Namespace),
    suffix: optional(Namespace),
    max_depth: optional(z.int().min(1)),
    ...PageFields,
    limit: pageLimit(100),
  })
  .meta({ id: "StoreListNamespacesRequest" });
export const StoreNamespacesResult = z
  .object({ namespaces: z.array(z.array(z.string())) })
  .meta({ id: "ListNamespaceResponse" });
