import { createReactAgent } from "./graph.ts";

/**
 * The agent bound to the process's own environment, for a `langgraph.json` of LangGraph's command line and for scripts
 * without a server. This is the only file of the package that reads it.
 */
export const graph = createReactAgent(process.env);
