import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fractal, stopAll } from "./fractal.ts";
import { engines, Project, post } from "./project.ts";

let project: Project;

function graphSaying(text: string): string {
  return `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { word } from "./word.ts";
const State = Annotation.Root({ said: Annotation<string>(), wait: Annotation<number>() });
async function speak({ wait }: typeof State.State) {
  if (wait) await new Promise((resolve) => setTimeout(resolve, wait));
  return { said: ${JSON.stringify(text)} + word };
}
export const graph = new StateGraph(State).addNode("speak", speak).addNode("rest", () => ({}))
  .addEdge(START, "speak").addEdge("speak", "rest").addEdge("rest", END).compile();
`;
}

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { speaker: "./src/speaker.ts:graph" } }));
  project.write("src/speaker.ts", graphSaying("one"));
  project.write("src/word.ts", 'export const word = "!";');
  project.write(".gitignore", "node_modules/\n");
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

async function ask(url: string): Promise<unknown> {
  return (await post(`${url}/runs/wait`, { assistant_id: "speaker", input: {} })).json();
}

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`fractal dev on ${name}`, () => {
    const dev = (...args: string[]) =>
      fractal(["dev", "-p", "0", ...args], { cwd: project.dir, ...engine, env: { LOG_JSON: "true", ...engine?.env } });

    it("serves the project's own graphs and nothing else, and keeps its data out of git", async () => {
      const url = await dev().url();
      const info = (await (await fetch(`${url}/info`)).json()) as { graphs: string[] };
      expect(info.graphs).toEqual(["speaker"]);
      expect(await ask(url)).toMatchObject({ said: "one!" });
      expect(readFileSync(join(project.dir, ".fractal", ".gitignore"), "utf8")).toBe("*\n");
      expect(readFileSync(join(project.dir, ".gitignore"), "utf8")).toBe("node_modules/\n");
    }, 30_000);

    it("reloads a changed graph and what it imports, on the same address", async () => {
      const server = dev();
      const url = await server.url();
      expect(await ask(url)).toMatchObject({ said: "one!" });
      project.write("src/speaker.ts", graphSaying("two"));
      await server.out.until(/"reloaded"/);
      expect(await ask(url)).toMatchObject({ said: "two!" });
      project.write("src/word.ts", 'export const word = "?";');
      await server.out.until(/"reloaded"/);
      expect(await ask(url)).toMatchObject({ said: "two?" });
    }, 60_000);

    it("goes on with the old configuration while the new one is wrong, and lists a graph that no longer loads", async () => {
      const server = dev();
      const url = await server.url();
      project.write("langgraph.json", "{ graphs");
      await server.out.until(/cannot start, going on with the old one/);
      expect(await ask(url)).toMatchObject({ said: "one!" });
      project.write(
        "langgraph.json",
        JSON.stringify({ graphs: { speaker: "./src/speaker.ts:graph", other: "./src/other.ts:graph" } }),
      );
      await server.out.until(/"reloaded"/);
      const { graph_details } = (await (await fetch(`${url}/info`)).json()) as {
        graph_details: { graph_id: string; error: string | null }[];
      };
      expect(graph_details.find(({ graph_id }) => graph_id === "other")?.error).toContain("no file");
    }, 60_000);

    it("lets a run under way go on after the reload without using an attempt", async () => {
      const server = dev();
      const url = await server.url();
      const thread = (await (await post(`${url}/threads`, {})).json()) as { thread_id: string };
      const run = (await (
        await post(`${url}/threads/${thread.thread_id}/runs`, { assistant_id: "speaker", input: { wait: 1_500 } })
      ).json()) as { run_id: string };
      project.write("src/word.ts", 'export const word = "?";');
      await server.out.until(/"reloaded"/);
      const joined = await (await fetch(`${url}/threads/${thread.thread_id}/runs/${run.run_id}/join`)).json();
      // The step that ran when the file changed was finished by the old code; only the rest came after it.
      expect(joined).toMatchObject({ said: "one!" });
      expect(await (await fetch(`${url}/threads/${thread.thread_id}/runs/${run.run_id}`)).json()).toMatchObject({
        status: "success",
      });
    }, 60_000);

    it("does not watch with --no-reload", async () => {
      const server = dev("--no-reload");
      const url = await server.url();
      project.write("src/speaker.ts", graphSaying("two"));
      expect(await ask(url)).toMatchObject({ said: "one!" });
      server.child.kill("SIGTERM");
      expect(await server.exit).toEqual([0, null]);
      expect(server.out.seen()).not.toContain("reloading");
    }, 30_000);
  });
}
