import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { type Mutation, mutated } from "../invariants/mutate.ts";
import { UNFENCED, UNINDEXED, UNLOCKED } from "../invariants/mutations.ts";
import { postgresAvailable } from "../servers/postgres.ts";
import { SCENARIOS } from "./all.ts";
import { effort } from "./scenario.ts";

setDefaultTimeout(300_000);

const missing = await postgresAvailable();

const UNBEATEN: Mutation = {
  name: "beats that prolong nothing",
  sql: () => mutated("beat_v1", ["set expires_at = fractal.now_ms() + p_ttl", "set expires_at = expires_at"]),
};

/**
 * What whole servers do on SQL without one of its safeguards: the scenario must say so. Not T-ZOMBIE: a process that was
 * frozen stops its runs by its own clock, so that it takes luck to see what the fence refuses beside T-DEAF.
 */
describe.skipIf(missing !== undefined)(`chaos notices a safeguard that is gone (${missing ?? "Postgres"})`, () => {
  it.each([
    ["T-DEAF", [UNFENCED]],
    // The index alone would still refuse a second running run.
    ["T-REJECT", [UNLOCKED, UNINDEXED]],
    ["T-BLOCK", [UNBEATEN]],
  ] as const)("%s", async (name, mutations) => {
    const scenario = SCENARIOS.find((each) => each.name === name);
    if (scenario === undefined) throw new Error(`no scenario ${name}`);
    // Whether a late write meets the moment in which it would do harm is a matter of luck.
    let found: string | undefined;
    for (let seed = 1; found === undefined && seed <= 8; seed++) {
      found = await scenario.run(effort(false, seed, mutations)).then(
        () => undefined,
        (error: Error) => error.message,
      );
    }
    const gone = mutations.map((mutation) => mutation.name).join(", ");
    expect(found, gone).toBeString();
    console.log(`  ${name} with ${gone}: ${found?.split("\n")[0]?.slice(0, 150)}`);
  });
});
