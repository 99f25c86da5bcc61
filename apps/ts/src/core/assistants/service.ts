import { isDeepStrictEqual } from "node:util";
import { newId } from "@fractal-agents/infra/ids";
import { RuntimeError } from "#core/errors";
import type { GraphRegistry, GraphSchemas } from "#core/graphs/registry";
import { storable } from "#core/graphs/server-keys";
import type { AuthScope } from "#core/identity/scope";
import type { Assistant, AssistantCreate, AssistantPatch, AssistantVersionsQuery } from "#schemas/assistants";
import type { JsonObject, Page, RunConfig } from "#schemas/common";
import { Id } from "#schemas/common";
import { mirrored } from "./mirror.ts";
import type { AssistantFilter, AssistantQuery, AssistantRepository } from "./repository.ts";
import { hasMasks, keepSecrets } from "./secrets.ts";
import type { AssistantSeeds } from "./system.ts";
import { SystemAssistants } from "./system.ts";

export interface AssistantServiceDeps {
  assistants: AssistantRepository;
  graphs: GraphRegistry;
  runs: {
    /** Stops what still runs on behalf of an assistant that is about to go. */
    cancelOfAssistant(scope: AuthScope, assistantId: string, deleteThreads: boolean): Promise<void>;
    /** Deletes the records of its runs; threads and their state stay. */
    removeOfAssistant(scope: AuthScope, assistantId: string): Promise<void>;
  };
  /** LANGGRAPH_CONFIG, parsed. */
  seeds?: AssistantSeeds | undefined;
}

/** Set by the server only; silently dropped from what clients send. */
const RESERVED_METADATA = ["created_by", "graph_id"];

export class AssistantService {
  readonly #assistants: AssistantRepository;
  readonly #graphs: GraphRegistry;
  readonly #runs: AssistantServiceDeps["runs"];
  readonly #system: SystemAssistants;

  constructor(deps: AssistantServiceDeps) {
    this.#assistants = deps.assistants;
    this.#graphs = deps.graphs;
    this.#runs = deps.runs;
    this.#system = new SystemAssistants({ assistants: deps.assistants, graphs: deps.graphs, seeds: deps.seeds ?? {} });
  }

  /** Gives every graph its system assistant. Before the first request, and again after a reload of the graphs. */
  installSystemAssistants(): Promise<void> {
    return this.#system.install();
  }

