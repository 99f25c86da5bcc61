import { isDeepStrictEqual } from "node:util";
import type { GraphRegistry } from "#core/graphs/registry";
import type { AuthScope } from "#core/identity/scope";
import type { Assistant } from "#schemas/assistants";
import type { JsonObject, RunConfig } from "#schemas/common";
import type { AssistantRepository } from "./repository.ts";
import { SYSTEM_OWNER } from "./repository.ts";

/** Config and context of a graph's system assistant, from LANGGRAPH_CONFIG. */
export type AssistantSeeds = Readonly<
  Record<string, { config?: RunConfig | undefined; context?: JsonObject | undefined }>
>;

const SYSTEM_SCOPE: AuthScope = Object.freeze({
  tenant: "default",
  owner: SYSTEM_OWNER,
  permissions: Object.freeze([]) as readonly string[],
  filters: undefined,
});

/**
 * The assistant that each graph of the configuration has by itself. Nothing but `install` changes them, so they are
 * kept in memory: naming a graph in a run costs no query.
 */
export class SystemAssistants {
  readonly #assistants: AssistantRepository;
  readonly #graphs: GraphRegistry;
  readonly #seeds: AssistantSeeds;
  #byId: ReadonlyMap<string, Assistant> = new Map();

  constructor(deps: { assistants: AssistantRepository; graphs: GraphRegistry; seeds: AssistantSeeds }) {
    this.#assistants = deps.assistants;
    this.#graphs = deps.graphs;
    this.#seeds = deps.seeds;
  }

  /**
   * Makes what is missing; called at start and after a reload of the graphs. Several processes may do it at once: insert
   * and find are enough, and a death in between leaves nothing that the next start does not complete.
   */
  async install(): Promise<void> {
    const byId = new Map<string, Assistant>();
    for (const graph of this.#graphs.list()) {
      const assistant = await this.#upsert(graph.id, graph.description ?? null);
      byId.set(assistant.assistant_id, assistant);
    }
    this.#byId = byId;
  }

  find(assistantId: string): Assistant | undefined {
    return this.#byId.get(assistantId);
  }

  ofGraph(graphId: string): Assistant | undefined {
    return this.#byId.get(this.#graphs.systemAssistantId(graphId));
  }

  async #upsert(graphId: string, description: string | null): Promise<Assistant> {
    const assistantId = this.#graphs.systemAssistantId(graphId);
    const seed = this.#seeds[graphId];
    const config = seed?.config ?? {};
    const context = seed?.context ?? {};
    await this.#assistants.insert(SYSTEM_SCOPE, {
      assistant_id: assistantId,
      graph_id: graphId,
      name: graphId,
      description,
      config,
      context,
      metadata: { created_by: "system" },
    });
    const stored = await this.#assistants.find(SYSTEM_SCOPE, assistantId);
    if (stored === undefined)
      throw new Error(`The id ${assistantId} of graph "${graphId}" belongs to another assistant`);
    // A changed setting must not stay without effect because the row was there already.
    const current =
      seed === undefined || (isDeepStrictEqual(stored.config, config) && isDeepStrictEqual(stored.context, context));
    if (current) return stored;
    return (await this.#assistants.update(SYSTEM_SCOPE, assistantId, { config, context })) ?? stored;
  }
}
