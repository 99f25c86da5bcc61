import { z } from "@hono/zod-openapi";
import { JsonObject } from "./common.ts";

export const Ok = z.object({ ok: z.literal(true) }).meta({ id: "Ok" });
export const Health = z.object({ status: z.literal("ok"), persistence: z.string() }).meta({ id: "Health" });
export const Probe = z.object({ status: z.literal("ok") }).meta({ id: "Probe" });
export const Root = z.object({ service: z.string(), runtime: z.string(), version: z.string() }).meta({ id: "Root" });

const GraphEntry = z.object({
  graph_id: z.string(),
  assistant_id: z.string(),
  description: z.string().nullable(),
  /** Why it could not be loaded; null when it runs. */
  error: z.string().nullable(),
});

/** What clients of LangGraph Platform look for, and what the original told. */
export const Info = z
  .object({
    service: z.string(),
    runtime: z.string(),
    version: z.string(),
    langgraph_js_version: z.string(),
    langgraph_py_version: z.string(),
    context: z.literal("js"),
    build: z.object({ commit: z.string(), date: z.string().nullable() }),
    capabilities: z.record(z.string(), z.boolean()),
    persistence: z.string(),
    graphs: z.array(z.string()),
    graph_details: z.array(GraphEntry),
    model: z.object({
      name: z.string().nullable().meta({ description: "Default model of the shipped agents" }),
      fake: z.boolean().meta({ description: "True: the built-in demonstration model answers, no provider is asked" }),
      used: z
        .boolean()
        .meta({ description: "Whether a shipped agent is served; a project's own graphs choose theirs" }),
    }),
    config: z.object({ database_configured: z.boolean(), llm_configured: z.boolean() }),
    flags: z.object({
      assistants: z.boolean(),
      crons: z.boolean(),
      langsmith: z.boolean(),
      langsmith_tracing_replicas: z.boolean(),
      langsmith_tracing_session_on_runs: z.boolean(),
      stream_namespaces: z.boolean(),
    }),
    host: z.object({
      kind: z.literal("self-hosted"),
      project_id: z.null(),
      host_revision_id: z.null(),
      revision_id: z.string().nullable(),
      tenant_id: z.null(),
    }),
    metadata: JsonObject,
  })
  .meta({ id: "Info" });
export type Info = z.infer<typeof Info>;
