import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { TcpProxy } from "../servers/tcp-proxy.ts";
import { SpawnedServer } from "./spawn-server.ts";

setDefaultTimeout(60_000);

const run = promisify(execFile);
const folder = join(import.meta.dir, "python");
const home = mkdtempSync(join(tmpdir(), "fractal-python-"));
const python = join(home, "bin", "python");

/** Undefined when the SDK is there, else why it is not: no Python, no venv module, no package index. */
async function install(): Promise<string | undefined> {
  try {
    await run("python3", ["-m", "venv", home], { timeout: 60_000 });
    const requirements = ["-r", join(folder, "requirements.txt")];
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", ...requirements];
    await run(python, pip, { timeout: 180_000 });
    return undefined;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim().split("\n").at(-1);
    return said || (error as Error).message;
  }
}

const missing = await install();

describe.skipIf(missing !== undefined)(`Python's langgraph-sdk (${missing ?? "from pip"})`, () => {
  let server: SpawnedServer;
  beforeAll(async () => {
    server = await SpawnedServer.start();
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  it.each([
    ["manages assistants", "assistants"],
    ["manages threads", "threads"],
    ["waits for runs, and raises what they threw", "waiting"],
    ["streams every mode, several at once, and subgraphs", "every_mode"],
    ["streams in its second version", "second_version"],
    ["answers interrupts, by value and by id", "interrupts"],
    ["reads history, forks from it and writes state", "history"],
    ["cancels runs, and is refused a second one", "cancelling"],
    ["joins a stream, leaves it, and goes on where it was", "joining"],
  ])("%s", async (_title, scenario) => {
    const { stdout, stderr } = await run(python, [join(folder, "scenarios.py"), server.url, scenario]).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    expect(stdout + stderr).toBe("");
  });

  it("goes on with its streams and waits by itself when the server stops and comes back", async () => {
    await using stopping = await SpawnedServer.start();
    await using proxy = await TcpProxy.start(
      () => stopping.url,
      (near, far) => void near.pipe(far).pipe(near),
    );
    // Of a wait the SDK warns that it makes it again.
    const quiet = ["-W", "ignore", join(folder, "scenarios.py")];
    const scenario = run(python, [...quiet, `http://127.0.0.1:${proxy.port}`, "restarted"]).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    const running = async () =>
      /^lg_api_num_running_runs 2$/m.test(await (await fetch(`${stopping.url}/metrics`)).text());
    while (!(await running())) await delay(20);
    await stopping.stop();
    await stopping.start();
    const { stdout, stderr } = await scenario;
    expect(stdout + stderr).toBe("");
  });
});

describe.skipIf(missing !== undefined)(`the examples in Python (${missing ?? "from pip"})`, () => {
  const examples = join(import.meta.dir, "../../../../examples");

  it.each(readdirSync(examples).filter((name) => name.endsWith(".py")))("%s ends well", async (name) => {
    await using server = await SpawnedServer.start({ project: "shipped" });
    const env = { PATH: process.env.PATH, FRACTAL_URL: server.url };
    const { stdout, stderr } = await run(python, [join(examples, name)], { env }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(/^\d+ messages/), stderr: "" });
  });
});

afterAll(() => rmSync(home, { recursive: true, force: true }));
