import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { once } from "node:events";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fractal, fractal, stopAll } from "./fractal.ts";
import { engines } from "./project.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-start-"));
});

afterEach(async () => {
  await stopAll();
  rmSync(dir, { recursive: true, force: true });
});

async function outcome(server: Fractal) {
  const [code] = await server.exit;
  return { code, err: server.err.seen() };
}

async function pidOf(dataDir: string): Promise<number> {
  return Number(await Bun.file(join(dataDir, "lock.pid")).text());
}

for (const [name, engine] of engines) {
  describe.skipIf(engine === undefined)(`fractal start on ${name}`, () => {
    const start = (args: string[] = [], env: Record<string, string> = {}) =>
      fractal(["start", "-p", "0", ...args], { cwd: dir, ...engine, env: { ...engine?.env, ...env } });

    it("serves without any key or configuration, says where, and stops cleanly on SIGTERM", async () => {
      const server = start();
      const url = await server.url();
      expect(await (await fetch(`${url}/ok`)).json()).toEqual({ ok: true });
      const info = (await (await fetch(`${url}/info`)).json()) as { runtime: string; graphs: string[] };
      expect(info.runtime).toStartWith(name.toLowerCase());
      expect(info.graphs).toContain("agent");
      server.child.kill("SIGTERM");
      expect(await outcome(server)).toEqual({ code: 0, err: "" });
      expect(existsSync(join(dir, ".fractal", "lock.pid"))).toBe(false);
    }, 30_000);

    it("writes one JSON object a line where nobody watches, what it serves and what to know of it included", async () => {
      const server = start([], { HOST: "0.0.0.0" });
      const url = await server.url();
      server.child.kill("SIGTERM");
      await server.exit;
      const log = server.out
        .seen()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { level: string; msg: string });
      expect(log).toContainEqual(
        expect.objectContaining({
          level: "info",
          msg: "server is ready",
          url,
          project: `no langgraph.json in ${realpathSync(dir)}: the demonstration agent is served`,
          storage: "sqlite .fractal/fractal.db",
          graphs: ["agent"],
          model: "fake:demo",
        }),
      );
      const warnings = log.filter(({ level }) => level === "warn").map(({ msg }) => msg);
      expect(warnings).toContainEqual("the built-in demonstration model answers");
      expect(warnings).toContainEqual(expect.stringContaining("HOST is 0.0.0.0"));
    }, 30_000);

    it("shows a person what it serves, and that a folder without langgraph.json serves the demonstration", async () => {
      const server = start([], { LOG_JSON: "false" });
      const url = await server.url();
      await server.out.until(/Set OPENAI_API_KEY/);
      const seen = server.out.seen();
      for (const part of [url, `no langgraph.json in ${realpathSync(dir)}: the demonstration agent is served`]) {
        expect(seen).toContain(part);
      }
      expect(seen).not.toContain('"msg"');
    }, 30_000);

    it("answers a run through the shipped agent", async () => {
      const url = await start([], { MODEL_NAME: "fake:echo" }).url();
      const answer = await fetch(`${url}/runs/wait`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ assistant_id: "agent", input: { messages: [{ role: "user", content: "hello" }] } }),
      });
      expect(answer.status).toBe(200);
      expect(JSON.stringify(await answer.json())).toContain("echo: hello");
    }, 30_000);

    it("comes back on the same address after a kill -9", async () => {
      const server = start();
      const url = await server.url();
      process.kill(await pidOf(join(dir, ".fractal")), "SIGKILL");
      expect(await server.url()).toBe(url);
      expect((await fetch(`${url}/ok`)).status).toBe(200);
    }, 30_000);

    it("names the port that is in use and exits with 69, its data released", async () => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      const { port } = other.address() as { port: number };
      const { code, err } = await outcome(fractal(["start", "-p", String(port)], { cwd: dir, ...engine }));
      other.close();
      expect(code).toBe(69);
      expect(err).toStartWith(`Port ${port} on 127.0.0.1 is in use.`);
      expect(err).not.toContain("    at ");
    }, 30_000);

    it("refuses to be the second process on a data directory, naming the first, with exit code 69", async () => {
      await start().url();
      const { code, err } = await outcome(start());
      expect(code).toBe(69);
      expect(err).toContain(`pid ${await pidOf(join(dir, ".fractal"))}`);
      expect(err).not.toContain("    at ");
    }, 30_000);

    it("lists every problem of the configuration and exits with 78", async () => {
      writeFileSync(
        join(dir, "langgraph.json"),
        JSON.stringify({ graphs: { agent: 7 }, auth: { path: "./auth.ts:auth" } }),
      );
      const { code, err } = await outcome(start([], { LOG_LEVEL: "loud", SUPABASE_URL: "https://x" }));
      expect(code).toBe(78);
      for (const part of ["LOG_LEVEL", "SUPABASE_URL", "graphs.agent", "auth"]) expect(err).toContain(part);
    }, 30_000);

    it("exits with 78 where the data directory cannot be used", async () => {
      writeFileSync(join(dir, "file"), "");
      const { code, err } = await outcome(start([], { FRACTAL_DATA_DIR: "file/data" }));
      expect(code).toBe(78);
      expect(err).toContain("file/data");
      expect(err).not.toContain("    at ");
    }, 30_000);

    it("never prints a secret", async () => {
      const server = start([], { OPENAI_API_KEY: "sk-very-secret-value", LOG_LEVEL: "trace" });
      const url = await server.url();
      await fetch(`${url}/threads/sk-very-secret-value`);
      server.child.kill("SIGTERM");
      await server.exit;
      expect(server.out.seen() + server.err.seen()).not.toContain("sk-very-secret-value");
    }, 30_000);
  });
}

describe("the shim", () => {
  it("says in one sentence what to do where no engine runs", async () => {
    const refused = fractal(["start"], { cwd: dir, env: { FRACTAL_ENGINE: "deno" } });
    expect(await outcome(refused)).toEqual({ code: 78, err: 'FRACTAL_ENGINE is "deno"; it can be "bun" or "node".\n' });
  });

  it("hears FRACTAL_ENGINE from .env too, below the environment", async () => {
    writeFileSync(join(dir, ".env"), "FRACTAL_ENGINE=deno # of the file\n");
    const err = 'FRACTAL_ENGINE is "deno"; it can be "bun" or "node".\n';
    expect(await outcome(fractal(["start"], { cwd: dir }))).toEqual({ code: 78, err });
    expect(await outcome(fractal(["start"], { cwd: dir, env: { FRACTAL_ENGINE: "" } }))).toEqual({ code: 78, err });
    const [code] = await fractal(["--version"], { cwd: dir, env: { FRACTAL_ENGINE: "Bun" } }).exit;
    expect(code).toBe(0);
  });

  it("gives usage errors on with exit code 64, without starting again", async () => {
    const { code, err } = await outcome(fractal(["start", "--prot", "1"], { cwd: dir }));
    expect(code).toBe(64);
    expect(err).toContain("--port");
  });

  it("runs the server without a supervisor when asked to", async () => {
    const server = fractal(["start", "-p", "0", "--no-supervisor"], { cwd: dir });
    await server.url();
    process.kill(await pidOf(join(dir, ".fractal")), "SIGKILL");
    expect(await server.exit).toEqual([null, "SIGKILL"]);
  }, 30_000);
});
