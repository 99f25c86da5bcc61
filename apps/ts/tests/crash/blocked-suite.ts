import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { once } from "node:events";
import { fractal, stopAll } from "../cli/fractal.ts";
import { type EngineChoice, Project, post } from "../cli/project.ts";
import { dropStorage, storageEnvironment } from "../servers/storage.ts";
import { eventually } from "./server.ts";

setDefaultTimeout(120_000);

const GRAPH = `
import { writeSync } from "node:fs";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
const State = Annotation.Root({ fault: Annotation<string>(), done: Annotation<boolean>() });
async function act({ fault }: typeof State.State) {
  writeSync(1, "step begins with " + fault + "\\n");
  if (fault === "exit") process.exit(0);
  if (fault === "loop") for (;;);
  return { done: true };
}
export const graph = new StateGraph(State).addNode("act", act).addEdge(START, "act").addEdge("act", END).compile();
`;
/** What becomes of a server whose graph ends the process, or blocks it. */
export function blockedSuite(name: string, engine: EngineChoice | undefined): void {
  describe.skipIf(engine === undefined)(`code of a graph that takes the process with it on ${name}`, () => {
    let project: Project;
    let storage: Record<string, string>;

    beforeEach(async () => {
      storage = await storageEnvironment();
      project = new Project();
      project.write("langgraph.json", JSON.stringify({ graphs: { faulty: "./faulty.ts:graph" } }));
      project.write("faulty.ts", GRAPH);
    });

    afterEach(async () => {
      await stopAll();
      await dropStorage(storage);
      project.remove();
    });

    const start = (env: Record<string, string> = {}, command = "start") =>
      fractal([command, "-p", "0"], {
        cwd: project.dir,
        ...engine,
        env: { LOG_JSON: "true", FRACTAL_MAIN_STALL_SECONDS: "5", ...storage, ...engine?.env, ...env },
      });
    const begin = (url: string, fault: string) => post(`${url}/runs`, { assistant_id: "faulty", input: { fault } });

    for (const command of ["start", "dev"]) {
      it(`restarts (${command}) after process.exit(0), says why, and gives the run up in the end`, async () => {
        const server = start({ FRACTAL_MAX_ATTEMPTS: "2" }, command);
        const url = await server.url();
        const { run_id, thread_id } = (await (await begin(url, "exit")).json()) as Record<string, string>;
        const line = JSON.parse(await server.out.until(/process\.exit called/)) as object;
        expect(line).toMatchObject({ level: "fatal", code: 0 });
        expect(await server.err.until(/starting it again/)).toContain("The server ended unexpectedly (exit code 1)");
        const run = await eventually(
          async () => {
            const answer = await fetch(`${url}/threads/${thread_id}/runs/${run_id}`).catch(() => undefined);
            return answer?.ok === true ? ((await answer.json()) as { status: string }) : undefined;
          },
          (found) => found !== undefined && found.status === "error",
        );
        expect(run?.status).toBe("error");
        expect(await (await post(`${url}/runs/wait`, { assistant_id: "faulty", input: {} })).json()).toMatchObject({
          done: true,
        });
        server.child.kill("SIGTERM");
        expect(await server.exit).toEqual([0, null]);
      });
    }

    it("ends itself after FRACTAL_MAIN_STALL_SECONDS of an endless loop, and is started again", async () => {
      const server = start({ FRACTAL_MAX_ATTEMPTS: "1" });
      const url = await server.url();
      await begin(url, "loop").catch(() => undefined);
      expect(await server.err.until(/blocked/)).toContain("longer than FRACTAL_MAIN_STALL_SECONDS (5) allows");
      expect(await server.err.until(/starting it again/)).toContain("The server ended unexpectedly (SIGKILL)");
      expect(await server.url()).toBe(url);
      expect((await fetch(`${url}/ready`)).status).toBe(200);
    });

    it("is killed in an endless loop when its grace is over after SIGTERM, and the next start works", async () => {
      const env = {
        BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS: "0",
        FRACTAL_MAIN_STALL_SECONDS: "300",
        FRACTAL_MAX_ATTEMPTS: "1",
      };
      const server = start(env);
      void begin(await server.url(), "loop").catch(() => undefined);
      await server.out.until(/step begins with loop/);
      server.child.kill("SIGTERM");
      expect(await server.exit).toEqual([null, "SIGKILL"]);
      expect(server.err.seen()).toContain("has not stopped in time");
      const next = start(env);
      expect((await fetch(`${await next.url()}/ready`)).status).toBe(200);
      next.child.kill("SIGTERM");
      expect(await next.exit).toEqual([0, null]);
    });

    it("leaves the data directory to the next start when only its supervisor was killed in an endless loop", async () => {
      const env = { FRACTAL_MAX_ATTEMPTS: "1", FRACTAL_MAIN_STALL_SECONDS: "300" };
      const server = start(env);
      void begin(await server.url(), "loop").catch(() => undefined);
      await server.out.until(/step begins with loop/);
      server.child.kill("SIGKILL");
      expect(await server.err.until(/blocked/)).toContain("its supervisor is gone");
      if (server.child.stdout?.closed === false) await once(server.child.stdout, "close");
      const next = start(env);
      expect((await fetch(`${await next.url()}/ready`)).status).toBe(200);
    });
  });
}
