import { describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import type { RunRecord } from "#core/runs/repository";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type RunServer, runPath, until } from "../runs/server.ts";
import type { FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

interface Run {
  thread_id: string;
  run_id: string;
}

/** Code that does not hear its signal costs neither its slot, nor its thread, nor the end of the process. */
export function deafSuite(engine: FleetEngine): void {
  describe(`a run that ignores its signal (${engine.name})`, () => {
    it("ends at its deadline: its slot and its thread are free, and what it says later is not kept", async () => {
      const config = { concurrency: 1, runTimeoutSeconds: 1, cancelGraceSeconds: 0.1 };
      await using fleet = await Fleet.start(engine, [config]);
      const server = fleet.server(0);
      const { run, name } = await deaf(server);
      const next = crypto.randomUUID();
      await server.post(`/threads/${run.thread_id}/runs`, { assistant_id: "gate", input: { name: next } });
      const joined = await server.get(`${runPath(run)}/join`);
      expect(joined.body).toHaveProperty("__error__");
      expect((await server.run(run)).status).toBe("timeout");
      await arrival(next);
      open(next);
      open(name);
      await arrival(`${name}-done`);
      await until(() => server.worker.running === 0);
      expect(await told(server, run)).not.toContain("too late");
      expect((await server.run(run)).status).toBe("timeout");
    });

    it("is executed again after its process has lost its lease, although that has one slot only", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1, cancelGraceSeconds: 0.1 }]);
      const server = fleet.server(0);
      const { run, name } = await deaf(server);
      const { epoch } = await stored(server, run);
      await fleet.lose(0);
      await until(async () => (await stored(server, run)).attempt === 2);
      expect(server.worker.running).toBe(1);
      open(name);
      await server.reached(run, "success");
      const rows = await server.storage.events.read(ANONYMOUS, { ...run, limit: 100 });
      const late = rows.filter(({ data }) => data.includes("too late"));
      expect(late.length).toBeGreaterThan(0);
      expect(late.filter((row) => row.epoch <= epoch)).toEqual([]);
    });

    it("is handed on by a drain, which ends without it and uses no attempt", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1, cancelGraceSeconds: 60 }]);
      const [a, b] = [fleet.server(0), await fleet.add({ concurrency: 0 })];
      const { run, name } = await deaf(a);
      await a.worker.drain("test", 0);
      expect(a.worker.running).toBe(0);
      expect(await stored(b, run)).toMatchObject({ status: "pending", attempt: 0 });
      const c = await fleet.add({ concurrency: 1 });
      await until(() => c.worker.running === 1);
      open(name);
      await b.reached(run, "success");
      expect((await stored(b, run)).attempt).toBe(1);
    });
  });
}

/** A run that stands at its gate and hears nothing. */
async function deaf(server: RunServer): Promise<{ run: Run; name: string }> {
  const thread = await server.thread();
  const name = `deaf-${crypto.randomUUID()}`;
  const body = { assistant_id: "stubborn", input: { name }, stream_resumable: true, stream_mode: ["custom", "values"] };
  const { body: run } = await server.post(thread.runs, body);
  await arrival(name);
  return { run: { thread_id: thread.id, run_id: run.run_id }, name };
}

async function stored(server: RunServer, run: Run): Promise<RunRecord> {
  const found = await server.storage.runs.find(ANONYMOUS, run.run_id);
  if (found === undefined) throw new Error("there is no such run");
  return found;
}

async function told(server: RunServer, run: Run): Promise<string> {
  return JSON.stringify(await server.storage.events.read(ANONYMOUS, { ...run, limit: 100 }));
}
