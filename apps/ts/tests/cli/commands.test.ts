import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createAnsi } from "@fractal-agents/infra/ansi";
import { renderBanner, renderProblems } from "#cli/banner";
import { browserCommand } from "#cli/browser";
import type { DatabaseRequest, ServeRequest } from "#cli/main";
import { runCli } from "#cli/main";

const packageRoot = fileURLToPath(new URL("../../", import.meta.url));
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-cli-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function run(...argv: string[]) {
  let out = "";
  let err = "";
  const requests: (ServeRequest | DatabaseRequest)[] = [];
  const answer = async (request: ServeRequest | DatabaseRequest) => {
    requests.push(request);
    return 0;
  };
  const code = await runCli(argv, {
    version: "1.2.3",
    packageRoot,
    cwd: dir,
    terminal: {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      interactive: false,
      ansi: createAnsi(false),
    },
    serve: answer,
    migrate: async (request) => (await answer(request)) + 7,
    doctor: async (request) => (await answer(request)) + 8,
  });
  return { code, out, err, request: requests[0] as ServeRequest | undefined };
}

describe("fractal", () => {
  it("prints its version and its help", async () => {
    expect(await run("--version")).toMatchObject({ code: 0, out: "1.2.3\n" });
    for (const argv of [["--help"], ["-h"], ["help"]]) {
      const { code, out } = await run(...argv);
      expect(code).toBe(0);
      for (const command of ["new", "dev", "start", "migrate", "doctor"]) expect(out).toContain(command);
      expect(out).not.toContain("\u001b[");
    }
    for (const argv of [
      ["dev", "--help"],
      ["dev", "-h"],
      ["dev", "-h", "--no-browser"],
    ]) {
      expect(await run(...argv)).toMatchObject({ code: 0, out: expect.stringContaining("--no-reload") });
    }
    for (const command of ["new", "doctor", "migrate"]) {
      expect(await run(command, "-h")).toMatchObject({ code: 0, out: expect.stringContaining(command) });
    }
    expect((await run()).code).toBe(64);
  });

  it("refuses what it does not know with exit code 64, and suggests the nearest", async () => {
    expect(await run("strat")).toMatchObject({ code: 64, err: expect.stringContaining('did you mean "start"?') });
    expect(await run("dev", "--prot", "1")).toMatchObject({
      code: 64,
      err: expect.stringContaining('did you mean "--port"?'),
    });
    expect(await run("start", "--no-reload")).toMatchObject({ code: 64, request: undefined });
    expect(await run("start", "surplus")).toMatchObject({ code: 64, err: expect.stringContaining('"surplus"') });
    expect(await run("start", "--port")).toMatchObject({ code: 64, err: expect.stringContaining("needs a value") });
    expect(await run("constructor")).toMatchObject({ code: 64 });
  });

  it("takes ports from 0 to 65535 and nothing else", async () => {
    for (const port of ["65536", "-1", "80a", "3e3", ""]) expect((await run("start", `--port=${port}`)).code).toBe(64);
    expect((await run("start", "-p", "0")).request?.port).toBe(0);
    expect((await run("start", "-p8080")).request?.port).toBe(8080);
  });

  it("hands the options of dev and start on", async () => {
    expect((await run("dev", "-p", "81", "-h", "::1", "-c", "a.json", "--no-reload", "--no-browser")).request).toEqual({
      mode: "dev",
      port: 81,
      host: "::1",
      configPath: "a.json",
      reload: false,
      browser: false,
      workers: undefined,
    });
    expect((await run("start", "--no-supervisor")).request).toEqual({
      mode: "start",
      port: undefined,
      host: undefined,
      configPath: undefined,
      reload: false,
      browser: false,
      workers: undefined,
    });
    expect((await run("dev")).request).toMatchObject({ reload: true, browser: true });
  });
});

describe("fractal start --workers", () => {
  it("takes 1 to 256, of start only", async () => {
    for (const workers of ["0", "257", "two", "1e1", "-1"]) {
      expect((await run("start", `--workers=${workers}`)).code).toBe(64);
    }
    expect((await run("start", "--workers", "4")).request?.workers).toBe(4);
    expect(await run("dev", "--workers", "2")).toMatchObject({ code: 64, request: undefined });
  });
});

describe("fractal migrate and fractal doctor", () => {
  it("hand their options on and end with the command's own code", async () => {
    expect(await run("migrate", "-c", "a.json")).toMatchObject({ code: 7, request: { configPath: "a.json" } });
    expect(await run("doctor")).toMatchObject({ code: 8, request: { configPath: undefined, json: false } });
    expect(await run("doctor", "--json")).toMatchObject({ code: 8, request: { json: true } });
    expect(await run("migrate", "--json")).toMatchObject({ code: 64, request: undefined });
  });
});

