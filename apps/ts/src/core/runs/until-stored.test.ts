import { expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { untilStored } from "./until-stored.ts";

it("many runs that wait for the same database write one line, and each is stored in the end", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "error", json: true, write: (line) => void lines.push(line) });
  const env = { logger, stopping: new AbortController().signal, delay: async () => undefined };
  const store = (run_id: string) => {
    let left = 20;
    const write = async () => {
      if (left-- > 0) throw new Error("The database is read-only");
      return run_id;
    };
    return untilStored(env, write, { run_id, problem: "the end of a run could not be stored" });
  };
  expect(await Promise.all(["a", "b", "c"].map(store))).toEqual(["a", "b", "c"]);
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["the end of a run could not be stored; trying again"]);
});
