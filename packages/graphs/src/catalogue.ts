import type { Environment } from "./models/environment.ts";
import { defaultModel } from "./models/names.ts";
import { configSchema, description, type JsonObject } from "./react-agent/configuration.ts";
import type { AgentFactory, AgentOptions } from "./react-agent/graph.ts";

/** A graph that comes with the runtime. Importing this file loads neither LangChain nor a provider. */
export interface ShippedGraph {
  id: string;
  description: string;
  /** JSON Schema of `config.configurable`, with the installation's default model filled in. */
  configSchema(environment: Environment): JsonObject;
  /** Loads the graph's code and binds it to the environment. */
  load(environment: Environment, options?: AgentOptions): Promise<AgentFactory>;
}

export const SHIPPED_GRAPHS: readonly ShippedGraph[] = [
  {
    id: "agent",
    description,
    configSchema: (environment) => configSchema({ defaultModel: defaultModel(environment).name }),
    load: async (environment, options) =>
      (await import("./react-agent/graph.ts")).createReactAgent(environment, options),
  },
];
