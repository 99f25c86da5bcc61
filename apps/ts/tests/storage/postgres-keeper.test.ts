import { afterEach, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";

const missing = await postgresAvailable();
const children: ChildProcess[] = [];
let url: string;

setDefaultTimeout(60_000);

/** A process that keeps a lease and then blocks its event loop for about `busyMs`. */
function keep(stallMs: number, busyMs: number) {
  const script = join(import.meta.dirname, "children", "keep.ts");
  const child = spawn(process.execPath, [script, url, `${stallMs}`, `${busyMs / 10}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, said: text(child.stderr), line: async () => (await lines.next()).value };
}

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
});

describe.skipIf(missing !== undefined)("the thread that keeps a lease", () => {
  beforeAll(async () => {
    url = await (await sharedPostgres()).createDatabase();
  });

  it("ends a process whose event loop is blocked for too long, and says so", async () => {
    const { child, said, line } = keep(1_500, 60_000);
    const gone = once(child, "exit");
    expect(await line()).toBe("busy");
    expect(await gone).toEqual([null, "SIGKILL"]);
    const reason = await said;
    expect(reason).toMatch(/event loop has been blocked for (?:1\.[5-9]|[2-9](?:\.\d)?) s/);
    expect(reason).toContain(`Process ${child.pid} `);
    expect(reason).toContain("FRACTAL_MAIN_STALL_SECONDS (1.5)");
  });

  it("does not end a process that was frozen for longer than that", async () => {
    const stallMs = 3_000;
    const { child, line } = keep(stallMs, 1_200);
    expect(await line()).toBe("busy");
    child.kill("SIGSTOP");
    // What is tested is that time passes.
    await delay(stallMs + 500);
    child.kill("SIGCONT");
    expect(await line()).toBe("free");
  });
});
