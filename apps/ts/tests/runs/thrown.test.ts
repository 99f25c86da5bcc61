import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer } from "./server.ts";

const TOLD = {
  text: { error: "Error", message: "just text" },
  empty: { error: "Error", message: "" },
  number: { error: "Error", message: "42" },
  bigint: { error: "Error", message: "9" },
  symbol: { error: "Error", message: "Symbol(s)" },
  null: { error: "Error", message: "The graph threw null" },
  undefined: { error: "Error", message: "The graph threw undefined" },
  frozen: { error: "Refused", message: "frozen words" },
  sealed: { error: "Error", message: '{"code":7}' },
};

describe("what cannot be marked as thrown by a node", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function told(what: string, place: string, graph = "thrower") {
    const thread = await server.thread();
    const { body } = await server.post(`${thread.runs}/wait`, { assistant_id: graph, input: { what, place } });
    return { body, status: (await server.get(`/threads/${thread.id}`)).body.status };
  }

  // langgraph itself stumbles over what its retry policy and its routers cannot ask for a message or a name.
  const PLACES: Record<string, { graph: string; not?: string[] }> = {
    node: { graph: "thrower" },
    retried: { graph: "thrower", not: ["sealed"] },
    runnable: { graph: "thrower" },
    subgraph: { graph: "thrower" },
    invoked: { graph: "thrower" },
    router: { graph: "thrower", not: ["null", "undefined"] },
    entrypoint: { graph: "thrower_tasks" },
    task: { graph: "thrower_tasks" },
  };
  for (const [place, { graph, not = [] }] of Object.entries(PLACES)) {
    it(`ends the run with its own words, thrown in: ${place}`, async () => {
      for (const [what, error] of Object.entries(TOLD)) {
        if (not.includes(what)) continue;
        expect(await told(what, place, graph)).toEqual({ body: { __error__: error }, status: "error" });
      }
    });
  }
});
