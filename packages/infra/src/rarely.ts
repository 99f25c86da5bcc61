/** How many texts are remembered; more are no repetition of anything. */
const TEXTS = 50;

/** Keeps a trouble that lasts from filling the log: each text is said at once, and then once in a while. */
export class Rarely {
  readonly #everyMs: number;
  readonly #now: () => number;
  readonly #said = new Map<string, { at: number; unsaid: number }>();

  constructor(everyMs = 60_000, now: () => number = () => performance.now()) {
    this.#everyMs = everyMs;
    this.#now = now;
  }

  /** How often the text was kept back since it was said last; undefined while it is not to be said. */
  due(text: string): number | undefined {
    const now = this.#now();
    const last = this.#said.get(text);
    if (last !== undefined && now - last.at < this.#everyMs) {
      last.unsaid++;
      return undefined;
    }
    if (last === undefined && this.#said.size >= TEXTS) this.#said.clear();
    this.#said.set(text, { at: now, unsaid: 0 });
    return last?.unsaid ?? 0;
  }
}
