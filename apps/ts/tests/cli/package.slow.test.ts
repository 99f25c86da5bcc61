import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { postgresAvailable, sharedPostgres } from "../servers/postgres.ts";
import { fractal, stopAll } from "./fractal.ts";
import { post } from "./project.ts";

const packageRoot = fileURLToPath(new URL("../../", import.meta.url));
const node24 = process.env.FRACTAL_TEST_NODE;
const noPostgres = await postgresAvailable();
const online = spawnSync("npm", ["view", "pino", "version"], { timeout: 20_000 }).status === 0;
let dir: string;
let tarball: string;

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 240_000 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The command as npm links it into a project. */
const linked = (project: string) => join(project, "node_modules", ".bin", "fractal");

describe.skipIf(!online)("the packed runtime (npm registry)", () => {
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "fractal-package-"));
    run("npm", ["pack", "--silent", "--pack-destination", dir], packageRoot);
    tarball = join(dir, readdirSync(dir).find((name) => name.endsWith(".tgz")) ?? "");
    mkdirSync(join(dir, "host"));
    run("npm", ["init", "-y"], join(dir, "host"));
    run("npm", ["install", "--no-audit", "--no-fund", tarball], join(dir, "host"));
  }, 300_000);

  afterAll(async () => {
    await stopAll();
    rmSync(dir, { recursive: true, force: true });
  });

  it("holds what it needs and no sources", () => {
    const installed = join(dir, "host", "node_modules", "fractal-agents-runtime");
    for (const file of ["bin/fractal.mjs", "dist/index.js", "templates/agent/_gitignore", "README.md", "LICENSE"]) {
      expect({ file, there: existsSync(join(installed, file)) }).toEqual({ file, there: true });
    }
    expect(existsSync(join(installed, "src"))).toBe(false);
    // What was put there to be packed is gone again.
    expect(existsSync(join(packageRoot, "LICENSE"))).toBe(false);
  });

  it("makes a project that installs, type-checks and answers", async () => {
    expect(run(linked(join(dir, "host")), ["--version"], dir)).toMatch(/^\d+\.\d+\.\d+\n$/);
    run(linked(join(dir, "host")), ["new", "agent-one"], dir);
    const project = join(dir, "agent-one");
    run("npm", ["install", "--no-audit", "--no-fund"], project);
    run("npm", ["run", "--silent", "typecheck"], project);
    const engines = [{}, ...(node24 === undefined ? [] : [{ FRACTAL_ENGINE: "node" }])];
    for (const env of engines) {
      const command = "FRACTAL_ENGINE" in env ? [node24 ?? "", linked(project)] : ["node", linked(project)];
      const server = fractal(["dev", "-p", "0", "--no-browser"], { cwd: project, env, command });
      const url = await server.url();
      const input = { messages: [{ role: "user", content: "Good morning" }] };
      const answer = await post(`${url}/runs/wait`, { assistant_id: "agent", input });
      expect(JSON.stringify(await answer.json())).toContain("You said: Good morning");
      server.child.kill("SIGTERM");
      expect(await server.exit).toEqual([0, null]);
    }
  }, 300_000);

  it("serves the shipped agent where there is no project", async () => {
    const host = join(dir, "host");
    const server = fractal(["start", "-p", "0"], { cwd: host, command: ["node", linked(host)] });
    const url = await server.url();
    const input = { messages: [{ role: "user", content: "What time is it?" }] };
    const answer = await post(`${url}/runs/wait`, { assistant_id: "agent", input });
    expect(JSON.stringify(await answer.json())).toContain("get_current_time");
    expect(await (await fetch(`${url}/docs`)).text()).toContain("<html");
  }, 60_000);

  it.skipIf(noPostgres !== undefined)(
    "works on Postgres, keeping its lease from a thread of its own",
    async () => {
      const host = join(dir, "host");
      const env = { DATABASE_URL: await (await sharedPostgres()).createDatabase(), FRACTAL_LEASE_SECONDS: "3" };
      const engines = [{}, ...(node24 === undefined ? [] : [{ FRACTAL_ENGINE: "node" }])];
      for (const engine of engines) {
        const command = "FRACTAL_ENGINE" in engine ? [node24 ?? "", linked(host)] : ["node", linked(host)];
        const server = fractal(["start", "-p", "0"], { cwd: host, command, env: { ...env, ...engine } });
        const url = await server.url();
        const input = { messages: [{ role: "user", content: "Good morning" }] };
        const answer = await post(`${url}/runs/wait`, { assistant_id: "agent", input });
        expect(JSON.stringify(await answer.json())).toContain("built-in demonstration model");
        expect((await fetch(`${url}/ready`)).status).toBe(200);
        server.child.kill("SIGTERM");
        expect(await server.exit).toEqual([0, null]);
      }
    },
    120_000,
  );
});
