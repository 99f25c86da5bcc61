import { Rarely } from "@fractal-agents/infra/rarely";
import type { ClaimableGraphs } from "./claimable.ts";
import type { RunEnvironment } from "./prepare.ts";

/** In a fleet another process may have the graph: only what has waited longer than this is worth a warning. */
const PATIENCE_MS = 60_000;

/** The graph of the run is not in langgraph.json any more. */
export class GraphRemoved extends Error {
  override readonly name = "GraphRemoved";
  constructor(graphId: string) {
    super(`Graph "${graphId}" is not served any more: it is not in langgraph.json`);
  }
}

/**
 * Watches for due runs of graphs that this process has not loaded. On embedded storage no other process can claim a run
 * whose graph is gone, so this one does, and the run ends with GraphRemoved. What another process may claim, or what waits
 * for a graph that failed to load, is reported once a minute.
 */
export class UnservedRuns {
  readonly #env: RunEnvironment;
  readonly #claimable: ClaimableGraphs;
  readonly #warnings = new Rarely(PATIENCE_MS);

  constructor(env: RunEnvironment, claimable: ClaimableGraphs) {
    this.#env = env;
    this.#claimable = claimable;
  }

  /** Whether there are runs that this process can claim now. */
  async look(): Promise<boolean> {
    const { storage, graphs, observer, logger } = this.#env;
    const waiting = await storage.runs.waitingFor({ except: this.#claimable.loaded() });
    const removed = storage.shared ? [] : waiting.filter(({ graph_id }) => graphs.find(graph_id) === undefined);
    this.#claimable.removed = removed.map(({ graph_id }) => graph_id);
    const unserved = waiting.filter((each) => !removed.includes(each) && each.oldest_ms >= PATIENCE_MS);
    observer.unserved(Object.fromEntries(unserved.map(({ graph_id, runs }) => [graph_id, runs])));
    for (const { graph_id: graph, runs, oldest_ms } of unserved) {
      if (this.#warnings.due(graph) === undefined) continue;
      const facts = { graph, runs, oldest_s: Math.round(oldest_ms / 1_000), error: graphs.find(graph)?.error };
      logger.warn(facts, "runs wait for a graph that this process has not loaded");
    }
    return removed.length > 0;
  }
}
