import { nameId } from "@fractal-agents/infra/ids";
import { RuntimeError } from "#core/errors";
import type { JsonObject } from "#schemas/common";
import { graphSchemas } from "./json-schema.ts";
import { errorText, type ImportModule, loadGraphFile } from "./load.ts";
import type {
  GraphAccess,
  GraphInfo,
  GraphLike,
  GraphRegistry,
  GraphSchemas,
  GraphToolkit,
  Isolation,
} from "./registry.ts";
import { callFactory, type Resolved } from "./resolve.ts";
import type { BuiltInGraph, GraphLogger, GraphSpec } from "./spec.ts";
import { allowAnyThrow } from "./thrown.ts";
import { LanggraphCopies, type LanggraphCopy } from "./toolkit.ts";

export interface RegistryOptions {
  /** Of the user's langgraph.json. An id that a built-in graph has too hides the built-in one. */
  graphs: readonly GraphSpec[];
  builtIns: Readonly<Record<string, BuiltInGraph>>;
  /** CHECKPOINT_ISOLATION: decides for every graph that does not decide itself. */
  isolation?: Isolation | undefined;
  /** FRACTAL_REVISION: in place of the hash of the graph's file. */
  revision?: string | undefined;
  /** Revision of the built-in graphs: the runtime's own version. */
  builtInRevision: string;
  logger: GraphLogger;
  /** platform/modules: how a file of the user is imported on this engine. */
  importModule: ImportModule;
  /** How long a file may take to load; 60 s by default. */
  loadTimeoutMs?: number | undefined;
}

/** Namespace of the system assistants' ids. */
const ASSISTANT_NAMESPACE = "6ba7b821-9dad-11d1-80b4-00c04fd430c8";
const READ_SCHEMAS: GraphAccess = { accessContext: "assistants.read", config: { configurable: {} } };

interface Entry {
  info: GraphInfo;
  copy: LanggraphCopy;
  configSchema: JsonObject | null;
  /** Absent for a broken graph. */
  resolved: (() => Promise<Resolved>) | undefined;
  schemas: Promise<GraphSchemas> | undefined;
  warned: boolean;
}

/** Loads every graph of the configuration; one that cannot be loaded is kept with its error, and the others go on. */
export async function createGraphRegistry(options: RegistryOptions): Promise<GraphRegistry> {
  const copies = new LanggraphCopies();
  const ours = await copies.ours();
  const own = new Set(options.graphs.map((spec) => spec.id));
  const builtIns = Object.entries(options.builtIns).filter(([id]) => !own.has(id));
  const entries = [
    ...builtIns.map(([id, graph]) => builtInEntry(id, graph, { options, ours })),
    ...(await Promise.all(options.graphs.map((spec) => userEntry(spec, { options, ours, copies })))),
  ];
  return new LoadedGraphs(entries, options.logger);
}

function builtInEntry(
  id: string,
  graph: BuiltInGraph,
  given: { options: RegistryOptions; ours: LanggraphCopy },
): Entry {
  const { options, ours } = given;
  let loaded: Promise<Resolved> | undefined;
  const load = () => {
    loaded ??= graph.load().then((factory) => ({ kind: "factory", factory }));
    return loaded;
  };
  const info: GraphInfo = {
    id,
    description: graph.description,
    isolation: options.isolation ?? graph.isolation,
    revision: options.revision ?? options.builtInRevision,
  };
  return { info, copy: ours, configSchema: graph.configSchema, resolved: load, schemas: undefined, warned: false };
}

async function userEntry(
  spec: GraphSpec,
  given: { options: RegistryOptions; ours: LanggraphCopy; copies: LanggraphCopies },
): Promise<Entry> {
  const { options, ours, copies } = given;
  const info: GraphInfo = {
    id: spec.id,
    description: spec.description,
    isolation: spec.isolation ?? options.isolation ?? "thread",
    revision: options.revision ?? "",
  };
  const base = { configSchema: null, schemas: undefined, warned: false };
  try {
    const timeoutMs = options.loadTimeoutMs ?? 60_000;
    const { resolved, revision } = await loadGraphFile(spec, { importModule: options.importModule, timeoutMs });
    const copy = await copies.of(spec.path);
    return { ...base, info: { ...info, revision: options.revision ?? revision }, copy, resolved: async () => resolved };
  } catch (error) {
    const text = `${spec.source}: ${errorText(error)}`;
    options.logger.error({ graph_id: spec.id, err: error }, `Graph "${spec.id}" could not be loaded: ${text}`);
    return { ...base, info: { ...info, error: text }, copy: ours, resolved: undefined };
  }
}

