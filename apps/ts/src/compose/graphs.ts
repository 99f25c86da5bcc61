import { SHIPPED_GRAPHS } from "@fractal-agents/graphs/catalogue";
import type { Logger } from "@fractal-agents/infra/logger";
import type { Config } from "#config";
import { createGraphRegistry } from "#core/graphs/loader";
import type { GraphRegistry } from "#core/graphs/registry";
import type { BuiltInGraph, GraphFactory } from "#core/graphs/spec";
import { importUserModule } from "#platform/modules";

/**
 * The graphs of the configuration exactly as it names them, or the shipped agents where there is none: a project's own
 * langgraph.json is served unchanged, without agents that nobody asked for.
 */
export function loadGraphs(config: Config, given: { version: string; logger: Logger }): Promise<GraphRegistry> {
  return createGraphRegistry({
    graphs: config.graphs,
    builtIns: servesShipped(config) ? shippedGraphs(config) : {},
    isolation: config.isolation,
    revision: config.revision,
    builtInRevision: given.version,
    logger: given.logger,
    importModule: importUserModule,
  });
}

export function servesShipped(config: Config): boolean {
  return config.graphs.length === 0;
}

function shippedGraphs(config: Config): Record<string, BuiltInGraph> {
  const { environment, production } = config;
  const operatorUrls = seededUrls(config.seeds);
  return Object.fromEntries(
    SHIPPED_GRAPHS.map((graph) => [
      graph.id,
      {
        description: graph.description,
        isolation: "assistant",
        configSchema: graph.configSchema(environment),
        // The registry calls a factory with configurable and access context; what comes back is known by its shape.
        load: () => graph.load(environment, { production, operatorUrls }) as Promise<GraphFactory>,
      } satisfies BuiltInGraph,
    ]),
  );
}

/** Endpoints that LANGGRAPH_CONFIG gives to system assistants: the operator's choice, wherever they lie. */
function seededUrls(seeds: Config["seeds"]): string[] {
  return Object.values(seeds)
    .flatMap(({ config, context }) => [config?.configurable?.base_url, context?.base_url])
    .filter((url) => typeof url === "string");
}
