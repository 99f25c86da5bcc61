/** Bytes, over all clients of a process. */
const LIMIT = 128 * 1024 * 1024;
/** A client that reads has taken what it was given long before. */
const PATIENCE_MS = 1_000;

export interface Recipient {
  /** Breaks its stream off: it comes back by its last id, and meanwhile costs nothing. */
  cutOff(): void;
}

/**
 * What the clients of this process have been given and have not taken yet: it lies in the buffers of their sockets. When
 * it is too much, those go first that have not read for longest.
 */
export class Unread {
  /** Whoever was given something first comes first. */
  readonly #given = new Map<Recipient, { bytes: number; at: number }>();
  readonly #limit: number;
  readonly #patienceMs: number;
  #bytes = 0;

  constructor(limit = LIMIT, patienceMs = PATIENCE_MS) {
    this.#limit = limit;
    this.#patienceMs = patienceMs;
  }

  /** The client asked for this much; it has taken all of it when it asks again. */
  give(client: Recipient, bytes: number): void {
    this.taken(client);
    this.#given.set(client, { bytes, at: performance.now() });
    this.#bytes += bytes;
    this.relieve();
  }

  /** Also called now and then: when nobody reads any more, nobody is given anything. */
  relieve(): void {
    const now = performance.now();
    for (const [slowest, { at }] of this.#given) {
      if (this.#bytes <= this.#limit || now - at < this.#patienceMs) return;
      this.taken(slowest);
      slowest.cutOff();
    }
  }

  /** It asks for more, or has gone. */
  taken(client: Recipient): void {
    this.#bytes -= this.#given.get(client)?.bytes ?? 0;
    this.#given.delete(client);
  }
}
