import type { WriteRow } from "#core/checkpoints/repository";
import { type Base, mergeWrites } from "./layout.ts";

export interface Known {
  readonly base: Base;
  readonly writes: readonly WriteRow[];
}

/** Checkpoints kept for carrying values over to their children; beyond it the oldest is read again when needed. */
const KEPT_BASES = 24;
/** Namespaces whose newest checkpoint is kept. */
const KEPT_HEADS = 64;

/**
 * What the owner of a fence knows without asking: the newest checkpoint of the namespaces that it has read or written,
 * which nobody else can move while the fence holds. Works for the fence's thread only; without a fence it keeps nothing.
 */
export class SaverMemory {
  readonly #threadId: string | undefined;
  /** Nobody had written to the thread before: a namespace that was never put to is empty. */
  readonly #fresh: boolean;
  /** Namespace to its newest checkpoint; undefined as value: the namespace is known to be empty. */
  readonly #heads = new Map<string, Known | undefined>();
  readonly #bases = new Map<string, Base>();
  readonly #puts = new Map<string, number>();
  /** Writes that came before their checkpoint. */
  readonly #early = new Map<string, readonly WriteRow[]>();

  constructor(threadId: string | undefined, fresh = false) {
    this.#threadId = threadId;
    this.#fresh = fresh;
  }

  find(threadId: string, ns: string, checkpointId: string | undefined): Known | "none" | undefined {
    if (threadId !== this.#threadId) return undefined;
    this.#begin(ns);
    if (!this.#heads.has(ns)) return undefined;
    const head = this.#heads.get(ns);
    if (head === undefined) return checkpointId === undefined ? "none" : undefined;
    return checkpointId === undefined || checkpointId === head.base.row.checkpoint_id ? head : undefined;
  }

  /** Taken before a namespace is read: what is put there while the read is under way makes its answer old. */
  mark(ns: string): number {
    return this.#puts.get(ns) ?? 0;
  }

  rememberHead(ns: string, head: Known | undefined, mark: number): void {
    if (this.mark(ns) === mark) this.#setHead(ns, head);
  }

  rememberBase(base: Base): void {
    if (base.row.thread_id !== this.#threadId) return;
    this.#bases.set(keyOf(base.row.checkpoint_ns, base.row.checkpoint_id), base);
    if (this.#bases.size > KEPT_BASES) dropOldest(this.#bases);
  }

  base(ns: string, checkpointId: string): Base | undefined {
    return this.#bases.get(keyOf(ns, checkpointId));
  }

  /** A checkpoint was put. It is the newest one only where the one before was known. */
  added(base: Base): void {
    const { checkpoint_ns: ns, checkpoint_id: id } = base.row;
    const again = this.#bases.has(keyOf(ns, id));
    this.rememberBase(base);
    this.#begin(ns);
    this.#puts.set(ns, this.mark(ns) + 1);
    const early = this.#early.get(keyOf(ns, id)) ?? [];
    this.#early.delete(keyOf(ns, id));
    if (!this.#heads.has(ns)) return;
    const head = this.#heads.get(ns);
    // The same id again (a put is repeated) keeps its writes, and its place in the order.
    if (head?.base.row.checkpoint_id === id) this.#setHead(ns, { base, writes: head.writes });
    else if (!again) this.#setHead(ns, { base, writes: early });
  }

  wrote(ns: string, checkpointId: string, rows: readonly WriteRow[]): void {
    this.#begin(ns);
    this.#puts.set(ns, this.mark(ns) + 1);
    if (!this.#heads.has(ns)) return;
    const head = this.#heads.get(ns);
    if (head !== undefined && head.base.row.checkpoint_id === checkpointId) {
      this.#setHead(ns, { base: head.base, writes: mergeWrites(head.writes, rows) });
    } else if (!this.#bases.has(keyOf(ns, checkpointId))) {
      const key = keyOf(ns, checkpointId);
      this.#early.set(key, mergeWrites(this.#early.get(key) ?? [], rows));
    }
  }

  clear(): void {
    this.#heads.clear();
    this.#bases.clear();
    this.#early.clear();
  }

  /** A namespace of a fresh thread that is met for the first time. */
  #begin(ns: string): void {
    if (this.#fresh && !this.#puts.has(ns) && !this.#heads.has(ns)) this.#setHead(ns, undefined);
  }

  #setHead(ns: string, head: Known | undefined): void {
    this.#heads.delete(ns);
    this.#heads.set(ns, head);
    if (this.#heads.size > KEPT_HEADS) dropOldest(this.#heads);
  }
}

function keyOf(ns: string, checkpointId: string): string {
  return `${ns} ${checkpointId}`;
}

function dropOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
