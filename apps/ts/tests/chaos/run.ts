import { describe, it } from "bun:test";
import { postgresAvailable } from "../servers/postgres.ts";
import { SCENARIOS } from "./all.ts";
import { effort } from "./scenario.ts";

const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1e9);

/** The short form of the scenarios as tests. */
export async function registerScenarios(slow: boolean): Promise<void> {
  const missing = await postgresAvailable();
  describe(`chaos (CHAOS_SEED=${seed})`, () => {
    for (const scenario of SCENARIOS.filter((each) => (each.slow === true) === slow)) {
      const why = missing ?? scenario.missing;
      const title = `${scenario.name}: ${scenario.proves}${why === undefined ? "" : ` (${why})`}`;
      it.skipIf(why !== undefined)(title, async () => {
        const told = await scenario.run(effort(false, seed));
        if (typeof told === "string") console.log(`  ${scenario.name}: ${told}`);
      });
    }
  });
}
