import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import type { AuthScope } from "#core/identity/scope";
import { offerApi } from "../../src/compose/in-process-api.ts";
import { type Fractal, fractal, shim, stopAll } from "../cli/fractal.ts";
import { RunServer } from "../runs/server.ts";
import { dropStorage, storageEnvironment } from "../servers/storage.ts";
import { graphsOf, tempProject } from "./temp-project.ts";

const PROJECT = {
  // Asks the server that it runs in, by a client of the module and by one of the node.
  "caller.ts": `
    import { Annotation, StateGraph } from "@langchain/langgraph";
    import { RemoteGraph } from "@langchain/langgraph/remote";
    import { Client } from "@langchain/langgraph-sdk";
    const client = new Client();
    const remote = new RemoteGraph({ graphId: "inner" });
    const State = Annotation.Root({ told: Annotation<unknown> });
    async function call() {
      const own = new Client();
      const thread = await own.threads.create({ metadata: { by: "caller" } });
      const waited = await client.runs.wait(thread.thread_id, "inner", { input: { word: "waited" } });
      const words: string[] = [];
      const streamed = client.runs.stream(null, "inner", { input: { word: "streamed" }, streamMode: "updates" });
      for await (const { event, data } of streamed) if (event === "updates") words.push(JSON.stringify(data));
      const state = await own.threads.getState(thread.thread_id);
      const { thread_id } = await own.threads.create();
      const invoked = await remote.invoke({ word: "remote" }, { configurable: { thread_id } });
      const missing = await client.threads.get("00000000-0000-7000-8000-000000000000").catch((error) => error.status);
      return { told: { waited, words, state: state.values, invoked, missing } };
    }
    export const graph = new StateGraph(State).addNode("call", call).addEdge("__start__", "call").compile();
  `,
  "inner.ts": `
    import { Annotation, StateGraph } from "@langchain/langgraph";
    const State = Annotation.Root({ word: Annotation<string>, seen: Annotation<unknown> });
    const look = (_: unknown, { configurable }: any) => ({ seen: [configurable.graph_id, configurable.checkpoint_ns.split("|").length] });
    export const graph = new StateGraph(State).addNode("look", look).addEdge("__start__", "look").compile();
  `,
  "teller.ts": `
    import { Annotation, StateGraph } from "@langchain/langgraph";
    import { getLogger } from "@langchain/langgraph-sdk/logging";
    const logger: any = getLogger();
    logger.info("module words");
    const State = Annotation.Root({ told: Annotation<string> });
    async function tell() {
      const returned = logger.warn("some words", { count: 2 }, new Error("why"));
      logger.log({ level: "error", message: "object words", time: "own", api_key: "sk-abcdefgh" });
      logger.error(new RangeError("an error"));
      logger.silly("quiet words");
      logger.child({ part: "child" }).log("info", "last words", 1, 2);
      return { told: returned === logger ? "the logger itself" : "another" };
    }
    export const graph = new StateGraph(State).addNode("tell", tell).addEdge("__start__", "tell").compile();
  `,
  "langgraph.json": graphsOf({ caller: "./caller.ts:graph", inner: "./inner.ts:graph", teller: "./teller.ts:graph" }),
};

const node = process.env.FRACTAL_TEST_NODE;
const ENGINES = [
  { name: "Bun", command: "node" as string | undefined, env: {} },
  { name: "Node (FRACTAL_TEST_NODE)", command: node, env: { FRACTAL_ENGINE: "node" } },
];

