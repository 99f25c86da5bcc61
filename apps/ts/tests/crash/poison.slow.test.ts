import { describe, expect, it } from "bun:test";
import { storageUnderTest } from "../servers/storage.ts";
import { type Poisoning, poisonEndsAlone } from "./poison-suite.ts";
import { testNode } from "./server.ts";

/** An engine with a limit of its own, 256 MiB: Bun has none. */
const limited = testNode === undefined ? undefined : ([testNode, "--max-old-space-size=256"] as const);
const onPostgres = storageUnderTest === "postgres";

const KINDS: [name: string, poisoning: Omit<Poisoning, "neighbours">, skip?: boolean][] = [
  ["aborts", { kind: "abort" }],
  ["is killed", { kind: "kill" }],
  ["exits as if all were well", { kind: "exit" }],
  [
    "uses up the memory (FRACTAL_TEST_NODE)",
    { kind: "memory", ...(limited && { program: limited }) },
    limited === undefined,
  ],
  ["blocks its event loop for ever", { kind: "loop", env: { FRACTAL_MAIN_STALL_SECONDS: "5" } }, !onPostgres],
  ["aborts, of two instances", { kind: "abort", servers: 2 }, !onPostgres],
  ["exits, of two instances", { kind: "exit", servers: 2 }, !onPostgres],
];

describe("200 runs beside one whose process", () => {
  for (const [name, poisoning, skip = false] of KINDS) {
    it.skipIf(skip)(
      `${name}: all succeed, each step once`,
      async () => {
        const took = await poisonEndsAlone({ ...poisoning, neighbours: 200 });
        console.log(`${name} (${storageUnderTest}): ${took.deaths} deaths, ${took.seconds.toFixed(1)} s`);
        // All together, eight halves, alone, and twice more; of two instances each half may be tried in parts.
        expect(took.deaths).toBeLessThanOrEqual(15);
      },
      600_000,
    );
  }
});
