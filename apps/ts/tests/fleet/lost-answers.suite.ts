import { describe, expect, it } from "bun:test";
import { RuntimeError } from "#core/errors";
import type { Storage } from "#core/storage";
import { RunServer } from "../runs/server.ts";
import type { FleetEngine } from "./engines.ts";

/** A database whose answer to the next call of a method is lost on the way, although the call took effect. */
function losing(storage: Storage, method: "create" | "claim"): { storage: Storage; lost: () => number } {
  let lost = 0;
  const runs = {
    ...storage.runs,
    [method]: async (...args: never[]) => {
      const answer = await (storage.runs[method] as (...args: never[]) => Promise<unknown>)(...args);
      const took = Array.isArray(answer) ? answer.length > 0 : true;
      if (lost > 0 || !took) return answer;
      lost++;
      throw new RuntimeError("unavailable", "The connection was lost");
    },
  };
  return { storage: { ...storage, runs }, lost: () => lost };
}

/** A claim that nobody was told of is held by a worker that lives: no sweep would ever free it. */
export function lostAnswersSuite(engine: FleetEngine): void {
  describe(`a claim whose answer was lost (${engine.name})`, () => {
    it.each(["create", "claim"] as const)("by %s is executed all the same, once", async (method) => {
      await using database = await engine.open();
      await using real = await database.connect();
      const { storage, lost } = losing(real, method);
      await using server = await RunServer.start({}, undefined, { storage });
      const thread = await server.thread();
      const body = { assistant_id: "counter", input: { steps: 2 } };
      // Delayed, it is claimed by a look at the queue; else with its creation, whose caller is told nothing.
      const { status } = await server.post(thread.runs, method === "claim" ? { ...body, after_seconds: 0.2 } : body);
      expect(status).toBe(method === "claim" ? 200 : 503);
      const { body: runs } = await server.get(thread.runs);
      expect(runs).toHaveLength(1);
      const joined = await server.get(`${thread.runs}/${runs[0].run_id}/join`);
      expect(joined.body).toMatchObject({ count: 2, log: ["step-1", "step-2"] });
      expect(lost()).toBe(1);
      const run = await real.runs.find(
        { tenant: "default", owner: "anonymous", permissions: [], filters: undefined },
        runs[0].run_id,
      );
      expect(run).toMatchObject({ status: "success", attempt: 1 });
    });
  });
}