class LoadedGraphs implements GraphRegistry {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #logger: GraphLogger;

  constructor(entries: readonly Entry[], logger: GraphLogger) {
    this.#entries = new Map(entries.map((entry) => [entry.info.id, entry]));
    this.#logger = logger;
    for (const entry of entries) Object.freeze(entry.info);
  }

  list(): GraphInfo[] {
    return [...this.#entries.values()].map((entry) => entry.info);
  }

  find(graphId: string): GraphInfo | undefined {
    return this.#entries.get(graphId)?.info;
  }

  /**
   * What a factory throws while a run is created is the run's own failure and rises as it is; for every other access it
   * becomes RuntimeError unavailable with that text.
   */
  async build(graphId: string, access: GraphAccess): Promise<GraphLike> {
    const entry = this.#entry(graphId);
    if (entry.resolved === undefined) {
      throw new RuntimeError("unavailable", `Graph "${graphId}" could not be loaded: ${entry.info.error}`);
    }
    try {
      const resolved = await entry.resolved();
      const graph = resolved.kind === "graph" ? resolved.graph : await callFactory(resolved.factory, access);
      this.#warnOfOwnSaver(entry, graph);
      allowAnyThrow(graph);
      return graph;
    } catch (error) {
      if (access.accessContext === "threads.create_run" || error instanceof RuntimeError) throw error;
      throw new RuntimeError("unavailable", `Graph "${graphId}" could not be built: ${errorText(error)}`, {
        cause: error,
      });
    }
  }

  toolkit(graphId: string): GraphToolkit {
    return this.#entry(graphId).copy.toolkit;
  }

  async schemas(graphId: string): Promise<GraphSchemas> {
    const entry = this.#entry(graphId);
    entry.schemas ??= this.#readSchemas(entry);
    try {
      return await entry.schemas;
    } catch (error) {
      // A factory that failed may succeed the next time; the caller of this time gets the error.
      entry.schemas = undefined;
      throw error;
    }
  }

  async #readSchemas(entry: Entry): Promise<GraphSchemas> {
    const graph = await this.build(entry.info.id, READ_SCHEMAS);
    const schemas = await this.#schemasOf(entry, graph);
    return entry.configSchema === null ? schemas : { ...schemas, config_schema: entry.configSchema };
  }

  async subgraphs(
    graphId: string,
    query: { namespace?: string | undefined; recurse: boolean },
  ): Promise<Record<string, GraphSchemas>> {
    const entry = this.#entry(graphId);
    const graph = await this.build(graphId, READ_SCHEMAS);
    const found: Record<string, GraphSchemas> = {};
    for await (const [namespace, subgraph] of graph.getSubgraphsAsync(query.namespace, query.recurse)) {
      found[namespace] = await this.#schemasOf(entry, subgraph as GraphLike);
    }
    return found;
  }

  async drawing(graphId: string, xray: boolean | number): Promise<JsonObject> {
    const graph = await this.build(graphId, READ_SCHEMAS);
    const drawable = await graph.getGraphAsync({ configurable: {}, xray });
    return JSON.parse(JSON.stringify(drawable.toJSON())) as JsonObject;
  }

  systemAssistantId(graphId: string): string {
    return nameId(graphId, ASSISTANT_NAMESPACE);
  }

  #entry(graphId: string): Entry {
    const entry = this.#entries.get(graphId);
    if (entry === undefined) throw new RuntimeError("not_found", `Graph "${graphId}" not found`);
    return entry;
  }

  async #schemasOf(entry: Entry, graph: GraphLike): Promise<GraphSchemas> {
    const { id } = entry.info;
    const schemas = graphSchemas(graph, await entry.copy.schemas(), (error) =>
      this.#logger.warn(
        { graph_id: id, err: error },
        `A type of graph "${id}" has no JSON Schema; its channels' names are given instead`,
      ),
    );
    return { graph_id: id, ...schemas };
  }

  #warnOfOwnSaver(entry: Entry, graph: GraphLike): void {
    const saver = (graph as GraphLike & { checkpointer?: unknown }).checkpointer;
    if (entry.warned || typeof saver !== "object" || saver === null) return;
    entry.warned = true;
    const { id } = entry.info;
    this.#logger.warn(
      { graph_id: id },
      `Graph "${id}" is compiled with a checkpointer of its own; this server's is used in its place`,
    );
  }
}
