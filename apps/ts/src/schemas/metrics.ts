import { z } from "@hono/zod-openapi";

const Counts = z.record(z.string(), z.number());

/** What the original told, and beside it the queue, workers and pool as LangGraph Platform tells them. */
export const Metrics = z
  .object({
    uptime_seconds: z.number(),
    requests: Counts.meta({ description: "By METHOD_route_status" }),
    errors: Counts.meta({ description: "By type" }),
    active_streams: z.number(),
    agent: z.object({ invocations: z.number(), errors: z.number() }),
    storage: z
      .object({ assistants: z.number(), threads: z.number(), runs: z.number(), runs_by_status: Counts })
      .nullable()
      .meta({ description: "null while it is not known" }),
    duration_samples: z.number(),
    storage_up: z.boolean(),
    queue: z
      .object({ n_pending: z.number(), n_running: z.number(), n_ready: z.number(), ready_oldest_seconds: z.number() })
      .nullable(),
    workers: z.object({ max: z.number(), active: z.number(), available: z.number() }).nullable(),
    pool: z.object({ max: z.number(), size: z.number(), idle: z.number(), waiting: z.number() }).nullable(),
    families: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        help: z.string(),
        values: z.array(
          z.object({ metricName: z.string().optional(), labels: z.record(z.string(), z.string()), value: z.number() }),
        ),
      }),
    ),
  })
  .meta({ id: "Metrics" });
export type Metrics = z.infer<typeof Metrics>;
