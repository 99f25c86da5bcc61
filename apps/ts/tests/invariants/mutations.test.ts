import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { postgresAvailable } from "../servers/postgres.ts";
import { Bed } from "./bed.ts";
import { definitionOf, mutated } from "./mutate.ts";
import { MUTATIONS } from "./mutations.ts";

setDefaultTimeout(120_000);

const missing = await postgresAvailable();

describe.skipIf(missing !== undefined)(
  `SQL without one of its safeguards is found out (${missing ?? "Postgres"})`,
  () => {
    for (const { mutations, check } of MUTATIONS) {
      it(
        mutations
          .map(({ name }) => name)
          .filter((name) => name !== "")
          .join(", with "),
        async () => {
          await using bed = await Bed.open(...mutations);
          // A refusal by another safeguard counts: the change did not go unnoticed.
          const found = await check(bed).catch((error: Error) => `failed: ${error.message}`);
          expect(found).toBeString();
        },
      );
    }

    it("a piece of SQL that is not there any more fails its mutation", () => {
      expect(definitionOf("commit_v1")).toContain("for share");
      expect(() => mutated("commit_v1", ["something else", ""])).toThrow("adapt the mutation");
      expect(() => definitionOf("nothing")).toThrow("no function fractal.nothing");
    });
  },
);
