import { describe, expect, it } from "bun:test";
import type { GraphAccess } from "#core/graphs/registry";
import { openProject } from "./project.ts";
import { graphsOf, tempProject } from "./temp-project.ts";

const RUN: GraphAccess = { accessContext: "threads.create_run", config: { configurable: {} } };
const BUILDER = `import { Annotation, StateGraph } from "@langchain/langgraph";
const builder = new StateGraph(Annotation.Root({ x: Annotation() })).addNode("a", () => ({ x: 1 })).addEdge("__start__", "a");\n`;

/** One graph per file `<id>.ts`, exported as `graph`; gives each one's error, or "ok". */
async function loadAll(files: Record<string, string>, options: { loadTimeoutMs?: number } = {}) {
  const ids = Object.keys(files);
  const graphs = Object.fromEntries(ids.map((id) => [id.replace(/\.\w+$/, ""), `./${id}:graph`]));
  await using project = await tempProject({ ...files, "langgraph.json": graphsOf(graphs) });
  const { registry, logged } = await openProject(project.folder, options);
  const errors = Object.fromEntries(registry.list().map((info) => [info.id, info.error ?? "ok"]));
  return { registry, logged, errors };
}

describe("what an export may be", () => {
  it("is a compiled graph, a builder, a promise, an agent or a factory of any of them", async () => {
    const agent =
      'import { createAgent } from "langchain"; const agent = createAgent({ model: "openai:none", tools: [] });';
    const { registry, errors } = await loadAll({
      "compiled.ts": `${BUILDER} export const graph = builder.compile();`,
      "builder.ts": `${BUILDER} export const graph = builder;`,
      "promise.ts": `${BUILDER} export const graph = Promise.resolve(builder.compile());`,
      "agent.ts": `${agent} export const graph = agent;`,
      "factory.ts": `${BUILDER} export const graph = async () => builder;`,
      "agentFactory.ts": `${agent} export function graph() { return agent; }`,
      "javascript.mjs": `${BUILDER} export const graph = builder.compile();`,
      "commonjs.cjs": 'const { graph } = require("./compiled-too.cjs"); module.exports = { graph };',
      "compiled-too.cjs":
        'const { Annotation, StateGraph } = require("@langchain/langgraph"); const made = {};\n' +
        'made.graph = new StateGraph(Annotation.Root({ x: Annotation() })).addNode("a", () => ({})).addEdge("__start__", "a").compile();\n' +
        "module.exports = made;",
    });
    expect(new Set(Object.values(errors))).toEqual(new Set(["ok"]));
    for (const id of Object.keys(errors)) {
      expect(Object.keys((await registry.build(id, RUN)).nodes).length).toBeGreaterThan(0);
    }
  });

  it("is compiled once when a factory hands out the same builder", async () => {
    const { registry } = await loadAll({ "factory.ts": `${BUILDER} export const graph = () => builder;` });
    expect(await registry.build("factory", RUN)).toBe(await registry.build("factory", RUN));
  });

  it("is the default export when the entry names none", async () => {
    await using project = await tempProject({
      "agent.ts": `${BUILDER} export default builder;`,
      "langgraph.json": graphsOf({ agent: "./agent.ts" }),
    });
    const { registry } = await openProject(project.folder);
    expect(registry.find("agent")?.error).toBeUndefined();
  });
});