  /**
   * The assistant of that id, or the system assistant of that graph. RuntimeError not_found, in the words that clients
   * look for. Whether its graph is loaded is for the caller to ask.
   */
  async resolve(scope: AuthScope, assistantOrGraphId: string): Promise<Assistant> {
    const graph = this.#graphs.find(assistantOrGraphId);
    const id = graph === undefined ? assistantOrGraphId.toLowerCase() : this.#graphs.systemAssistantId(graph.id);
    // With filters the database decides what is visible; without them a system assistant is visible to all.
    const known = scope.filters === undefined ? this.#system.find(id) : undefined;
    const found = known ?? (Id.safeParse(id).success ? await this.#assistants.find(scope, id) : undefined);
    if (found === undefined) throw noAssistant(assistantOrGraphId);
    return found;
  }

  async create(scope: AuthScope, request: AssistantCreate): Promise<Assistant> {
    this.#requireGraph(request.graph_id);
    const assistantId = request.assistant_id ?? newId();
    const known = hasMasks(request) ? await this.#assistants.find(scope, assistantId) : undefined;
    const kept = keepSecrets(request, known);
    refuseTwoContexts(kept.config, kept.context);
    const { config, context } = mirrored(kept);
    const inserted = await this.#assistants.insert(scope, {
      assistant_id: assistantId,
      graph_id: request.graph_id,
      name: request.name ?? "Untitled",
      description: request.description ?? null,
      config,
      context,
      metadata: withoutReserved(request.metadata ?? {}),
    });
    const stored = await this.#assistants.find(scope, assistantId);
    // One that exists but is hidden is a conflict too; saying "not found" of an id that cannot be taken would be a lie.
    if (stored === undefined || (!inserted && request.if_exists === "raise")) {
      throw new RuntimeError("conflict", `Assistant ${assistantId} already exists`);
    }
    return stored;
  }

  async update(scope: AuthScope, assistantOrGraphId: string, patch: AssistantPatch): Promise<Assistant> {
    if (patch.graph_id !== undefined) this.#requireGraph(patch.graph_id);
    const current = await this.#own(scope, assistantOrGraphId);
    const { metadata, ...rest } = patch;
    const kept = keepSecrets(patch, current);
    refuseTwoContexts(kept.config, kept.context);
    const isConfigured = kept.config !== undefined || kept.context !== undefined;
    const both = isConfigured ? mirrored(kept, current) : {};
    const given = Object.fromEntries(Object.entries({ ...rest, ...both }).filter(([, value]) => value !== undefined));
    const change = metadata === undefined ? given : { ...given, metadata: withoutReserved(metadata) };
    return found(await this.#assistants.update(scope, current.assistant_id, change), assistantOrGraphId);
  }

  /**
   * With its versions and the records of its runs. They go first: if the process dies in between, the assistant is still
   * there and the call can be repeated.
   */
  async remove(scope: AuthScope, assistantOrGraphId: string, deleteThreads: boolean): Promise<void> {
    const { assistant_id: id } = await this.#own(scope, assistantOrGraphId);
    await this.#runs.cancelOfAssistant(scope, id, deleteThreads);
    await this.#runs.removeOfAssistant(scope, id);
    if (!(await this.#assistants.remove(scope, id, deleteThreads))) throw noAssistant(assistantOrGraphId);
    // And what came while they went.
    await this.#runs.removeOfAssistant(scope, id);
  }

  search(scope: AuthScope, query: AssistantQuery): Promise<Page<Assistant>> {
    return this.#assistants.search(scope, query);
  }

  count(scope: AuthScope, filter: AssistantFilter): Promise<number> {
    return this.#assistants.count(scope, filter);
  }

  async versions(
    scope: AuthScope,
    assistantOrGraphId: string,
    query: AssistantVersionsQuery & { max_bytes?: number | undefined },
  ): Promise<Assistant[]> {
    const { assistant_id } = await this.resolve(scope, assistantOrGraphId);
    return found(await this.#assistants.versions(scope, assistant_id, query), assistantOrGraphId);
  }

  async setLatest(scope: AuthScope, assistantOrGraphId: string, version: number): Promise<Assistant> {
    const { assistant_id: id } = await this.#own(scope, assistantOrGraphId);
    const restored = await this.#assistants.setLatest(scope, id, version);
    if (restored === undefined) throw new RuntimeError("not_found", `Assistant ${id} has no version ${version}`);
    return restored;
  }

  async schemas(scope: AuthScope, assistantOrGraphId: string): Promise<GraphSchemas> {
    return this.#graphs.schemas((await this.resolve(scope, assistantOrGraphId)).graph_id);
  }

  async subgraphs(
    scope: AuthScope,
    assistantOrGraphId: string,
    query: { namespace?: string | undefined; recurse: boolean },
  ): Promise<Record<string, GraphSchemas>> {
    return this.#graphs.subgraphs((await this.resolve(scope, assistantOrGraphId)).graph_id, query);
  }

  /** @param xray True: subgraphs drawn out, all of them; a number: down to that depth. */
  async drawing(scope: AuthScope, assistantOrGraphId: string, xray: boolean | number): Promise<JsonObject> {
    return this.#graphs.drawing((await this.resolve(scope, assistantOrGraphId)).graph_id, xray);
  }

  /** For writes: an assistant that is not the server's own. */
  async #own(scope: AuthScope, assistantOrGraphId: string): Promise<Assistant> {
    const assistant = await this.resolve(scope, assistantOrGraphId);
    const { assistant_id, graph_id } = assistant;
    if (assistant_id === this.#graphs.systemAssistantId(graph_id)) {
      throw new RuntimeError(
        "forbidden",
        `Assistant ${assistant_id} belongs to graph "${graph_id}" and cannot be changed. Create your own with POST /assistants.`,
      );
    }
    return assistant;
  }

  #requireGraph(graphId: string): void {
    if (this.#graphs.find(graphId) !== undefined) return;
    const known = this.#graphs
      .list()
      .map((graph) => graph.id)
      .join(", ");
    throw new RuntimeError("not_found", `Graph "${graphId}" not found. Graphs here: ${known || "none"}`);
  }
}

function noAssistant(id: string): RuntimeError {
  return new RuntimeError(
    "not_found",
    `No assistant found for "${id}". Make sure the assistant ID is for a valid assistant or a valid graph ID.`,
  );
}

function found<T>(value: T | undefined, id: string): T {
  if (value === undefined) throw noAssistant(id);
  return value;
}

/** The two are names for one thing (configurable is the older); two different ones cannot both be meant. */
function refuseTwoContexts(config: RunConfig | undefined, context: JsonObject | undefined): void {
  const configurable = config?.configurable && storable(config.configurable);
  if (configurable === undefined || context === undefined || isDeepStrictEqual(configurable, context)) return;
  if (Object.keys(configurable).length === 0 || Object.keys(context).length === 0) return;
  throw new RuntimeError("bad_request", "Give either config.configurable or context, not two different ones");
}

function withoutReserved(metadata: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !RESERVED_METADATA.includes(key)));
}
