import type { JsonObject } from "#schemas/common";
import type { GraphAccess, Isolation } from "./registry.ts";

/** One entry of `graphs` in langgraph.json, with its path resolved. */
export interface GraphSpec {
  id: string;
  /** As written, for messages: "./src/agent.ts:graph". */
  source: string;
  /** Absolute path of the file. */
  path: string;
  /** Name of the export; "default" when the entry names none. */
  exportName: string;
  description?: string | undefined;
  isolation?: Isolation | undefined;
}

/** What a factory is told about why it is called. */
export interface FactoryRuntime {
  accessContext: GraphAccess["accessContext"];
  /** Only for a run; null for reads and writes of state and for schemas. */
  executionRuntime: { context: JsonObject | undefined } | null;
}

/** `config.configurable` is always there. Returns a compiled graph, a builder, an agent, or a promise of one. */
export type GraphFactory = (config: JsonObject & { configurable: JsonObject }, runtime: FactoryRuntime) => unknown;

/** A graph that comes with the runtime. */
export interface BuiltInGraph {
  description: string;
  /** The shipped graphs keep one state per assistant. */
  isolation: Isolation;
  /** JSON Schema of `config.configurable`. */
  configSchema: JsonObject | null;
  /** Loads the code; called once, when the graph is first needed, so that it costs nothing at start. */
  load(): Promise<GraphFactory>;
}

/** The part of the process's logger that this folder uses. */
export interface GraphLogger {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
