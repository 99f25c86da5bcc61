import { splitStored, toStored } from "#core/checkpoints/namespace";
import { readMetadata } from "./checkpoint-columns.ts";

/** The newest checkpoint of a namespace. */
export interface NewestCheckpoint {
  ns: string;
  checkpoint_id: string;
  /** Looked at where the namespace has a ":" only. */
  metadata: string | null;
}

/**
 * Of the newest checkpoints of a thread's namespaces those that pruning keeps. A subgraph without a memory of its own has
 * a namespace per task ("node:<task id>"), which is read again only while its parent stands at the checkpoint that the
 * task belongs to: there it may be interrupted, have failed, or have finished beside others that have not. LangGraph
 * notes that checkpoint in `metadata.parents`; where nothing is noted, or the parent has no checkpoints, nothing is dropped.
 */
export function keptNamespaces<T extends NewestCheckpoint>(newest: readonly T[]): T[] {
  const standing = new Map(newest.map(({ ns, checkpoint_id: id }) => [ns, id]));
  return newest.filter(({ ns, metadata }) => {
    const { scope, namespace } = splitStored(ns);
    if (!namespace.includes(":") || metadata === null) return true;
    const { parents } = readMetadata(metadata) ?? {};
    if (typeof parents !== "object" || parents === null) return true;
    return Object.entries(parents).every(([parent, id]) => {
      const at = standing.get(toStored(scope, parent));
      return at === undefined || at === id;
    });
  });
}