describe("a graph that cannot be loaded", () => {
  it("says why in its error, and the others go on", async () => {
    const { errors, registry } = await loadAll({
      "good.ts": `${BUILDER} export const graph = builder;`,
      "syntax.ts": "export const graph = ;",
      "throws.ts": 'throw new Error("no key in the environment");',
      "other.ts": "export const agent = 1, model = 2;",
      "text.ts": 'export const graph = "hello";',
      "list.ts": "export const graph = [];",
      "object.ts": "export const graph = { nodes: {} };",
      "compile.ts": 'export const graph = { compile() { throw new Error("unreachable node b"); } };',
      "python.py": "graph = 1",
      "rejected.ts": 'export const graph = Promise.reject(new Error("late failure"));',
    });
    expect(errors).toMatchObject({
      good: "ok",
      throws: "./throws.ts:graph: no key in the environment",
      other: './other.ts:graph: it has no export "graph" (exports: agent, model)',
      text: "./text.ts:graph: the export is a string, not a graph",
      list: "./list.ts:graph: the export is an array, not a graph",
      object: "./object.ts:graph: the export is a plain object, not a graph",
      compile: "./compile.ts:graph: unreachable node b",
      python: "./python.py:graph: it is a Python graph, and this runtime runs TypeScript and JavaScript graphs only",
      rejected: "./rejected.ts:graph: late failure",
    });
    expect(errors.syntax).toStartWith("./syntax.ts:graph: ");
    expect(errors.syntax).not.toBe("./syntax.ts:graph: ");
    expect(registry.find("good")?.error).toBeUndefined();
  });

  it("names the file that is not there", async () => {
    await using project = await tempProject({ "langgraph.json": graphsOf({ agent: "./src/nowhere.ts:graph" }) });
    const { registry } = await openProject(project.folder);
    expect(registry.find("agent")?.error).toBe(
      `./src/nowhere.ts:graph: there is no file ${project.folder}/src/nowhere.ts`,
    );
  });

  it("does not keep the others waiting for ever", async () => {
    const { errors } = await loadAll(
      {
        "stuck.ts": "await new Promise(() => {}); export const graph = 1;",
        "good.ts": `${BUILDER} export const graph = builder;`,
      },
      { loadTimeoutMs: 300 },
    );
    expect(errors).toEqual({ stuck: "./stuck.ts:graph: it did not finish loading within 0.3 s", good: "ok" });
  });

  it("is its run's own failure when only its factory fails", async () => {
    const source =
      'export class NoModel extends Error { name = "NoModel" }; export function graph() { throw new NoModel("which?"); }';
    const { registry } = await loadAll({ "factory.ts": source });
    await expect(registry.build("factory", RUN)).rejects.toMatchObject({ name: "NoModel", message: "which?" });
    await expect(registry.build("factory", { ...RUN, accessContext: "threads.read" })).rejects.toMatchObject({
      name: "RuntimeError",
      code: "unavailable",
      message: 'Graph "factory" could not be built: which?',
    });
  });
});

it("warns once of a graph that is compiled with a checkpointer of its own, and leaves it as it is", async () => {
  const { registry, logged } = await loadAll({
    "own.ts": `${BUILDER} import { MemorySaver } from "@langchain/langgraph"; export const graph = builder.compile({ checkpointer: new MemorySaver() });`,
    "lent.ts": `${BUILDER} export const graph = builder.compile({ checkpointer: true });`,
  });
  await registry.build("lent", RUN);
  const graph = (await registry.build("own", RUN)) as unknown as { checkpointer: object };
  await registry.build("own", RUN);
  expect(logged.map(({ message }) => message)).toEqual([
    'Graph "own" is compiled with a checkpointer of its own; this server\'s is used in its place',
  ]);
  expect(graph.checkpointer.constructor.name).toBe("MemorySaver");
});

it("resolves `paths` of the project's tsconfig.json", async () => {
  await using project = await tempProject({
    "src/agent.ts": `import { name } from "@app/names"; ${BUILDER} export const graph = { lg_is_pregel: true, name, builder };`,
    "lib/names.ts": 'export const name: string = "from the alias";',
    "tsconfig.json": JSON.stringify({ compilerOptions: { baseUrl: ".", paths: { "@app/*": ["./lib/*"] } } }),
    "langgraph.json": graphsOf({ agent: "./src/agent.ts:graph" }),
  });
  const { registry } = await openProject(project.folder);
  expect(registry.find("agent")?.error).toBeUndefined();
});
