import { expect, it } from "bun:test";
import fc from "fast-check";
import type { Engine } from "../contract/harness.ts";
import { type Command, commands } from "./commands.ts";
import { LanesModel } from "./lanes-model.ts";
import { type Answers, Pair } from "./lanes-pair.ts";

/**
 * How far an engine's clock may run ahead of the model's, which stands still between steps: less than the second by
 * which times differ. A sequence that took longer tells nothing and is not looked at further.
 */
const DRIFT_MS = 900;

/** Compares an engine with the reference model, `runs` sequences of steps. MODEL_SEED repeats what a log names. */
export function lanesAgree(engine: Engine, options: { runs: number }): void {
  it(`the lane rules are the same in ${engine.name} as in the reference model, whatever happens in whatever order`, async () => {
    const seed = Number(process.env.MODEL_SEED ?? Date.now() % 2 ** 31);
    console.log(`lanes of ${engine.name}: seed ${seed}, ${options.runs} sequences`);
    const property = fc.asyncProperty(commands, (steps) => agree(engine, steps));
    await fc.assert(property, { numRuns: options.runs, seed });
  }, 600_000);
}

async function agree(engine: Engine, steps: readonly Command[]): Promise<void> {
  const model = new LanesModel();
  const opened = await engine.open();
  try {
    const pair = new Pair(opened, model);
    const began = performance.now();
    /** False: too late to tell. */
    const same = (at: unknown, [answer, expected]: Answers): boolean => {
      if (performance.now() - began > DRIFT_MS) return false;
      expect([at, answer]).toEqual([at, expected]);
      return true;
    };
    await pair.begin();
    for (const [i, step] of steps.entries()) {
      if (!same([i, step], await pair.step(step))) break;
      if (!same([i, step], await pair.picture())) break;
    }
    expect(await opened.storage.runs.audit()).toBe(0);
  } finally {
    await opened.close();
  }
}
