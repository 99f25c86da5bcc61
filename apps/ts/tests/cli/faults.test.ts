import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { fractal, stopAll } from "./fractal.ts";
import { engines, Project, post } from "./project.ts";

const GRAPH = `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({ fault: Annotation<string>(), done: Annotation<boolean>() });
async function act({ fault }: typeof State.State) {
  if (fault === "reject") void Promise.reject(new Error("dropped promise"));
  if (fault === "throw") setTimeout(() => { throw new Error("thrown in a timer"); }, 10);
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { done: true };
}
export const graph = new StateGraph(State).addNode("act", act).addEdge(START, "act").addEdge("act", END).compile();
`;
let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { faulty: "./faulty.ts:graph" } }));
  project.write("faulty.ts", GRAPH);
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`faults of user code on ${name}`, () => {
    const start = () =>
      fractal(["start", "-p", "0"], { cwd: project.dir, ...engine, env: { LOG_JSON: "true", ...engine?.env } });

    it("logs a rejection that nobody awaits and goes on", async () => {
      const server = start();
      const url = await server.url();
      const answer = await post(`${url}/runs/wait`, { assistant_id: "faulty", input: { fault: "reject" } });
      expect(await answer.json()).toMatchObject({ done: true });
      const line = JSON.parse(await server.out.until(/dropped promise/)) as Record<string, unknown>;
      expect(line).toMatchObject({ level: "error", unhandled_rejections: 1 });
      // Bun has forgotten the async context when it reports a rejection.
      if (name === "Node") expect(line.run_id).toBeString();
      expect((await fetch(`${url}/ok`)).status).toBe(200);
    }, 30_000);

    it("drains and starts again after an exception that nobody catches, and loses no run", async () => {
      const server = start();
      const url = await server.url();
      const thread = (await (await post(`${url}/threads`, {})).json()) as { thread_id: string };
      const runs = `${url}/threads/${thread.thread_id}/runs`;
      const run = (await (await post(runs, { assistant_id: "faulty", input: { fault: "throw" } })).json()) as {
        run_id: string;
      };
      expect(await server.url()).toBe(url);
      expect(server.err.seen()).toContain("exit code 1");
      const line = JSON.parse(server.out.seen().match(/^.*thrown in a timer.*$/m)?.[0] ?? "{}") as object;
      expect(line).toMatchObject({ level: "fatal", run_id: run.run_id });
      const joined = await fetch(`${runs}/${run.run_id}/join`);
      expect(await joined.json()).toMatchObject({ done: true });
    }, 30_000);
  });
}
