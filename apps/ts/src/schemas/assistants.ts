import { z } from "@hono/zod-openapi";
import { Id, JsonObject, RunConfig, Timestamp } from "./common.ts";

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
  .openapi("Assistant");
export type Assistant = z.infer<typeof Assistant>;
