import { z } from "@hono/zod-openapi";
import {
  Id,
  JsonObject,
  optional,
  PageFields,
  RunConfig,
  SortOrder,
  StoredObject,
  Timestamp,
  withDefault,
} from "./common.ts";
import { StoredFilter } from "./filters.ts";
import { LIMITS } from "./limits.ts";

export const Assistant = z
  .object({
    assistant_id: Id,
    graph_id: z.string(),
    name: z.string(),
    description: z.string().nullable(),
    config: RunConfig,
    context: JsonObject,
    metadata: JsonObject,
    version: z.int(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: "Assistant" });
export type Assistant = z.infer<typeof Assistant>;

const Fields = {
  config: optional(RunConfig),
  context: optional(JsonObject),
  metadata: optional(StoredObject),
  name: optional(z.string().max(LIMITS.text)),
  description: optional(z.string()),
};

export const AssistantCreate = z
  .object({
    ...Fields,
    graph_id: z.string().min(1),
    assistant_id: optional(Id),
    if_exists: withDefault(z.enum(["raise", "do_nothing"]), "raise"),
  })
  .meta({ id: "AssistantCreate" });
export type AssistantCreate = z.infer<typeof AssistantCreate>;

export const AssistantPatch = z
  .object({ ...Fields, graph_id: optional(z.string().min(1)) })
  .meta({ id: "AssistantPatch" });
export type AssistantPatch = z.infer<typeof AssistantPatch>;

export const AssistantCount = z
  .object({
    metadata: optional(StoredFilter),
    graph_id: optional(z.string().max(LIMITS.text)),
    name: optional(z.string().max(LIMITS.text)).meta({ description: "Case-insensitive part of the name" }),
  })
  .meta({ id: "AssistantCountRequest" });

export const AssistantSearch = AssistantCount.extend({
  ...PageFields,
  sort_by: optional(z.enum(["assistant_id", "created_at", "updated_at", "name", "graph_id"])),
  sort_order: optional(SortOrder),
  select: optional(z.array(Assistant.keyof()).max(LIMITS.selected)),
}).meta({ id: "AssistantSearchRequest" });

export const AssistantVersionsQuery = z
  .object({ ...PageFields, metadata: optional(StoredFilter) })
  .meta({ id: "AssistantVersionsSearchRequest" });
export type AssistantVersionsQuery = z.infer<typeof AssistantVersionsQuery>;

/** SDKs send the version in the body, the official document has it in the query. */
export const AssistantVersionChange = z
  .object({ version: optional(z.int().min(1)) })
  .meta({ id: "AssistantVersionChange" });

const Schemas = {
  input_schema: JsonObject.nullable(),
  output_schema: JsonObject.nullable(),
  state_schema: JsonObject.nullable(),
  config_schema: JsonObject.nullable(),
  context_schema: JsonObject.nullable(),
};
export const GraphSchema = z.object({ graph_id: z.string(), ...Schemas }).meta({ id: "GraphSchema" });
export const Subgraphs = z
  .record(z.string(), z.object({ graph_id: z.string().optional(), ...Schemas }))
  .meta({ id: "Subgraphs" });

export const GraphDrawing = z
  .looseObject({ nodes: z.array(JsonObject), edges: z.array(JsonObject) })
  .meta({ id: "GraphDrawing" });
