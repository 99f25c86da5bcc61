import { describe, expect, it } from "bun:test";
import { join } from "node:path";
import { FIXTURES, probe } from "./project.ts";
import { graphsOf, tempProject } from "./temp-project.ts";

const node = process.env.FRACTAL_TEST_NODE;
const ENGINES = [
  { name: "Bun", command: process.execPath as string | undefined },
  { name: "Node (FRACTAL_TEST_NODE)", command: node },
];

const GRAPH = `
import { Command, StateGraph } from "@langchain/langgraph";
import { HumanMessage } from "@langchain/core/messages";
import { z } from "zod";
import { counter } from "../shared/counter";
import { text } from "@names/text";
enum Kind { Own = "own" }
const builder = new StateGraph(z.object({ kind: z.string() })).addNode("a", async () => ({ kind: Kind.Own })).addEdge("__start__", "a");
const compiled = builder.compile();
export const graph = Object.assign(compiled, {
  Command, HumanMessage, shared: ++counter.loads, alias: text, ask: async () => compiled.invoke({ kind: "" }),
});
`;

for (const { name, command } of ENGINES) {
  describe.skipIf(command === undefined)(`user graphs on ${name}`, () => {
    it("are TypeScript with enums, imports without extension and aliases, on one copy of each package", async () => {
      await using project = await tempProject({
        "one/agent.ts": GRAPH,
        "two/agent.ts": GRAPH,
        "shared/counter.ts": "export const counter: { loads: number } = { loads: 0 };",
        "names/text.ts": 'export const text: string = "from the alias";',
        "tsconfig.json": JSON.stringify({ compilerOptions: { baseUrl: ".", paths: { "@names/*": ["./names/*"] } } }),
        "langgraph.json": graphsOf({ one: "./one/agent.ts:graph", two: "./two/agent.ts:graph" }),
      });
      const { graphs } = await probe(command ?? "", project.folder);
      for (const id of ["one", "two"]) {
        expect(graphs[id]).toMatchObject({
          sameCommand: true,
          sameMessage: true,
          alias: "from the alias",
          answer: { kind: "own" },
          schema: { properties: { kind: { type: "string" } } },
        });
      }
      // A module that both graphs import is loaded once for both.
      expect([graphs.one?.shared, graphs.two?.shared].sort()).toEqual([1, 2]);
    });

    it("with a syntax error are named with its file and line, their own or one that they import", async () => {
      await using project = await tempProject({
        "own.ts": "export const a = 1;\nexport const graph = ;\n",
        "imports.ts": 'export { graph } from "./lib/twice.ts";',
        "lib/twice.ts": "\n\nexport const graph = new Map({;",
        "throws.ts": "throw null;",
        "langgraph.json": graphsOf({
          own: "./own.ts:graph",
          imports: "./imports.ts:graph",
          throws: "./throws.ts:graph",
        }),
      });
      const { graphs } = await probe(command ?? "", project.folder);
      expect(graphs.own?.error).toMatch(/^\.\/own\.ts:graph: \w.* \(own\.ts:2\)$/);
      expect(graphs.imports?.error).toMatch(/^\.\/imports\.ts:graph: \w.* \(lib\/twice\.ts:3\)/);
      expect(graphs.throws?.error).toBe("./throws.ts:graph: null");
    });

    it("may throw what langgraph cannot mark", async () => {
      await using project = await tempProject({
        "agent.ts": `
import { Annotation, StateGraph } from "@langchain/langgraph";
const thrown: unknown[] = ["just text", 42, null, Object.freeze(new RangeError("frozen"))];
const compiled = new StateGraph(Annotation.Root({ at: Annotation<number> }))
  .addNode("a", async ({ at }) => { throw thrown[at]; }).addEdge("__start__", "a").compile();
const told = (at: number) => compiled.invoke({ at }).catch((error) => String(error));
export const graph = Object.assign(compiled, { ask: () => Promise.all(thrown.map((_, at) => told(at))) });
`,
        "langgraph.json": graphsOf({ agent: "./agent.ts:graph" }),
      });
      const { graphs } = await probe(command ?? "", project.folder);
      expect(graphs.agent?.answer).toEqual([
        "Error: just text",
        "Error: 42",
        "Error: The graph threw null",
        "RangeError: frozen",
      ]);
    });

    it("of the example project load, and the broken one is named", async () => {
      const { engine, graphs } = await probe(command ?? "", join(FIXTURES, "langgraph-project"));
      expect(name.toLowerCase()).toStartWith(engine);
      const broken = Object.entries(graphs).filter(([, graph]) => graph.error !== undefined);
      expect(broken.map(([id]) => id)).toEqual(["broken"]);
      expect(broken[0]?.[1].error).toContain("a-package-that-is-not-installed");
    });
  });
}
