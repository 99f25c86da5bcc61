import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { shim } from "./fractal.ts";

const pty = fileURLToPath(new URL("press-ctrl-c.py", import.meta.url));
const root = fileURLToPath(new URL("../../../../", import.meta.url));
const python = spawnSync("python3", ["-c", "import pty"]).status === 0;
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "fractal-terminal-"));
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function pressCtrlC(command: string[], given: { cwd: string; env?: Record<string, string> }) {
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TERM: "xterm",
    PORT: "0",
    FRACTAL_DATA_DIR: join(dir, "data"),
    ...given.env,
  };
  const { stdout } = spawnSync("python3", [pty, "Graphs", "1", ...command], {
    cwd: given.cwd,
    env: env as NodeJS.ProcessEnv,
    encoding: "utf8",
  });
  const [shown = "", exit = ""] = stdout.split(/\nexit (?=-?\d+\n$)/);
  return { shown, exit: Number(exit) };
}

describe.skipIf(!python)("Ctrl-C on a terminal (python3)", () => {
  const commands: [string, string[], string][] = [
    ["node bin/fractal.mjs start", ["node", shim, "start"], tmpdir()],
    ["npm start", ["npm", "start"], root],
    ["npm run dev", ["npm", "run", "dev"], root],
    ["bun run dev", [process.execPath, "run", "dev"], root],
    ["bun run dev in apps/ts", [process.execPath, "run", "dev"], join(root, "apps/ts")],
  ];
  for (const [name, command, cwd] of commands) {
    it(`stops \`${name}\` once and cleanly`, () => {
      const { shown, exit } = pressCtrlC(command, { cwd, env: { BROWSER: "none" } });
      expect(shown).toContain("http://127.0.0.1:");
      expect(shown).toContain("\u001b[1m");
      expect(shown.match(/stopping/g)).toHaveLength(1);
      expect(shown.match(/stopped/g)).toHaveLength(1);
      expect(shown).not.toContain("unexpectedly");
      expect(exit).toBe(0);
    }, 60_000);
  }

  it("shows no colours when NO_COLOR is set", () => {
    const { shown } = pressCtrlC(["node", shim, "start"], { cwd: dir, env: { NO_COLOR: "1" } });
    expect(shown).toContain("http://127.0.0.1:");
    expect(shown).not.toContain("\u001b[");
  }, 60_000);
});
