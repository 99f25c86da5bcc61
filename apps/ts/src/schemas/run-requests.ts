import { z } from "@hono/zod-openapi";
import { Id, JsonObject, RunConfig, StoredObject } from "./common.ts";
import { LIMITS } from "./limits.ts";
import { Durability, MultitaskStrategy } from "./runs.ts";
import { Checkpoint } from "./threads.ts";

export const StreamMode = z.enum([
  "values",
  "updates",
  "messages",
  "messages-tuple",
  "custom",
  "events",
  "debug",
  "tasks",
  "checkpoints",
  "tools",
]);
export type StreamMode = z.infer<typeof StreamMode>;

export const Send = z.object({ node: z.string(), input: z.unknown().optional() }).meta({ id: "Send" });

export const Command = z
  .object({
    update: z.union([JsonObject, z.array(z.tuple([z.string(), z.unknown()]))]).nullish(),
    /** Any value; null is a value when the key is present. */
    resume: z.unknown().optional(),
    goto: z.union([z.string(), Send, z.array(z.union([z.string(), Send]))]).nullish(),
  })
  .meta({ id: "Command" });
export type Command = z.infer<typeof Command>;

const Breakpoints = z.union([z.literal("*"), z.array(z.string())]);

const runFields = {
  /** A UUID, or the id of a graph, which means its system assistant. */
  assistant_id: z.string().min(1),
  input: z.unknown().optional(),
  command: Command.nullish(),
  checkpoint: Checkpoint.nullish(),
  checkpoint_id: z.string().nullish(),
  config: RunConfig.nullish(),
  context: JsonObject.nullish(),
  metadata: StoredObject.nullish(),
  stream_mode: z.union([StreamMode, z.array(StreamMode)]).nullish(),
  stream_subgraphs: z.boolean().nullish(),
  stream_resumable: z.boolean().nullish(),
  interrupt_before: Breakpoints.nullish(),
  interrupt_after: Breakpoints.nullish(),
  webhook: z.string().min(1).max(65536).nullish(),
  on_disconnect: z.enum(["cancel", "continue"]).nullish(),
  after_seconds: z
    .number()
    .min(0)
    .max(30 * 24 * 3600)
    .nullish(),
  durability: Durability.nullish(),
  checkpoint_during: z.boolean().nullish(),
  feedback_keys: z.array(z.string()).nullish(),
  langsmith_tracer: z.object({ project_name: z.string().optional(), example_id: z.string().optional() }).nullish(),
  strict_resume: z.boolean().nullish(),
};

export const RunCreateStateful = z
  .object({
    ...runFields,
    multitask_strategy: MultitaskStrategy.nullish(),
    if_not_exists: z.enum(["create", "reject"]).nullish(),
  })
  .meta({ id: "RunCreateStateful" });

export const RunCreateStateless = z
  .object({ ...runFields, on_completion: z.enum(["delete", "keep"]).nullish() })
  .meta({ id: "RunCreateStateless" });

/** Either form, as core takes it. */
export type RunCreate = z.infer<typeof RunCreateStateful> & Pick<z.infer<typeof RunCreateStateless>, "on_completion">;

export const RunBatchCreate = z.array(RunCreateStateless).min(1).max(100).meta({ id: "RunBatchCreate" });

export const RunsCancel = z
  .object({
    status: z.enum(["pending", "running", "all"]).optional(),
    thread_id: Id.optional(),
    run_ids: z.array(Id).min(1).max(LIMITS.ids).optional(),
  })
  .meta({ id: "RunsCancel" });
