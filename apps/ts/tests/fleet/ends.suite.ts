import { describe, expect, it } from "bun:test";
import { RuntimeError } from "#core/errors";
import { ANONYMOUS } from "#core/identity/scope";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type RunServer, until } from "../runs/server.ts";
import { altered, type Changes, type FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

const lost = () => new RuntimeError("unavailable", "The connection was lost");
const fresh = () => `ends-${crypto.randomUUID()}`;

/** Ends that are decided while nobody executes the run, or against the database's will. */
export function endsSuite(engine: FleetEngine): void {
  /** A run that has made a checkpoint, and then was handed back: one server is left, which executes nothing. */
  async function handedBack(fleet: Fleet, beforeDrain?: (run: Run, b: RunServer) => Promise<unknown>) {
    const [a, b] = [fleet.server(0), await fleet.add({ concurrency: 0 })];
    const name = fresh();
    const thread = await b.thread();
    const body = { assistant_id: "gate", input: { name }, durability: "sync" };
    const { body: run } = await a.post(thread.runs, body);
    await arrival(name);
    await beforeDrain?.(run, b);
    await fleet.stop(0);
    return { b, run: run as Run, runs: thread.runs };
  }

  /** The thread shows what the run has left. */
  async function expectInterrupted(b: RunServer, run: Run): Promise<void> {
    const seen = async () => (await b.get(`/threads/${run.thread_id}`)).body;
    expect((await b.run(run)).status).toBe("interrupted");
    await until(async () => (await seen()).values?.trail !== undefined);
    expect(await seen()).toMatchObject({ status: "interrupted", values: { trail: ["before"] } });
    const { body: state } = await b.get(`/threads/${run.thread_id}/state`);
    expect(state).toMatchObject({ values: { trail: ["before"] }, next: ["wait"] });
  }

  describe(`ends of runs (${engine.name})`, () => {
    it("shows the state of a run that is cancelled while it waits for its next attempt", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1 }]);
      const { b, run, runs } = await handedBack(fleet);
      expect((await b.run(run)).status).toBe("pending");
      expect((await b.post(`${runs}/${run.run_id}/cancel?wait=true`)).status).toBe(200);
      await expectInterrupted(b, run);
    });

    it("shows the state of a run whose cancel is stored just before its process drains", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1 }]);
      // Nobody tells the executor: the hint is on its way.
      const { b, run } = await handedBack(fleet, ({ run_id }, server) =>
        server.storage.runs.cancel(ANONYMOUS, { run_id }, "interrupt"),
      );
      await expectInterrupted(b, run);
    });

    it("shows the state of a run that another one pushed aside and that was rolled back before it began", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1 }]);
      const { b, run, runs } = await handedBack(fleet);
      const next = { assistant_id: "gate", input: { name: fresh() }, multitask_strategy: "interrupt" };
      const { body: second } = await b.post(runs, next);
      expect((await b.run(run)).status).toBe("interrupted");
      await b.post(`${runs}/${second.run_id}/cancel?action=rollback`);
      await expectInterrupted(b, run);
    });

    it("takes the thread from deaf code at its deadline although the database is away at first", async () => {
      let away = 2;
      const failing: Changes = ({ runs }) => ({
        runs: {
          ...runs,
          finish: async (...asked) => {
            if (away-- > 0) throw lost();
            return runs.finish(...asked);
          },
        },
      });
      const config = { concurrency: 1, runTimeoutSeconds: 1, cancelGraceSeconds: 0.1 };
      await using fleet = await Fleet.start(altered(engine, failing), [config]);
      const server = fleet.server(0);
      const name = fresh();
      const thread = await server.thread();
      const { body: run } = await server.post(thread.runs, { assistant_id: "stubborn", input: { name } });
      await arrival(name);
      await server.reached(run, "timeout");
      await until(() => server.worker.running === 0);
      expect(away).toBeLessThan(0);
      open(name);
    });

    it("ends a run whose values the database refuses for good as an error that says why", async () => {
      const refusing: Changes = ({ runs }) => ({
        runs: {
          ...runs,
          finish: async (fence, outcome) => {
            if (outcome.state?.values?.includes("after")) throw new RangeError("stack depth limit exceeded");
            return runs.finish(fence, outcome);
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, refusing), [{ concurrency: 1 }]);
      const server = fleet.server(0);
      const name = fresh();
      const thread = await server.thread();
      open(name);
      const events = await server.stream(thread.runs, { assistant_id: "gate", input: { name }, stream_mode: "values" });
      const error = { error: "RangeError", message: "stack depth limit exceeded" };
      expect(events.at(-1)).toMatchObject({ event: "error", data: error });
      const [run] = (await server.get(thread.runs)).body;
      expect(run.status).toBe("error");
      expect((await server.get(`/threads/${thread.id}`)).body).toMatchObject({ status: "error", error });
      const rows = await server.storage.events.read(ANONYMOUS, { ...run, limit: 100 });
      expect(rows.map(({ n }) => n)).toEqual(rows.map((_, i) => i));
    });
  });
}

interface Run {
  thread_id: string;
  run_id: string;
}
