import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { fractal, stopAll } from "./fractal.ts";
import { engines, Project, post } from "./project.ts";

const GRAPH = `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({ done: Annotation<boolean>() });
async function act() {
  console.log("step begins");
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  console.log("step ends");
  return { done: true };
}
export const graph = new StateGraph(State).addNode("act", act).addEdge(START, "act").addEdge("act", END).compile();
`;
let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { slow: "./slow.ts:graph" } }));
  project.write("slow.ts", GRAPH);
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`the grace period of a stop on ${name}`, () => {
    const start = (seconds: string) =>
      fractal(["start", "-p", "0"], {
        cwd: project.dir,
        ...engine,
        env: { BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS: seconds, ...engine?.env },
      });

    /** Stops the server while the step is at work, and starts it again. How often the step began, and what became of the run. */
    async function stoppedAmid(seconds: string) {
      const first = start(seconds);
      const url = await first.url();
      const { thread_id } = (await (await post(`${url}/threads`, {})).json()) as { thread_id: string };
      const runs = `/threads/${thread_id}/runs`;
      const created = await post(url + runs, { assistant_id: "slow", input: { done: false } });
      const { run_id } = (await created.json()) as { run_id: string };
      await first.out.until(/step begins/);
      first.child.kill("SIGTERM");
      expect(await first.exit).toEqual([0, null]);
      const second = start(seconds);
      const run = `${await second.url()}${runs}/${run_id}`;
      expect(await (await fetch(`${run}/join`)).json()).toEqual({ done: true });
      const begun = `${first.out.seen()}${second.out.seen()}`.match(/step begins/g)?.length;
      return { begun, run: (await (await fetch(run)).json()) as { status: string } };
    }

    it("is the runs' own: a step that ends within it is not repeated", async () => {
      const { begun, run } = await stoppedAmid("2");
      expect([begun, run.status]).toEqual([1, "success"]);
    }, 30_000);

    it("ends: a step that is longer is repeated after the next start", async () => {
      const { begun, run } = await stoppedAmid("0.1");
      expect([begun, run.status]).toEqual([2, "success"]);
    }, 30_000);
  });
}
