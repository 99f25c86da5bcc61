/** Ids kept per generation; LangGraph refers to the checkpoints that stand and their parents, which are a few. */
const KEPT = 512;

const TIMED = /^[0-9a-f]{8}-[0-9a-f]{4}-6[0-9a-f]{3}-/;

/**
 * The ids under which the checkpoints of one run are stored. LangGraph makes an id from the process's clock before it is
 * put, and goes on calling the checkpoint by it: in writes, as parent, in events. Where that clock is behind the thread,
 * the id would sort below those of earlier checkpoints; then it is stored under the next id above the highest known one,
 * and everything that leaves the saver says that one. The checkpoint's own text keeps LangGraph's id: tasks and
 * interrupts are named after it.
 */
export class CheckpointIds {
  /** LangGraph's id to the stored one; mostly the same. */
  readonly #stored = new Recent<string>();
  /** The highest stored id of a namespace, as far as it is known here. */
  readonly #highest = new Recent<string>();

  /** The stored id of a checkpoint; one that is met for the first time has been made by this process. */
  of(id: string, ns: string): string {
    const known = this.#stored.get(id);
    if (known !== undefined) return known;
    const highest = this.#highest.get(ns);
    const stored = highest !== undefined && id < highest ? above(highest, id) : id;
    this.learn(ns, id, stored);
    return stored;
  }

  /** As `of`, where an id that was not met before is a stored one. */
  known(id: string): string {
    return this.#stored.get(id) ?? id;
  }

  /** A checkpoint that is stored. `ns` undefined: no new id has to stand above it. */
  learn(ns: string | undefined, id: string, stored = id): void {
    this.#stored.set(id, stored);
    if (stored !== id) this.#stored.set(stored, stored);
    if (ns === undefined) return;
    const highest = this.#highest.get(ns);
    if (highest === undefined || highest < stored) this.#highest.set(ns, stored);
  }
}

/** The id with a time of one tick (100 ns) after that of `floor`. What is no UUID of version 6 stays as it is. */
function above(floor: string, id: string): string {
  if (!TIMED.test(floor) || !TIMED.test(id)) return id;
  const time = BigInt(`0x${floor.slice(0, 8)}${floor.slice(9, 13)}${floor.slice(15, 18)}`) + 1n;
  const hex = time.toString(16).padStart(15, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-6${hex.slice(12)}${id.slice(18)}`;
}

/** A map that forgets what was neither set nor asked for in the last KEPT changes. */
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
