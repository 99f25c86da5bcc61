import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { fractal, stopAll } from "../cli/fractal.ts";
import { engines, Project, post } from "../cli/project.ts";
import { SseReader } from "../runs/sse-client.ts";
import { streamWithSdk } from "./sdk-client.ts";

setDefaultTimeout(60_000);

/** a, b, c in a row, each a while; or the same without b. Which code ran stands in the path. */
function walker(code: string, nodes: string[]): string {
  const edges = ["START", ...nodes.map((node) => `"${node}"`), "END"];
  return `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({
  path: Annotation<string[]>({ reducer: (path, more) => [...path, ...more], default: () => [] }),
});
const walk = (node: string) => async () => {
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  return { path: [node + "${code}"] };
};
export const graph = new StateGraph(State)
  ${nodes.map((node) => `.addNode("${node}", walk("${node}"))`).join("\n  ")}
  ${edges
    .slice(1)
    .map((to, i) => `.addEdge(${edges[i]}, ${to})`)
    .join("\n  ")}
  .compile();
`;
}

let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { walker: "./walker.ts:graph" } }));
  project.write("walker.ts", walker("1", ["a", "b", "c"]));
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`a graph's code that changes during a run (dev on ${name})`, () => {
    const dev = () =>
      fractal(["dev", "-p", "0", "--no-browser"], {
        cwd: project.dir,
        ...engine,
        env: { LOG_JSON: "true", ...engine?.env },
      });
    const newThread = async (url: string) =>
      ((await (await post(`${url}/threads`, {})).json()) as { thread_id: string }).thread_id;

    it("lets it go on with the new code: no attempt is used, no step repeated, and the SDK sees it end once", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      const payload = { input: {}, streamMode: "updates", streamResumable: true };
      const seen: string[] = [];
      const attempts: number[] = [];
      for await (const { event, data } of streamWithSdk(url, { threadId, assistantId: "walker", payload })) {
        if (event === "metadata") attempts.push(data.attempt);
        if (event !== "updates") continue;
        seen.push(...Object.values(data as Record<string, { path: string[] }>).flatMap(({ path }) => path));
        // While b runs.
        if (seen.length === 1) project.write("walker.ts", walker("2", ["a", "b", "c"]));
      }
      expect(seen).toEqual(["a1", "b1", "c2"]);
      expect(attempts).toEqual([1, 1]);
      const thread = (await (await fetch(`${url}/threads/${threadId}`)).json()) as { status: string };
      expect(thread.status).toBe("idle");
      expect(server.out.seen()).toContain('"reloaded"');
    });

    it("fails it by name when the node it would go on with has vanished", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      const body = { assistant_id: "walker", input: {}, stream_mode: "updates" };
      const stream = new SseReader(await post(`${url}/threads/${threadId}/runs/stream`, body));
      const [metadata] = await stream.readUntil(({ events }) => events.some(({ event }) => event === "updates"));
      // While b runs, so that c is next.
      project.write("walker.ts", walker("2", ["a", "b"]));
      await server.out.until(/"reloaded"/);
      const run = `${url}/threads/${threadId}/runs/${metadata?.data.run_id}`;
      const joined = await (await fetch(`${run}/join`)).json();
      expect(joined).toEqual({
        __error__: {
          error: "NodeVanished",
          message: 'The run was about to enter node "c", which graph "walker" no longer has',
        },
      });
      const thread = (await (await fetch(`${url}/threads/${threadId}`)).json()) as Record<string, unknown>;
      expect([thread.status, thread.values]).toEqual(["error", { path: ["a1", "b1"] }]);
    });
  });
}
