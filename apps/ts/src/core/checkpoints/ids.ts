/** Ids kept per generation; LangGraph refers to the checkpoints that stand and their parents, which are a few. */
const KEPT = 512;

const TIMED = /^[0-9a-f]{8}-[0-9a-f]{4}-6[0-9a-f]{3}-/;

/**
 * The ids under which the checkpoints of one run are stored. LangGraph makes an id from the process's clock before `put`, and
 * uses it in writes, as parent and in events. If that clock is behind the thread, the id would sort below earlier checkpoints.
 * The checkpoint is then stored under the next id above the highest known one, and everything that leaves the saver carries
 * the stored id. The checkpoint's own JSON keeps LangGraph's id, because task and interrupt ids derive from it.
 */
export class CheckpointIds {
  /** LangGraph's id to the stored one; mostly the same. */
  readonly #stored = new Recent<string>();
  /** The highest stored id of a namespace, as far as it is known here. */
  readonly #highest = new Recent<string>();

  /** The stored id of a checkpoint. An unknown id is new: this process made it. */
  of(id: string, ns: string): string {
    const known = this.#stored.get(id);
    if (known !== undefined) return known;
    const highest = this.#highest.get(ns);
    const stored = highest !== undefined && id < highest ? above(highest, id) : id;
    this.learn(ns, id, stored);
    return stored;
  }

  /** Like `of`, but an unknown id is a stored one. */
  known(id: string): string {
    return this.#stored.get(id) ?? id;
  }

  /** Records a stored checkpoint. `ns` undefined: new ids need not sort above it. */
  learn(ns: string | undefined, id: string, stored = id): void {
    this.#stored.set(id, stored);
    if (stored !== id) this.#stored.set(stored, stored);
    if (ns === undefined) return;
    const highest = this.#highest.get(ns);
    if (highest === undefined || highest < stored) this.#highest.set(ns, stored);
  }
}

/** The id with a time of one tick (100 ns) after that of `floor`. An id that is not a version 6 UUID is returned unchanged. */
function above(floor: string, id: string): string {
  if (!TIMED.test(floor) || !TIMED.test(id)) return id;
  const time = BigInt(`0x${floor.slice(0, 8)}${floor.slice(9, 13)}${floor.slice(15, 18)}`) + 1n;
  const hex = time.toString(16).padStart(15, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-6${hex.slice(12)}${id.slice(18)}`;
}

/** A map that drops entries not used within the last KEPT insertions. */
class Recent<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  get(key: string): T | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: T): void {
    if (this.#young.size >= KEPT) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
