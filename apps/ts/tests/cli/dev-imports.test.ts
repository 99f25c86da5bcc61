import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fractal, stopAll } from "./fractal.ts";
import { engines, Project, post } from "./project.ts";

setDefaultTimeout(90_000);

let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("package.json", JSON.stringify({ private: true, workspaces: ["apps/*", "packages/*"] }));
  project.write("apps/agent/langgraph.json", JSON.stringify({ graphs: { speaker: "./src/speaker.ts:graph" } }));
  project.write(
    "apps/agent/src/speaker.ts",
    `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { word } from "shared-words";
import { mark } from "../../../lib/mark.ts";
const State = Annotation.Root({ said: Annotation<string>() });
export const graph = new StateGraph(State).addNode("speak", () => ({ said: word + mark }))
  .addEdge(START, "speak").addEdge("speak", END).compile();
`,
  );
  project.write(
    "packages/words/package.json",
    JSON.stringify({ name: "shared-words", type: "module", main: "main.ts" }),
  );
  project.write("packages/words/main.ts", 'export { word } from "./lib/word.ts";');
  project.write("packages/words/lib/word.ts", 'export const word: string = "one";');
  project.write("packages/other/main.ts", "export {};");
  project.write("lib/mark.ts", 'export const mark: string = "!";');
  mkdirSync(join(project.dir, "node_modules"));
  symlinkSync(join(project.dir, "packages/words"), join(project.dir, "node_modules/shared-words"), "dir");
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`fractal dev on ${name}`, () => {
    it("reloads what a graph imports from a workspace package and from outside of its project, and nothing else", async () => {
      const server = fractal(["dev", "-p", "0"], {
        cwd: join(project.dir, "apps/agent"),
        ...engine,
        env: { LOG_JSON: "true", ...engine?.env },
      });
      const url = await server.url();
      const ask = async () => (await post(`${url}/runs/wait`, { assistant_id: "speaker", input: {} })).json();
      expect(await ask()).toEqual({ said: "one!" });
      project.write("packages/other/main.ts", "export const a = 1;");
      project.write("packages/words/data.json", "{}");
      project.write("packages/words/lib/word.ts", "export const word: string = ;");
      expect(await server.out.until(/a file has changed/)).toContain("words/lib/word.ts");
      await server.out.until(/"reloaded"/);
      // The mistake is watched as well, so that its repair is seen.
      project.write("packages/words/lib/word.ts", 'export const word: string = "two";');
      await server.out.until(/"reloaded"/);
      expect(await ask()).toEqual({ said: "two!" });
      project.write("lib/mark.ts", 'export const mark: string = "?";');
      await server.out.until(/"reloaded"/);
      expect(await ask()).toEqual({ said: "two?" });
    });
  });
}
