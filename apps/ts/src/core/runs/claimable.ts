import type { GraphRegistry } from "#core/graphs/registry";

/** Graphs whose runs this process claims. */
export class ClaimableGraphs {
  readonly #graphs: Pick<GraphRegistry, "list">;
  /** Graphs that it does not have, and whose runs end with GraphRemoved. */
  removed: readonly string[] = [];

  constructor(graphs: Pick<GraphRegistry, "list">) {
    this.#graphs = graphs;
  }

  loaded(): string[] {
    return this.#graphs.list().flatMap(({ id, error }) => (error === undefined ? [id] : []));
  }

  list(): string[] {
    return [...this.loaded(), ...this.removed];
  }
}
