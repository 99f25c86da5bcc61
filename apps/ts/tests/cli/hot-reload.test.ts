import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { fractal, shim, stopAll } from "./fractal.ts";
import { type EngineChoice, engines, Project, post } from "./project.ts";

setDefaultTimeout(90_000);

/** Two steps of a while each; which code ran stands in the state. */
function walker(code: string): string {
  return `
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({
  path: Annotation<string[]>({ reducer: (path, more) => [...path, ...more], default: () => [] }),
});
const walk = (node: string) => async (_: unknown, { signal }: { signal?: AbortSignal }) => {
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  return { path: [node + "${code}"] };
};
export const graph = new StateGraph(State).addNode("a", walk("a")).addNode("b", walk("b"))
  .addEdge(START, "a").addEdge("a", "b").addEdge("b", END).compile();
`;
}

/** Frames of an event stream that was read to its end. */
function framesOf(text: string): { id: string | undefined; event: string; data: Record<string, unknown> }[] {
  return text.split("\n\n").flatMap((frame) => {
    const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(frame)?.[1];
    const event = field("event");
    return event === undefined ? [] : [{ id: field("id"), event, data: JSON.parse(field("data") ?? "null") }];
  });
}

let project: Project;

beforeEach(() => {
  project = new Project();
  project.write("langgraph.json", JSON.stringify({ graphs: { walker: "./walker.ts:graph" } }));
  project.write("walker.ts", walker("1"));
});

afterEach(async () => {
  await stopAll();
  project.remove();
});

const choices: [string, EngineChoice | undefined][] = [
  ...engines,
  // Here the supervisor is a Bun too.
  ["Bun alone", { command: [process.execPath, shim] }],
];

for (const [name, engine] of choices) {
  describe.skipIf(engine === undefined)(`a reload during requests (dev on ${name})`, () => {
    const dev = () =>
      fractal(["dev", "-p", "0", "--no-browser"], {
        cwd: project.dir,
        ...engine,
        env: { LOG_JSON: "true", ...engine?.env },
      });
    const started = (url: string, threadId: string) =>
      fetch(`${url}/threads/${threadId}/runs`).then(async (answer) => ((await answer.json()) as []).length > 0);
    const until = async (condition: () => Promise<boolean>) => {
      while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const newThread = async (url: string) =>
      ((await (await post(`${url}/threads`, {})).json()) as { thread_id: string }).thread_id;

    it("answers open waits from the new server, of a thread's run and of a stateless one", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      const body = { assistant_id: "walker", input: {} };
      const waits = [post(`${url}/threads/${threadId}/runs/wait`, body), post(`${url}/runs/wait`, body)];
      await until(() => started(url, threadId));
      project.write("walker.ts", walker("2"));
      const answers = await Promise.all(waits.map(async (wait) => (await wait).json()));
      expect(answers[0]).toEqual({ path: ["a1", "b2"] });
      expect(answers[1]).toEqual({ path: [expect.any(String), "b2"] });
      await server.out.until(/"reloaded"/);
      expect(server.out.seen()).toMatch(/"waiting for runs to finish their step"/);
    });

    it("goes on with an open stream, each event once", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      const body = { assistant_id: "walker", input: {}, stream_mode: "updates" };
      const stream = await post(`${url}/threads/${threadId}/runs/stream`, body);
      project.write("walker.ts", walker("2"));
      const frames = framesOf(await stream.text());
      const updates = frames.filter(({ event }) => event === "updates").map(({ data }) => data);
      expect(updates).toEqual([{ a: { path: ["a1"] } }, { b: { path: ["b2"] } }]);
      const ids = frames.flatMap(({ id }) => id ?? []);
      expect(new Set(ids).size).toBe(ids.length);
    });

    it("refuses no request meanwhile, and tells how many waited", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      void post(`${url}/threads/${threadId}/runs`, { assistant_id: "walker", input: {} });
      await until(() => started(url, threadId));
      project.write("walker.ts", walker("2"));
      await server.out.until(/waiting for runs/);
      const statuses = await Promise.all(Array.from({ length: 20 }, () => fetch(`${url}/info`).then((a) => a.status)));
      expect(new Set(statuses)).toEqual(new Set([200]));
      const line = await server.out.until(/"reloaded"/);
      expect(JSON.parse(line)).toMatchObject({ held: 20, ms: expect.any(Number) });
    });

    it("cancels a run whose client left while the server was replaced", async () => {
      const server = dev();
      const url = await server.url();
      const threadId = await newThread(url);
      const client = new AbortController();
      const body = { assistant_id: "walker", input: {}, on_disconnect: "cancel" };
      const wait = fetch(`${url}/threads/${threadId}/runs/wait`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: client.signal,
      }).catch(() => undefined);
      await until(() => started(url, threadId));
      project.write("walker.ts", walker("2"));
      await server.out.until(/waiting for runs/);
      client.abort();
      await wait;
      await server.out.until(/"reloaded"/);
      const statusOf = async () =>
        ((await (await fetch(`${url}/threads/${threadId}/runs`)).json()) as { status: string }[])[0]?.status;
      await until(async () => (await statusOf()) !== "running" && (await statusOf()) !== "pending");
      expect(await statusOf()).toBe("interrupted");
    });

    it("goes on with a wait after a crash, and answers 503 with the reason when no server can be started", async () => {
      const server = dev();
      const url = await server.url();
      const info = (await (await fetch(`${url}/info`)).json()) as object;
      expect(info).toBeObject();
      project.write("walker.ts", `process.exit(3);`);
      await server.err.until(/ended unexpectedly.*starting it again in/);
      const refused = await fetch(`${url}/info`);
      expect(refused.status).toBe(503);
      expect(await refused.json()).toEqual({ detail: expect.stringMatching(/ended unexpectedly \(exit code 1\)/) });
      project.write("walker.ts", walker("3"));
      await until(async () => (await fetch(`${url}/info`)).status === 200);
      expect(await (await post(`${url}/runs/wait`, { assistant_id: "walker", input: {} })).json()).toEqual({
        path: ["a3", "b3"],
      });
    });
  });
}
