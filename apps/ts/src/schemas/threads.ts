import { z } from "@hono/zod-openapi";
import { Id, JsonObject, RunConfig, Timestamp } from "./common.ts";

export const ThreadStatus = z.enum(["idle", "busy", "interrupted", "error"]);
export type ThreadStatus = z.infer<typeof ThreadStatus>;

/** `id` is the hash that `Command(resume={id: ...})` takes. */
export const Interrupt = z.looseObject({ id: z.string().optional(), value: z.unknown() }).openapi("Interrupt");
export type Interrupt = z.infer<typeof Interrupt>;

export const ThreadTtl = z
  .object({ strategy: z.enum(["delete", "keep_latest"]), ttl_minutes: z.number(), expires_at: Timestamp })
  .openapi("ThreadTTL");

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
  .openapi("Thread");
export type Thread = z.infer<typeof Thread>;

export const Checkpoint = z
  .object({
    thread_id: z.string().optional(),
    checkpoint_ns: z.string().optional(),
    checkpoint_id: z.string().nullish(),
    checkpoint_map: JsonObject.nullish(),
  })
  .openapi("CheckpointConfig");
export type Checkpoint = z.infer<typeof Checkpoint>;

export const ThreadTask = z.object({
  id: z.string(),
  name: z.string(),
  path: z.array(z.unknown()).optional(),
  error: z.unknown().nullish(),
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
    metadata: JsonObject,
    created_at: z.string().nullable(),
    checkpoint: Checkpoint.nullable(),
    parent_checkpoint: Checkpoint.nullable(),
    interrupts: z.array(Interrupt),
  })
  .openapi("ThreadState");
export type ThreadState = z.infer<typeof ThreadState>;
