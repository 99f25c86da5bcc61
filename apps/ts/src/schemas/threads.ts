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
import { Filter, StoredFilter } from "./filters.ts";
import { LIMITS } from "./limits.ts";

export const ThreadStatus = z.enum(["idle", "busy", "interrupted", "error"]);
export type ThreadStatus = z.infer<typeof ThreadStatus>;

/** `id` is the hash that `Command(resume={id: ...})` takes. */
export const Interrupt = z.looseObject({ id: z.string().optional(), value: z.unknown() }).meta({ id: "Interrupt" });
export type Interrupt = z.infer<typeof Interrupt>;

export const ThreadTtl = z
  .object({ strategy: z.enum(["delete", "keep_latest"]), ttl_minutes: z.number(), expires_at: Timestamp })
  .meta({ id: "ThreadTTL" });

export const Thread = z
  .object({
    thread_id: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
    state_updated_at: Timestamp,
    metadata: JsonObject,
    status: ThreadStatus,
    config: RunConfig,
    /** Values of the newest checkpoint in the scope of the thread's last run; null before the first. */
    values: z.unknown().nullable(),
    /** Task id to the interrupts it waits on, over all scopes. */
    interrupts: z.record(z.string(), z.array(Interrupt)),
    error: z.unknown().nullable().optional(),
    ttl: ThreadTtl.optional(),
    extracted: JsonObject.optional(),
  })
  .meta({ id: "Thread" });
export type Thread = z.infer<typeof Thread>;

export const Checkpoint = z
  .object({
    thread_id: z.string().optional(),
    checkpoint_ns: z.string().optional(),
    checkpoint_id: z.string().nullish(),
    checkpoint_map: JsonObject.nullish(),
  })
  .meta({ id: "CheckpointConfig" });
export type Checkpoint = z.infer<typeof Checkpoint>;

export const ThreadTask = z.object({
  id: z.string(),
  name: z.string(),
  path: z.array(z.unknown()).optional(),
  /** Message of what its node threw. */
  error: z.string().nullish(),
  interrupts: z.array(Interrupt),
  checkpoint: Checkpoint.nullish(),
  state: z.unknown().nullish(),
  result: z.unknown().nullish(),
});

export const ThreadState = z
  .object({
    values: z.unknown(),
    next: z.array(z.string()),
    tasks: z.array(ThreadTask),
    /** Null of a thread that never ran. */
    metadata: JsonObject.nullable(),
    created_at: z.string().nullable(),
    checkpoint: Checkpoint.nullable(),
    parent_checkpoint: Checkpoint.nullable(),
    interrupts: z.array(Interrupt),
    /** Of `checkpoint` and `parent_checkpoint`, under the names that older clients read. */
    checkpoint_id: z.string().nullable(),
    parent_checkpoint_id: z.string().nullable(),
  })
  .meta({ id: "ThreadState" });
export type ThreadState = z.infer<typeof ThreadState>;

const TtlStrategy = z.enum(["delete", "keep_latest"]);
/** Minutes; at most a hundred years, so that the date it leads to can be written down. */
const TtlMinutes = z.number().positive().max(52_560_000);

/** Time to live of a thread, in minutes: a bare number or with the strategy. */
export const TtlRequest = z
  .union([TtlMinutes, z.object({ strategy: withDefault(TtlStrategy, "delete"), ttl: TtlMinutes })], {
    error: "must be a number of minutes above 0, or {strategy, ttl}",
  })
  .transform((ttl) =>
    typeof ttl === "number"
      ? { strategy: "delete" as const, ttl_minutes: ttl }
      : { strategy: ttl.strategy, ttl_minutes: ttl.ttl },
  )
  .meta({ id: "ThreadTTLRequest" });

export const SuperstepUpdate = z
  .object({
    values: z.union([z.array(z.unknown()), JsonObject]).nullish(),
    command: JsonObject.nullish(),
    as_node: z.string().min(1),
  })
  .meta({ id: "ThreadSuperstepUpdate" });
export const Superstep = z.object({ updates: z.array(SuperstepUpdate).min(1) }).meta({ id: "ThreadSuperstep" });
export type Superstep = z.infer<typeof Superstep>;

export const ThreadCreate = z
  .object({
    thread_id: optional(Id),
    metadata: optional(StoredObject),
    if_exists: withDefault(z.enum(["raise", "do_nothing"]), "raise"),
    supersteps: optional(z.array(Superstep)),
    ttl: optional(TtlRequest),
  })
  .meta({ id: "ThreadCreate" });
export type ThreadCreate = z.infer<typeof ThreadCreate>;

export const ThreadPatch = z
  .object({ metadata: optional(StoredObject), ttl: optional(TtlRequest) })
  .meta({ id: "ThreadPatch" });
export type ThreadPatch = z.infer<typeof ThreadPatch>;

export const ThreadCount = z
  .object({ metadata: optional(StoredFilter), values: optional(Filter), status: optional(ThreadStatus) })
  .meta({ id: "ThreadCountRequest" });

export const ThreadSearch = ThreadCount.extend({
  ...PageFields,
  ids: optional(z.array(Id).max(LIMITS.ids)),
  sort_by: optional(z.enum(["thread_id", "status", "created_at", "updated_at", "state_updated_at"])),
  sort_order: optional(SortOrder),
  select: optional(z.array(Thread.keyof()).max(LIMITS.selected)),
  extract: optional(z.record(z.string().max(LIMITS.text), z.string().max(LIMITS.text))).meta({
    description: 'Alias to path, answered in `extracted`: {"last": "values.messages[-1]"}. At most 10.',
  }),
}).meta({ id: "ThreadSearchRequest" });

export const ThreadPrune = z
  .object({ thread_ids: z.array(Id).max(LIMITS.ids), strategy: withDefault(TtlStrategy, "delete") })
  .meta({ id: "ThreadPruneRequest" });
export const ThreadPruned = z.object({ pruned_count: z.int() }).meta({ id: "ThreadPruneResponse" });
