import type { Mutation } from "../invariants/mutate.ts";

/** How much of a scenario is run: little in CI, much under `npm run chaos`. */
export interface Effort {
  /** Time bounds are asserted only when it is. */
  long: boolean;
  seed: number;
  /** `short` in CI, `long` under chaos. */
  n(short: number, long: number): number;
  /** Safeguards that are taken out of the SQL, for the proof that a scenario notices. */
  mutations: readonly Mutation[];
}

export interface Scenario {
  name: `T-${string}`;
  /** What it proves: invariants, and a sentence. */
  proves: string;
  /** Takes more than 20 s in CI. */
  slow?: boolean;
  /** Why it cannot be run here. */
  missing?: string | undefined;
  /** Rejects when something does not hold. @returns Figures worth telling, as text, or nothing. */
  run(effort: Effort): Promise<unknown>;
}

export function effort(long: boolean, seed: number, mutations: readonly Mutation[] = []): Effort {
  return { long, seed, n: (short, much) => (long ? much : short), mutations };
}

/** A small generator with a seed, so that a failure can be looked at again (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again until the answer satisfies the condition. */
export async function eventually<T>(ask: () => Promise<T>, met: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const deadline = Date.now() + ms; ; await pause(25)) {
    const value = await ask();
    if (met(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)}`);
  }
}

/** Throws with the sentence unless it holds; only where time bounds are asserted. */
export function within(effort: Effort, what: string, [ms, bound]: [number, number]): string {
  if (effort.long && ms > bound) throw new Error(`${what}: ${Math.round(ms)} ms, more than ${bound}`);
  return `${what}: ${Math.round(ms)} ms`;
}

export const steps = (n: number): string[] => Array.from({ length: n }, (_, i) => `step-${i + 1}`);

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
