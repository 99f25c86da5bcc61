import { z } from "@hono/zod-openapi";
import { Id, JsonObject, Timestamp } from "./common.ts";

export const RunStatus = z.enum(["pending", "running", "success", "error", "timeout", "interrupted"]);
export type RunStatus = z.infer<typeof RunStatus>;

export const MultitaskStrategy = z.enum(["reject", "enqueue", "interrupt", "rollback"]);
export type MultitaskStrategy = z.infer<typeof MultitaskStrategy>;

export const Durability = z.enum(["sync", "async", "exit"]);
export type Durability = z.infer<typeof Durability>;

export const Run = z
  .object({
    run_id: Id,
    thread_id: Id,
    assistant_id: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: RunStatus,
    metadata: JsonObject,
    /** The request that made the run, without secrets. Clients read `kwargs.input` of pending runs. */
    kwargs: JsonObject,
    multitask_strategy: MultitaskStrategy,
  })
  .meta({ id: "Run" });
export type Run = z.infer<typeof Run>;