describe("fractal new", () => {
  it("writes a whole project, dotfiles included, linked to this checkout", async () => {
    const { code, out } = await run("new", "My Agent");
    expect(code).toBe(0);
    expect(out).toContain("npm install");
    expect(out).toContain('cd "My Agent"');
    const read = (file: string) => readFileSync(join(dir, "My Agent", file), "utf8");
    expect(JSON.parse(read("package.json"))).toMatchObject({
      name: "my-agent",
      dependencies: { "fractal-agents-runtime": expect.stringMatching(/^file:.*apps\/ts\/?$/) },
    });
    expect(read(".gitignore")).toContain(".fractal/");
    expect(JSON.parse(read("langgraph.json")).graphs.agent.path).toBe("./src/agent.ts:graph");
    for (const file of [".env.example", "README.md", "tsconfig.json", "src/agent.ts"]) expect(read(file)).not.toBe("");
    expect(existsSync(join(dir, "My Agent", "_gitignore"))).toBe(false);
  });

  it("never touches a folder that holds something", async () => {
    mkdirSync(join(dir, "taken"));
    writeFileSync(join(dir, "taken", "package.json"), "mine");
    const { code, err } = await run("new", "taken");
    expect(code).toBe(73);
    expect(err).toContain("not empty");
    expect(readFileSync(join(dir, "taken", "package.json"), "utf8")).toBe("mine");
    expect(existsSync(join(dir, "taken", "langgraph.json"))).toBe(false);
  });

  it("says why it cannot write", async () => {
    writeFileSync(join(dir, "file"), "");
    expect(await run("new", "file/below")).toMatchObject({
      code: 73,
      err: expect.stringContaining("could not be written"),
    });
  });
});

describe("the banner", () => {
  const facts = {
    version: "1.2.3",
    engine: "Bun 1.4.4",
    mode: "dev" as const,
    project: "/home/ada/agents/langgraph.json",
    graphs: [
      { id: "agent", description: "answers" },
      { id: "broken", error: "No export named graph\nat x" },
    ],
    storage: "sqlite .fractal/fractal.db",
    workers: 1,
    model: { name: "fake:demo", fake: true },
    url: "http://127.0.0.1:3000",
    warnings: ["HOST is 0.0.0.0"],
    startedInMs: 210,
  };

  it("names address, docs, storage, graphs and warnings, and is loud about the demonstration model", () => {
    const text = renderBanner(facts, { ansi: createAnsi(false) });
    for (const part of [
      "1.2.3",
      "Bun 1.4.4",
      "http://127.0.0.1:3000/docs",
      "/home/ada/agents/langgraph.json",
      "sqlite .fractal",
      "demonstration",
      "OPENAI_API_KEY",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toMatch(/broken +No export named graph\n/);
    expect(text).toContain("Warning: HOST is 0.0.0.0");
  });

  it("says how many processes there are when there are several", () => {
    const ansi = createAnsi(false);
    expect(renderBanner(facts, { ansi })).not.toContain("Workers");
    expect(renderBanner({ ...facts, workers: 3 }, { ansi })).toMatch(/Workers +3 processes on this port\n/);
  });

  it("shows a broken graph in red on a terminal", () => {
    expect(renderBanner(facts, { ansi: createAnsi(true) })).toContain("\u001b[31mNo export named graph\u001b[39m");
  });

  it("lists every problem of a configuration", () => {
    const text = renderProblems(["PORT: not a number", "HOST: empty"], { ansi: createAnsi(false) });
    expect(text).toBe("The configuration has 2 problems:\n  - PORT: not a number\n  - HOST: empty\n");
  });
});

describe("browserCommand", () => {
  it("opens nothing where nobody would see it", () => {
    const context = { env: { DISPLAY: ":0" }, platform: "linux" as const, interactive: true };
    expect(browserCommand(context)).toEqual(["xdg-open"]);
    expect(browserCommand({ ...context, interactive: false })).toBeUndefined();
    expect(browserCommand({ ...context, env: {} })).toBeUndefined();
    expect(browserCommand({ ...context, env: { DISPLAY: ":0", BROWSER: "none" } })).toBeUndefined();
    expect(browserCommand({ ...context, env: { DISPLAY: ":0", CI: "true" } })).toBeUndefined();
  });
});
