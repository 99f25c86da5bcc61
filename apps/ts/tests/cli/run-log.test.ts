import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { fractal, stopAll } from "./fractal.ts";
import { engines, Project, post } from "./project.ts";

setDefaultTimeout(60_000);

let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { sorter: "./sorter.ts:graph" } }));
  project.write(
    "sorter.ts",
    `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { z } from "zod";
const State = Annotation.Root({ label: Annotation<unknown>() });
const Label = z.object({ user: z.object({ name: z.string() }) });
export const graph = new StateGraph(State)
  .addNode("prepare", () => ({}))
  .addNode("classify", ({ label }) => { Label.parse(label); return {}; })
  .addEdge(START, "prepare").addEdge("prepare", "classify").addEdge("classify", END).compile();
`,
  );
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`the log of runs and requests (dev on ${name})`, () => {
    const dev = (env: Record<string, string>) =>
      fractal(["dev", "-p", "0", "--no-browser"], { cwd: project.dir, ...engine, env: { ...env, ...engine?.env } });
    const run = (url: string, label: unknown) =>
      post(`${url}/runs/wait`, { assistant_id: "sorter", input: { label } }).then((answer) => answer.json());

    it("has one line for every run at info, the place of a schema's refusal, and nothing of requests", async () => {
      const server = dev({ LOG_JSON: "false" });
      const url = await server.url();
      await run(url, { user: { name: "x" } });
      const line = await server.out.until(/run finished/);
      expect(line).toMatch(/ info {2}run finished sorter success \d+ ms thread=[\w-]{36} run=[\w-]{36}$/);
      await run(url, { user: { name: 1 } });
      expect(await server.out.until(/run failed/)).toContain("node=classify");
      expect(await server.out.until(/ZodError/)).toMatch(/ZodError: user\.name: .*string/);
      expect(await server.out.until(/run finished/)).toMatch(/run finished sorter error \d+ ms/);
      expect(server.out.seen()).not.toContain("request answered");
    });

    it("has a line for every request at debug, with the client that the listener of dev saw", async () => {
      const server = dev({ LOG_JSON: "true", LOG_LEVEL: "debug" });
      const url = await server.url();
      await fetch(`${url}/assistants/nope?token=secret-in-query`);
      const line = await server.out.until(/request answered/);
      expect(JSON.parse(line)).toMatchObject({
        level: "debug",
        method: "GET",
        path: "/assistants/nope",
        status: expect.any(Number),
        ms: expect.any(Number),
        client: expect.stringMatching(/127\.0\.0\.1|::1/),
      });
      expect(line).not.toContain("secret-in-query");
    });
  });
}
