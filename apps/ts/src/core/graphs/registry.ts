import type { JsonObject } from "#schemas/common";

/**
 * A compiled LangGraph graph, known by its shape only: it may come from the user's own copy of langgraph, so nothing here
 * may use instanceof.
 */
export interface GraphLike {
  // biome-ignore lint/suspicious/noExplicitAny: the type belongs to whichever copy of langgraph made the graph
  stream(input: any, options?: any): Promise<AsyncIterable<any>>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  streamEvents(input: any, options: any): AsyncIterable<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  getState(config: any, options?: { subgraphs?: boolean }): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  getStateHistory(config: any, options?: any): AsyncIterable<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  updateState(config: any, values: any, asNode?: string): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  bulkUpdateState(config: any, supersteps: any[]): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  getGraphAsync(config?: any): Promise<{ toJSON(): unknown }>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  getSubgraphsAsync(namespace?: string, recurse?: boolean): AsyncIterable<[string, any]>;
  nodes: Record<string, unknown>;
  channels: Record<string, unknown>;
}

/** Why a graph is built: factories get it as `runtime.accessContext`. */
export interface GraphAccess {
  accessContext: "threads.create_run" | "threads.read" | "threads.update" | "assistants.read";
  /** Run context (config.configurable merged, context) for a factory `(config, runtime)`. */
  config: JsonObject;
  context?: JsonObject | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: instances and arguments belong to whichever copy made the graph
type Foreign = any;

/** What must come from the same copy of langgraph as the graph itself. */
export interface GraphToolkit {
  Command: new (args: Foreign) => Foreign;
  Send: new (node: string, args: Foreign) => Foreign;
  /** Absent in copies too old for cooperative drain: those are aborted at the deadline. */
  RunControl: (new () => { requestDrain(reason: string): void }) | undefined;
  isGraphDrained: ((error: unknown) => boolean) | undefined;
  /** False in copies before 0.3: their `values` events leave interrupts out. */
  showsInterrupts: boolean;
  serde: {
    dumpsTyped(value: unknown): Promise<[string, Uint8Array]>;
    loadsTyped(type: string, data: Uint8Array | string): Promise<unknown>;
  };
}

/** "thread": assistants on a thread share its state, as on LangGraph Platform; "assistant": each has its own. */
export type Isolation = "thread" | "assistant";

export interface GraphInfo {
  id: string;
  description?: string | undefined;
  /** Why it could not be loaded; the others go on. */
  error?: string | undefined;
  isolation: Isolation;
  revision: string;
}

/** The five JSON Schemas of a graph; one that cannot be made is null. */
export interface GraphSchemas {
  graph_id: string;
  input_schema: JsonObject | null;
  output_schema: JsonObject | null;
  state_schema: JsonObject | null;
  config_schema: JsonObject | null;
  context_schema: JsonObject | null;
}

export interface GraphRegistry {
  /** All graphs of the configuration, the broken ones with their error. */
  list(): GraphInfo[];
  find(graphId: string): GraphInfo | undefined;
  /** The shared compiled graph, or what the factory returns for this access. RuntimeError not_found / unavailable. */
  build(graphId: string, access: GraphAccess): Promise<GraphLike>;
  toolkit(graphId: string): GraphToolkit;
  schemas(graphId: string): Promise<GraphSchemas>;
  /** Namespace ("a|b") to schemas. */
  subgraphs(
    graphId: string,
    query: { namespace?: string | undefined; recurse: boolean },
  ): Promise<Record<string, GraphSchemas>>;
  /** nodes and edges as langgraph's drawable toJSON() gives them. */
  drawing(graphId: string, xray: boolean | number): Promise<JsonObject>;
  /** "No assistant found" and friends need the system assistant's id of a graph: UUIDv5. */
  systemAssistantId(graphId: string): string;
}
