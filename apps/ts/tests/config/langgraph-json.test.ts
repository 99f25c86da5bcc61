import { describe, expect, it } from "bun:test";
import { join } from "node:path";
import { type Config, type ConfigError, loadConfig } from "#config";
import { FIXTURES } from "../graphs/project.ts";
import { tempProject } from "../graphs/temp-project.ts";

async function load(document: unknown, env: Record<string, string> = {}): Promise<Config> {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  await using project = await tempProject({ "langgraph.json": text }, { packages: false });
  return loadConfig({ env, cwd: project.folder });
}

async function problems(document: unknown, env: Record<string, string> = {}): Promise<readonly string[]> {
  return load(document, env).then(
    () => expect.unreachable(),
    (error) => (error as ConfigError).problems,
  );
}

describe("langgraph.json", () => {
  it("of a project is read with its paths resolved and its env file", () => {
    const folder = join(FIXTURES, "langgraph-project");
    const config = loadConfig({ env: {}, cwd: folder });
    expect(config.graphs.slice(0, 2)).toEqual([
      { id: "chatbot", source: "./src/chatbot.ts:graph", path: join(folder, "src/chatbot.ts"), exportName: "graph" },
      {
        id: "joke",
        source: "./src/joke.ts:builder",
        path: join(folder, "src/joke.ts"),
        exportName: "builder",
        description: "Writes a joke about a topic and rates it",
      },
    ]);
    expect(config.environment.PROJECT_GREETING).toBe("Good morning");
    expect(config.warnings).toEqual([]);
  });

  it("may be elsewhere; its paths are relative to it, the data folder is not", async () => {
    const config = loadConfig({ env: {}, cwd: FIXTURES, configPath: "engine/langgraph.json" });
    expect(config.graphs[0]?.path).toBe(join(FIXTURES, "engine/counter.ts"));
    expect(config.projectDir).toBe(join(FIXTURES, "engine"));
    expect(config.dataDir).toBe(join(FIXTURES, ".fractal"));
  });

  it("must exist when it is named", () => {
    expect(() => loadConfig({ env: {}, cwd: FIXTURES, configPath: "nowhere.json" })).toThrow(
      `nowhere.json: there is no file ${FIXTURES}/nowhere.json`,
    );
  });

  it("says what is wrong with it, with the path of the key", async () => {
    expect(await problems('{\n  "graphs": {},\n}')).toEqual([
      'langgraph.json: is not JSON: line 3, column 1 (position 18): expected a property name in double quotes, found "}"',
    ]);
    expect(await problems("[]")).toEqual(["langgraph.json: must hold a JSON object"]);
    expect((await problems({}))[0]).toStartWith("langgraph.json: graphs is missing");
    for (const graphs of [["x"], "./a.ts:a", null]) {
      expect(await problems({ graphs })).toEqual([
        'langgraph.json: graphs must be a map from ids to files: {"graphs": {"agent": "./src/agent.ts:graph"}}',
      ]);
    }
    const form = 'must be "./file.ts:export" or {"path": "./file.ts:export", "description": "..."}';
    const found = await problems({
      graphs: { a: 3, b: { path: "./b.ts:b", isolation: "tenant" }, c: {}, d: "" },
      http: { cors: { allow_origins: "*", allow_origin_regex: "(" }, disable_store: "yes" },
      store: { ttl: { default_ttl: -1 } },
    });
    expect(found.map((problem) => problem.split(" ").slice(0, 2).join(" "))).toEqual([
      "langgraph.json: graphs.a",
      "langgraph.json: graphs.b.isolation",
      "langgraph.json: graphs.c",
      "langgraph.json: graphs.d",
      "langgraph.json: http.cors.allow_origins",
      "langgraph.json: http.cors.allow_origin_regex",
      "langgraph.json: http.disable_store",
      "langgraph.json: store.ttl.default_ttl",
    ]);
    for (const [i, id] of [
      [0, "a"],
      [2, "c"],
      [3, "d"],
    ] as const) {
      expect(found[i]).toBe(`langgraph.json: graphs.${id} ${form}`);
    }
    expect(found[1]).toContain('"assistant"|"thread"');
  });

  it("takes entries with and without an export", async () => {
    const { graphs } = await load({
      graphs: { a: "./a.ts:agent", b: "./b.ts", c: "./c.ts:", d: { path: "/abs/d.py:graph", isolation: "assistant" } },
    });
    expect(graphs.map(({ exportName }) => exportName)).toEqual(["agent", "default", "default", "graph"]);
    expect(graphs[3]).toMatchObject({ path: "/abs/d.py", isolation: "assistant" });
  });

  it("switches parts of the API off and sets CORS and the store's time to live", async () => {
    const config = await load({
      graphs: {},
      http: {
        cors: { allow_origins: ["https://a.test"], allow_credentials: true },
        disable_store: true,
        disable_mcp: false,
      },
      store: { ttl: { default_ttl: 60 } },
    });
    expect([...config.disabled]).toEqual(["store"]);
    expect(config.cors).toEqual({ allow_origins: ["https://a.test"], allow_credentials: true });
    expect(config.storeTtl).toEqual({ minutes: 60, refreshOnRead: true });
  });

  it("gives way to variables", async () => {
    const document = {
      graphs: { a: "./a.ts:a" },
      http: { cors: { allow_origins: ["https://a.test"], allow_origin_regex: ".*", max_age: 5 }, disable_runs: true },
    };
    const config = await load(document, {
      CORS_ALLOW_ORIGINS: "https://b.test, https://c.test",
      LANGSERVE_GRAPHS: '{"b":"./b.ts:b"}',
    });
    expect(config.cors).toEqual({ allow_origins: ["https://b.test", "https://c.test"], max_age: 5 });
    expect(config.graphs.map(({ id }) => id)).toEqual(["b"]);
    expect((await load(document, { CORS_CONFIG: '{"max_age":9}' })).cors).toEqual({ max_age: 9 });
    const http = await load(document, { LANGGRAPH_HTTP: '{"disable_store":true}' });
    expect([[...http.disabled], http.cors]).toEqual([["store"], undefined]);
    const LANGGRAPH_CHECKPOINTER = '{"ttl":{"default_ttl":7}}';
    expect((await load(document, { LANGGRAPH_CHECKPOINTER })).threadTtl).toEqual({ strategy: "delete", minutes: 7 });
    expect(await problems(document, { CORS_CONFIG: '{"max_age":"x"}' })).toEqual([
      "CORS_CONFIG.max_age is wrong: Invalid input: expected number, received string",
    ]);
    expect((await problems(document, { LANGSERVE_GRAPHS: '{"b":1}' }))[0]).toStartWith("LANGSERVE_GRAPHS.b must be");
  });

  it("accepts what only matters for an image, and warns of keys it does not know", async () => {
    const build = { node_version: "24", dependencies: ["."], dockerfile_lines: [], api_version: "0.3", $schema: "x" };
    expect((await load({ graphs: {}, ...build })).warnings).toEqual([]);
    const { warnings } = await load({
      graphs: { a: { path: "./a.ts:a", isolated: true } },
      graph: {},
      http: { disable_everything: true, logging_headers: {}, cors: { origins: [] } },
    });
    expect(warnings).toEqual([
      "langgraph.json: graph is not a key that this server knows; it is ignored",
      "langgraph.json: http.disable_everything is not a key that this server knows; it is ignored",
      "langgraph.json: http.cors.origins is not a key that this server knows; it is ignored",
      "langgraph.json: graphs.a.isolated is not a key that this server knows; it is ignored",
      "langgraph.json: http.logging_headers has no effect: request headers are not logged at all",
    ]);
  });
});

describe("LANGGRAPH_CONFIG", () => {
  it("gives the system assistants their config and context", async () => {
    const value = {
      agent: { configurable: { model_name: "fake:echo" }, recursion_limit: 50, context: { tier: "gold" } },
    };
    const { seeds } = await load({ graphs: {} }, { LANGGRAPH_CONFIG: JSON.stringify(value) });
    expect(seeds).toEqual({
      agent: { config: { configurable: { model_name: "fake:echo" }, recursion_limit: 50 }, context: { tier: "gold" } },
    });
  });

  it("is refused when a value has the wrong type", async () => {
    const found = await problems({ graphs: {} }, { LANGGRAPH_CONFIG: '{"agent":{"recursion_limit":0,"tags":"x"}}' });
    expect(found.map((problem) => problem.split(" ")[0]).sort()).toEqual([
      "LANGGRAPH_CONFIG.agent.recursion_limit",
      "LANGGRAPH_CONFIG.agent.tags",
    ]);
  });
});
