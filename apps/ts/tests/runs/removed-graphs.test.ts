import { describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { ClaimableGraphs } from "#core/runs/claimable";
import { UnservedRuns } from "#core/runs/unserved";
import { postgres } from "../contract/postgres-engine.ts";
import { sqlite } from "../contract/sqlite-engine.ts";
import { postgresAvailable } from "../servers/postgres.ts";
import { openTestStorage, storageUnderTest } from "../servers/storage.ts";
import { queuedRun } from "./queued-run.ts";
import { RunServer } from "./server.ts";

const fixtures = join(import.meta.dir, "fixtures");
const noPostgres = await postgresAvailable();

/** A project with these graphs of the fixtures. */
function project(graphs: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "fractal-removed-"));
  const paths = Object.entries(graphs).map(([id, spec]) => [id, join(fixtures, spec)]);
  writeFileSync(join(folder, "langgraph.json"), JSON.stringify({ graphs: Object.fromEntries(paths) }));
  return folder;
}

/** Three runs on a thread, of which the first two are of a graph that the next server may lack. */
async function queueUp(server: RunServer) {
  const { runs } = await server.thread();
  const other = await server.thread();
  const wanted = { assistant_id: "leaving", input: { name: "never" } };
  const later = { after_seconds: 0.3 };
  return {
    gone: [
      (await server.post(runs, { ...wanted, ...later })).body,
      (await server.post(runs, { ...wanted, ...later })).body,
    ],
    behind: (await server.post(runs, { assistant_id: "staying", input: { steps: 1 }, after_seconds: 0.4 })).body,
    elsewhere: (await server.post(other.runs, { assistant_id: "leaving", input: {}, ...later })).body,
  };
}

describe("runs of a graph that has left langgraph.json", () => {
  it.skipIf(storageUnderTest === "postgres")(
    "end with an error that names it on the only process, and what waits behind them runs",
    async () => {
      const [before, after] = [
        project({ leaving: "gate.ts:graph", staying: "../../fixtures/engine/counter.ts:graph" }),
        project({ staying: "../../fixtures/engine/counter.ts:graph" }),
      ];
      const storage = await openTestStorage(join(before, ".fractal"));
      try {
        const first = await RunServer.start({}, join(before, "langgraph.json"), { storage });
        const { gone, behind, elsewhere } = await queueUp(first);
        await first[Symbol.asyncDispose]();
        await using second = await RunServer.start({}, join(after, "langgraph.json"), { storage });
        for (const run of [...gone, elsewhere]) {
          await second.reached(run, "error");
          const { body } = await second.get(`/threads/${run.thread_id}/runs/${run.run_id}/join`);
          expect(body.__error__).toEqual({
            error: "GraphRemoved",
            message: 'Graph "leaving" is not served any more: it is not in langgraph.json',
          });
        }
        await second.reached(behind, "success");
        expect((await second.get(`/threads/${elsewhere.thread_id}`)).body).toMatchObject({ status: "error" });
        expect((await second.get("/ready")).status).toBe(200);
        expect(second.log.filter((line) => line.includes("GraphRemoved")).length).toBe(3);
      } finally {
        await storage[Symbol.asyncDispose]();
        for (const folder of [before, after]) rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  const engines = [sqlite, ...(noPostgres === undefined ? [postgres] : [])];
  it.each(engines)("wait where another process may have it, and for one that may load again: $name", async (engine) => {
    const { storage, advance, close } = await engine.open();
    try {
      const known = [
        { id: "good", isolation: "thread" as const, revision: "1" },
        { id: "broken", isolation: "thread" as const, revision: "1", error: "SyntaxError: oh" },
      ];
      const graphs = { list: () => known, find: (id: string) => known.find((graph) => graph.id === id) };
      const lines: Record<string, unknown>[] = [];
      let unserved: Record<string, number> = {};
      const env = {
        storage,
        graphs,
        observer: {
          unserved: (runs: Record<string, number>) => {
            unserved = runs;
          },
        },
        logger: createLogger({ level: "info", json: true, write: (line) => lines.push(JSON.parse(line)) }),
      } as unknown as ConstructorParameters<typeof UnservedRuns>[0];
      const claimable = new ClaimableGraphs(graphs);
      const watch = new UnservedRuns(env, claimable);
      for (const graph_id of ["good", "broken", "removed", "removed"]) {
        const run = queuedRun({ graph_id, if_not_exists: "create" });
        await storage.runs.create({ tenant: "default", owner: "ann", permissions: [], filters: undefined }, run);
      }
      expect(await watch.look()).toBe(!storage.shared);
      expect([claimable.list(), unserved, lines]).toEqual([storage.shared ? ["good"] : ["good", "removed"], {}, []]);
      await advance(61_000);
      await watch.look();
      await watch.look();
      expect(unserved).toEqual(storage.shared ? { broken: 1, removed: 2 } : { broken: 1 });
      expect(lines.map(({ level, msg, graph, runs, error }) => ({ level, msg, graph, runs, error }))).toEqual(
        Object.entries(unserved).map(([graph, runs]) => ({
          level: "warn",
          msg: "runs wait for a graph that this process has not loaded",
          graph,
          runs,
          error: graph === "broken" ? "SyntaxError: oh" : undefined,
        })),
      );
    } finally {
      await close();
    }
  });
});
