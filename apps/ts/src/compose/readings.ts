/** What the database knows, asked once in a while however many want to know, and never waited for longer than a moment. */
export class Reading<T> {
  readonly #ask: () => Promise<T>;
  readonly #goodForMs: number;
  readonly #onError: (error: unknown) => void;
  #asking: Promise<void> | undefined;
  #known: { value: T | undefined; at: number } = { value: undefined, at: Number.NEGATIVE_INFINITY };

  /** @param goodForMs How long an answer, or the lack of one, is good for. */
  constructor(given: { ask(): Promise<T>; goodForMs: number; onError(error: unknown): void }) {
    this.#ask = given.ask;
    this.#goodForMs = given.goodForMs;
    this.#onError = given.onError;
  }

  /** Undefined when it cannot be known now. Never rejects; `patienceMs`: how long the database may take. */
  async now(patienceMs: number): Promise<T | undefined> {
    if (!this.#fresh()) {
      // A question that is still open is not asked again.
      this.#asking ??= this.#answer();
      await within(this.#asking, patienceMs);
    }
    return this.#fresh() ? this.#known.value : undefined;
  }

  #fresh(): boolean {
    return performance.now() - this.#known.at <= this.#goodForMs;
  }

  async #answer(): Promise<void> {
    let value: T | undefined;
    try {
      value = await this.#ask();
    } catch (error) {
      this.#onError(error);
    }
    this.#known = { value, at: performance.now() };
    this.#asking = undefined;
  }
}

async function within(settled: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
    timer.unref();
  });
  await Promise.race([settled, late]);
  clearTimeout(timer);
}
