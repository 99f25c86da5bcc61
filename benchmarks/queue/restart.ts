import { call, createThread, postJson, text } from "../driver/api.ts";
import type { Target } from "../driver/scenarios.ts";
import { PAUSE_MS } from "../graph/script.ts";
import { treeRows } from "../servers/proc.ts";
import { type ServerSpec, start } from "../servers/spawned.ts";

/** A run that was cut off waits for the end of a lease (15 s by default) and the next sweep. */
const PATIENCE_MS = 90_000;
const LOOK_MS = 10;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const begun = performance.now(); !(await holds()); await delay(LOOK_MS)) {
    if (performance.now() - begun > PATIENCE_MS) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
  }
}

/** Whether the server answers 200 there; a refused connection is what a server that restarts gives. */
async function answers(base: string): Promise<boolean> {
  try {
    const response = await call(base, "/ok");
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** Kills everything of the server but its supervisor in the middle of a run. Times as in QueueFigures. */
export async function measureRestart(
  spec: ServerSpec,
  databaseUrl: string,
): Promise<{ answersMs: number; runEndsMs: number }> {
  const server = await start(spec, databaseUrl);
  try {
    const { base } = server.targets[0] as Target;
    const root = server.rootPids[0] as number;
    const threadId = await createThread(base);
    const run = (await postJson(base, `/threads/${threadId}/runs`, {
      assistant_id: "pause",
      input: { messages: [] },
    })) as {
      run_id: string;
    };
    const status = async (): Promise<string> => {
      const answer = await text(await call(base, `/threads/${threadId}/runs/${run.run_id}`));
      return (JSON.parse(answer) as { status: string }).status;
    };
    await until("the run begins", async () => (await status()) === "running");
    // Until its first checkpoint is stored.
    await delay(PAUSE_MS / 4);
    const children = treeRows(root).filter(({ pid }) => pid !== root);
    if (children.length === 0) throw new Error("the server has no process beside its supervisor");
    const begun = performance.now();
    for (const { pid } of children) process.kill(pid, "SIGKILL");
    await until("the server answers again", () => answers(base));
    const answersMs = performance.now() - begun;
    let last = "";
    await until("the run ends", async () => {
      last = await status();
      return last !== "pending" && last !== "running";
    });
    if (last !== "success") throw new Error(`the run that was cut off ended as ${last}`);
    return { answersMs, runEndsMs: performance.now() - begun - PAUSE_MS };
  } finally {
    await server.stop();
  }
}
