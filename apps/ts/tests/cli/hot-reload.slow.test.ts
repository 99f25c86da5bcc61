import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { request } from "node:http";
import { fractal, shim, stopAll } from "./fractal.ts";
import { type EngineChoice, engines, Project, post } from "./project.ts";

setDefaultTimeout(240_000);

const NODE_MS = 25_000;
const REQUESTS = 1_000;

function slow(code: string): string {
  return `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({ said: Annotation<string>() });
const think = async () => {
  await new Promise((resolve) => setTimeout(resolve, ${NODE_MS}));
  return { said: ${JSON.stringify(code)} };
};
export const graph = new StateGraph(State).addNode("think", think).addEdge(START, "think").addEdge("think", END).compile();
`;
}

let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { slow: "./slow.ts:graph" } }));
  project.write("slow.ts", slow("old"));
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

/** On a connection of its own: status, or the system's error. */
function once(url: string): Promise<number | string | undefined> {
  return new Promise((resolve) => {
    const sent = request(url, { agent: false }, (answer) => {
      answer.resume();
      answer.once("end", () => resolve(answer.statusCode));
      answer.once("error", (error) => resolve(error.message));
    });
    sent.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    sent.end();
  });
}

const choices: [string, EngineChoice | undefined][] = [
  ...engines,
  // Here the supervisor is a Bun too.
  ["Bun alone", { command: [process.execPath, shim] }],
];

for (const [name, engine] of choices) {
  describe.skipIf(engine === undefined)(
    `a reload under a node that takes ${NODE_MS / 1_000} s (dev on ${name})`,
    () => {
      it(`answers ${REQUESTS} requests that come meanwhile, and the waits that were open`, async () => {
        const server = fractal(["dev", "-p", "0", "--no-browser"], {
          cwd: project.dir,
          ...engine,
          env: { LOG_JSON: "true", ...engine?.env },
        });
        const url = await server.url();
        const thread = (await (await post(`${url}/threads`, {})).json()) as { thread_id: string };
        const wait = post(`${url}/threads/${thread.thread_id}/runs/wait`, { assistant_id: "slow", input: {} });
        while (((await (await fetch(`${url}/threads/${thread.thread_id}/runs`)).json()) as []).length === 0);
        project.write("slow.ts", slow("new"));
        await server.out.until(/waiting for runs to finish their step/);
        let reloaded = false;
        const line = server.out.until(/"reloaded"/).finally(() => {
          reloaded = true;
        });
        // From before the swap until after it; those of the swap itself are held, so only so many are open at a time.
        const counts = new Map<number | string | undefined, number>();
        let sent = 0;
        const client = async () => {
          while (sent < REQUESTS || !reloaded) {
            sent += 1;
            const outcome = await once(`${url}/info`);
            counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
          }
        };
        await Promise.all(Array.from({ length: 50 }, client));
        expect([...counts.keys()]).toEqual([200]);
        expect(counts.get(200)).toBeGreaterThanOrEqual(REQUESTS);
        expect(JSON.parse(await line)).toMatchObject({ held: 50 });
        expect(await (await wait).json()).toEqual({ said: "new" });
        const [run] = (await (await fetch(`${url}/threads/${thread.thread_id}/runs`)).json()) as { status: string }[];
        expect(run?.status).toBe("success");
      });
    },
  );
}