for (const { name, command = "", env } of ENGINES) {
  describe.skipIf(command === "")(`the SDK in graph code on ${name}`, () => {
    let project: Awaited<ReturnType<typeof tempProject>>;
    let storage: Record<string, string>;
    let server: Fractal;
    let url: string;
    beforeAll(async () => {
      project = await tempProject(PROJECT);
      storage = await storageEnvironment();
      server = fractal(["start", "--port", "0"], {
        cwd: project.folder,
        command: [command, shim],
        env: { ...env, ...storage },
      });
      url = await server.url();
    });
    afterAll(async () => {
      await stopAll();
      await dropStorage(storage);
      await project[Symbol.asyncDispose]();
    });

    async function wait(graph: string): Promise<unknown> {
      const body = JSON.stringify({ assistant_id: graph, input: {} });
      return (await fetch(`${url}/runs/wait`, { method: "POST", body })).json();
    }

    it("reaches the server by new Client(), and what it starts there is no subgraph of the caller", async () => {
      const seen = ["inner", 1];
      expect(await wait("caller")).toEqual({
        told: {
          waited: { word: "waited", seen },
          words: [JSON.stringify({ look: { seen } })],
          state: { word: "waited", seen },
          invoked: { word: "remote", seen },
          missing: 404,
        },
      });
    });

    it("writes to the server's log by getLogger(), which a module may call too, and names run and node", async () => {
      expect(await wait("teller")).toEqual({ told: "the logger itself" });
      await server.out.until(/"last words"/);
      const lines = server.out.seen().split("\n");
      const entries = lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
      const said = (message: string) => entries.find(({ msg }) => msg === message);
      const place = { run_id: expect.any(String), thread_id: expect.any(String), node: "tell" };
      expect(said("module words")).toMatchObject({ level: "info" });
      expect(said("module words").run_id).toBeUndefined();
      expect(said("some words")).toMatchObject({ ...place, level: "warn", count: 2, err: { message: "why" } });
      expect(said("object words")).toMatchObject({ ...place, level: "error", time_: "own", api_key: "[redacted]" });
      expect(said("an error")).toMatchObject({ ...place, level: "error", err: { type: "RangeError" } });
      expect(said("last words")).toMatchObject({ ...place, level: "info", data: [1, 2], part: "child" });
      expect(said("quiet words")).toBeUndefined();
    });
  });
}

describe("new Client() in graph code", () => {
  let server: RunServer;
  let project: Awaited<ReturnType<typeof tempProject>>;
  beforeAll(async () => {
    project = await tempProject({
      // All runs are at the client at once: of four requests that it sends, each begins one that has waited.
      "shared.ts": `
        import { Annotation, StateGraph } from "@langchain/langgraph";
        import { Client } from "@langchain/langgraph-sdk";
        const client = new Client();
        const State = Annotation.Root({ name: Annotation<string>, thread: Annotation<string> });
        let waiting = 0;
        const all = Promise.withResolvers<void>();
        async function call({ name }: typeof State.State) {
          if (++waiting === 12) all.resolve();
          await all.promise;
          const { thread_id } = await client.threads.create({ metadata: { name } });
          const found = await client.threads.search({ metadata: { name } });
          return { thread: found.length === 1 && found[0].thread_id === thread_id ? thread_id : "lost" };
        }
        export const graph = new StateGraph(State).addNode("call", call).addEdge("__start__", "call").compile();
      `,
      "langgraph.json": graphsOf({ shared: "./shared.ts:graph" }),
    });
    const served: { by?: RunServer } = {};
    offerApi({
      url: () => served.by?.url ?? "http://localhost:2024",
      fetch: (request, scope) => (served.by as RunServer).inProcess.fetch(request, { scope }),
    });
    server = await RunServer.start({ N_JOBS_PER_WORKER: "12" }, `${project.folder}/langgraph.json`);
    served.by = server;
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await project[Symbol.asyncDispose]();
  });

  it("acts as the run that calls it, also where runs of several people share one client", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `person-${i}`);
    const runs = await Promise.all(
      names.map(async (name) => {
        const body = JSON.stringify({ assistant_id: "shared", input: { name } });
        const request = new Request(`${server.url}/runs/wait`, { method: "POST", body });
        const response = await server.inProcess.fetch(request, { scope: scopeOf(name) });
        return (await response.json()) as { name: string; thread: string };
      }),
    );
    for (const { name, thread } of runs) {
      expect((await server.storage.threads.find(scopeOf(name), thread))?.metadata).toEqual({ name });
    }
    // A request by HTTP is not theirs.
    expect((await server.post("/threads/search", { metadata: { name: "person-0" } })).body).toEqual([]);
  });

  it("finds the whole API in a process that serves no clients", async () => {
    await using worker = await RunServer.start({}, undefined, { config: { role: "worker" } });
    const request = () => new Request(`${worker.url}/threads/search`, { method: "POST", body: "{}" });
    expect((await fetch(request())).status).toBe(404);
    expect((await worker.inProcess.fetch(request())).status).toBe(200);
  });
});

function scopeOf(owner: string): AuthScope {
  return { tenant: "default", owner, permissions: [], filters: undefined };
}
