/** Most calls of one statement. */
const LIMIT = 64;
/**
 * How long a call of a batch waits for a lock, ms: a thread that is locked for long (it is being deleted) must not hold up
 * what travels with it. On its own it waits as long as any statement.
 */
export const PATIENCE_MS = 250;
export const ALONE_MS = 10_000;
/** Statements at once: with one, every call would wait for the one before it to come back. */
const UNDER_WAY = 2;

export interface BatchOptions<Call, Answer> {
  /** One statement, in one transaction: answers in the order of the calls, or rejects and has done nothing. */
  send(calls: readonly Call[]): Promise<Answer[]>;
  /** One call on its own, after `send` has failed: if by a lost connection, it may have taken effect all the same. */
  alone(call: Call, failure: unknown): Promise<Answer>;
  /** What a call locks: calls are sent in this order, so that two processes never wait for each other. */
  key(call: Call): string;
}

/**
 * Calls that come while others are under way wait for them and travel together: under load a statement, its round trip and its
 * flush to disk are shared by several, and a single call is sent as fast as before.
 */
export class Batch<Call, Answer> {
  readonly #options: BatchOptions<Call, Answer>;
  #waiting: { call: Call; resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];
  #underWay = 0;
  #scheduled = false;

  constructor(options: BatchOptions<Call, Answer>) {
    this.#options = options;
  }

  submit(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay >= UNDER_WAY || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // A turn, so that calls which were woken by the same I/O go together.
    setImmediate(() => {
      this.#scheduled = false;
      this.#underWay++;
      void this.#next().finally(() => {
        this.#underWay--;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  async #next(): Promise<void> {
    const { key, send, alone } = this.#options;
    const batch = this.#waiting.splice(0, LIMIT);
    if (batch.length > 1) batch.sort((a, b) => (key(a.call) < key(b.call) ? -1 : 1));
    try {
      const answers = await send(batch.map(({ call }) => call));
      if (answers.length !== batch.length) throw new Error(`${batch.length} calls got ${answers.length} answers`);
      batch.forEach(({ resolve }, i) => void resolve(answers[i] as Answer));
    } catch (failure) {
      // One of them may be the reason, or wait for a lock; the others must not suffer for it.
      for (const { call, resolve, reject } of batch) void alone(call, failure).then(resolve, reject);
    }
  }
}
