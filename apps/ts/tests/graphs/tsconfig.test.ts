import { describe, expect, it } from "bun:test";
import { probe } from "./project.ts";
import { graphsOf, tempProject } from "./temp-project.ts";

const node = process.env.FRACTAL_TEST_NODE;
const ENGINES = [
  { name: "Bun", command: process.execPath as string | undefined },
  { name: "Node (FRACTAL_TEST_NODE)", command: node },
];

/** A graph whose module answers with the value of `expression`. */
const graph = (head: string, expression: string) => `
  import { Annotation, StateGraph } from "@langchain/langgraph";
  ${head}
  const compiled = new StateGraph(Annotation.Root({ x: Annotation<number> }))
    .addNode("a", () => ({})).addEdge("__start__", "a").compile();
  export const graph = Object.assign(compiled, { ask: async () => ${expression} });
`;

/** In a workspace: the package of the graphs has a tsconfig that extends another, the folder of the library has none. */
async function answers(command: string, given: { extends: unknown; files: Record<string, string>; graph: string }) {
  await using project = await tempProject({
    ...given.files,
    "apps/agent/tsconfig.json": `{ "extends": ${JSON.stringify(given.extends)}, /* a comment */ "compilerOptions": {}, }`,
    "apps/agent/src/graph.ts": given.graph,
    "langgraph.json": graphsOf({ agent: "./apps/agent/src/graph.ts:graph" }),
  });
  const { graphs } = await probe(command, project.folder);
  expect(graphs.agent?.error).toBeUndefined();
  return graphs.agent?.answer;
}

const PATHS = {
  paths: { "@lib/*": ["./missing/*", "./lib/*"], "@lib/special/*": ["./lib/special-*"], exact: ["./lib/exact"] },
};
const DECORATORS = { experimentalDecorators: true, emitDecoratorMetadata: true };
const base = (compilerOptions: object) => JSON.stringify({ compilerOptions });

for (const { name, command = "" } of ENGINES) {
  describe.skipIf(command === "")(`a tsconfig.json that extends another, on ${name}`, () => {
    const library = {
      "lib/text.ts": 'import { more } from "@lib/deep/more"; export const text = "text and " + more;',
      "lib/deep/more.ts": 'import exact from "exact"; export const more: string = exact;',
      "lib/exact.ts": 'export default "the exact one";',
      "lib/special-case.ts": 'export const special = "a special case";',
    };
    const imports = graph(
      `import { text } from "@lib/text";
       import type { Nothing } from "@lib/not-there";
       export { special } from '@lib/special/case';`,
      `[text, (await import("@lib/special/case")).special]`,
    );
    const found = ["text and the exact one", "a special case"];

    it("gives its paths to the files that the graph imports from folders without one", async () => {
      const forms: [unknown, Record<string, string>][] = [
        ["../../tsconfig.base.json", { "tsconfig.base.json": base(PATHS) }],
        ["../../tsconfig.base", { "tsconfig.base.json": base({ baseUrl: ".", ...PATHS }) }],
        [["../../none.json", "../../paths.json"], { "none.json": base({}), "paths.json": base(PATHS) }],
        [
          "./config/tsconfig.json",
          {
            "apps/agent/config/tsconfig.json": JSON.stringify({ extends: "../../../tsconfig.base.json" }),
            "tsconfig.base.json": base(PATHS),
          },
        ],
      ];
      for (const [extended, files] of forms) {
        const given = { extends: extended, files: { ...library, ...files }, graph: imports };
        expect(await answers(command, given)).toEqual(found);
      }
    });

    it("turns on legacy decorators, as TypeScript means them", async () => {
      const files = {
        "tsconfig.base.json": base({ ...DECORATORS, ...PATHS }),
        "lib/decorated.ts": `
          import type { Shape } from "./shape.ts";
          export const seen: unknown[] = [];
          Reflect.metadata = (kind, types) => (target, key) =>
            void (kind === "design:paramtypes" && seen.push([key ?? "class", types.map((type) => type.name)]));
          export function field(target: any, key: string, descriptor?: unknown) {
            seen.push([key, typeof descriptor]);
            Object.defineProperty(target, key, {
              get() { return "got " + this["_" + key]; },
              set(value) { this["_" + key] = value; },
            });
          }
          export const mark = (text: string) => (target: any, key?: string) => void seen.push([text, key ?? "class"]);
          const inject = (_: any, key: string | undefined, index: number) => void seen.push(["parameter", index]);
          const shout = (_: any, __: string, descriptor: PropertyDescriptor) => {
            const { value } = descriptor;
            descriptor.value = function (...given: any[]) { return value.apply(this, given).toUpperCase(); };
          };
          class Service {}
          @mark("outer") export class Decorated {
            @field name = "x";
            @mark("later") later!: string;
            @mark("static") static count = 1;
            plain = this.name + "!";
            constructor(@inject private readonly service: Service, shape?: Shape) {}
            /** @mark of a comment */
            @shout greet(to: string) { return "hi " + to; }
          }
          export const made = new Decorated(new Service());
        `,
        "lib/shape.ts": "export interface Shape { a: 1 }",
      };
      const given = {
        extends: "../../tsconfig.base.json",
        files,
        graph: graph(
          'import { made, seen, Decorated } from "@lib/decorated";',
          "[made.name, made.plain, made.greet('you'), Object.keys(made).includes('name'), Decorated.count, seen]",
        ),
      };
      const [own, plain, greeting, isOwn, count, seen] = (await answers(command, given)) as unknown[];
      expect([own, plain, greeting, isOwn, count]).toEqual(["got x", "got x!", "HI YOU", false, 1]);
      for (const call of [
        ["name", "undefined"],
        ["later", "later"],
        ["static", "count"],
        ["outer", "class"],
        ["parameter", 0],
        ["class", ["Service", "Object"]],
        ["greet", ["String"]],
      ]) {
        expect(seen).toContainEqual(call);
      }
    });
  });
}
