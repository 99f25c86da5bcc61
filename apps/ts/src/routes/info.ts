import type { GraphRegistry } from "#core/graphs/registry";
import type { Info } from "#schemas/system";

export const SERVICE = "fractal-agents-runtime";

/** What this server is, known at start. Nothing secret: /info is public. */
export interface Facts {
  /** Of this package. */
  version: string;
  /** "bun 1.4.4" or "node 24.1.0". */
  runtime: string;
  langgraphVersion: string;
  build: { commit: string; date: string | null };
  /** Name of the default model of the shipped agents, null when none can be used; `used` when one of them is served. */
  model: { name: string | null; fake: boolean; used: boolean };
  capabilities: { crons: boolean; mcp: boolean; a2a: boolean; metrics: boolean; tracing: boolean };
  /** Whether join and stream take the `namespace` query. */
  streamNamespaces: boolean;
  /** FRACTAL_REVISION, if set. */
  revision: string | null;
  /** A database server, rather than the embedded file. */
  databaseConfigured: boolean;
}

export interface Described {
  facts: Facts;
  graphs: GraphRegistry;
  /** The storage engine's name, without address or credentials. */
  persistence: string;
  /** Parts of the API that this process does not serve. */
  disabled: ReadonlySet<string>;
}

export function describeServer({ facts, graphs, persistence, disabled }: Described): Info {
  const list = graphs.list();
  const { crons, tracing } = facts.capabilities;
  const served = (part: string) => !disabled.has(part);
  return {
    service: SERVICE,
    runtime: facts.runtime,
    version: facts.version,
    langgraph_js_version: facts.langgraphVersion,
    // Clients compare either as a version, whichever they know; both name the langgraph that the graphs run on.
    langgraph_py_version: facts.langgraphVersion,
    context: "js",
    build: facts.build,
    capabilities: {
      assistants: served("assistants"),
      threads: served("threads"),
      runs: served("runs"),
      streaming: served("runs"),
      store: served("store"),
      ...facts.capabilities,
    },
    persistence,
    graphs: list.map((graph) => graph.id),
    graph_details: list.map((graph) => ({
      graph_id: graph.id,
      assistant_id: graphs.systemAssistantId(graph.id),
      description: graph.description ?? null,
      error: graph.error ?? null,
    })),
    model: facts.model,
    config: {
      database_configured: facts.databaseConfigured,
      llm_configured: facts.model.name !== null && !facts.model.fake,
    },
    flags: {
      assistants: served("assistants"),
      crons,
      langsmith: false,
      langsmith_tracing_replicas: false,
      langsmith_tracing_session_on_runs: tracing,
      stream_namespaces: facts.streamNamespaces,
    },
    host: {
      kind: "self-hosted",
      project_id: null,
      host_revision_id: null,
      revision_id: facts.revision,
      tenant_id: null,
    },
    metadata: {},
  };
}
