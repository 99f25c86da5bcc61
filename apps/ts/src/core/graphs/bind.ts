import type { GraphLike } from "#core/graphs/registry";

/** What a run or a read lends to a graph. Structural types: saver and store may meet another copy of langgraph. */
export interface GraphBinding {
  checkpointer: object;
  store?: object | undefined;
}

/**
 * A copy of a compiled graph that uses this checkpointer and store. The shared graph is never changed; a
 * saver of the graph's own gives way to ours. Nodes, channels and subgraphs are shared with the original: a subgraph
 * gets the saver through the run's config, as langgraph lends it.
 */
export function bindGraph(graph: GraphLike, binding: GraphBinding): GraphLike {
  const bound = Object.assign(Object.create(Object.getPrototypeOf(graph)), graph) as GraphLike & {
    checkpointer?: object;
    store?: object;
  };
  bound.checkpointer = binding.checkpointer;
  if (binding.store !== undefined) bound.store = binding.store;
  return bound;
}
