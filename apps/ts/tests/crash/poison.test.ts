import { describe, expect, it } from "bun:test";
import { poisonEndsAlone } from "./poison-suite.ts";

describe("a run that ends every process that executes it", () => {
  it("is given up, and 30 runs beside it succeed, each step once", async () => {
    const { deaths } = await poisonEndsAlone({ kind: "kill", neighbours: 30 });
    // All together, five halves of 31, alone, and twice more.
    expect(deaths).toBeLessThanOrEqual(9);
  }, 300_000);
});
