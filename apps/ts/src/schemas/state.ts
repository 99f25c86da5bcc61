import { z } from "@hono/zod-openapi";
import { Id, JsonObject, optional, pageLimit } from "./common.ts";
import { Filter } from "./filters.ts";
import { LIMITS } from "./limits.ts";
import { queryFlag, queryInt } from "./query.ts";
import { Checkpoint } from "./threads.ts";

/** A checkpoint in a request. An empty id means none. */
const CheckpointId = z
  .union([Id, z.literal("")])
  .nullish()
  .transform((id) => (id ? id : undefined))
  .meta({ type: "string", format: "uuid" });

export const CheckpointRequest = z
  .object({
    thread_id: z.string().nullish(),
    checkpoint_ns: optional(z.string()),
    checkpoint_id: CheckpointId,
    checkpoint_map: optional(JsonObject),
  })
  .transform(({ thread_id: _thread, ...checkpoint }) => checkpoint)
  .meta({ id: "CheckpointRequest" });

/** Whose lineage of the thread: an assistant's id, or the id of a graph for its system assistant. */
const AssistantRef = z.string().min(1).optional();

export const StateParams = z.object({ thread_id: Id });
export const StateAtParams = StateParams.extend({ checkpoint_id: Id });
export const StateReadQuery = z.object({ subgraphs: queryFlag(), assistant_id: AssistantRef });
export const StateScopeQuery = z.object({ assistant_id: AssistantRef });

export const StateAtRequest = z
  .object({ checkpoint: CheckpointRequest, subgraphs: optional(z.boolean()) })
  .meta({ id: "ThreadStateCheckpointRequest" });

export const StateUpdate = z
  .object({
    values: z.union([JsonObject, z.array(z.unknown())]).nullish(),
    as_node: optional(z.string().min(1)),
    checkpoint: optional(CheckpointRequest),
    checkpoint_id: CheckpointId,
  })
  .meta({ id: "ThreadStateUpdate" });
export type StateUpdate = z.infer<typeof StateUpdate>;

export const StateUpdated = z
  .object({
    checkpoint: Checkpoint,
    /** The same, under the name that older clients read. */
    configurable: Checkpoint,
    checkpoint_id: z.string(),
  })
  .meta({ id: "ThreadStateUpdateResponse" });
export type StateUpdated = z.infer<typeof StateUpdated>;

export const HistoryQuery = z.object({
  limit: queryInt(1, LIMITS.rows),
  before: z.union([Id, z.literal("").transform(() => undefined)]).optional(),
  assistant_id: AssistantRef,
});

/** A checkpoint id, a checkpoint, or a config that holds one. */
const Before = z
  .union([
    Id,
    z.literal("").transform(() => undefined),
    z.looseObject({
      checkpoint_id: CheckpointId,
      configurable: optional(z.looseObject({ checkpoint_id: CheckpointId })),
    }),
  ])
  .nullish()
  .transform((before) => {
    if (before == null || typeof before === "string") return before ?? undefined;
    return before.checkpoint_id ?? before.configurable?.checkpoint_id;
  })
  .meta({ type: "string", format: "uuid" });

export const HistoryRequest = z
  .object({
    limit: pageLimit(1),
    before: Before,
    metadata: optional(Filter),
    checkpoint: optional(CheckpointRequest),
  })
  .meta({ id: "ThreadStateSearch" });
