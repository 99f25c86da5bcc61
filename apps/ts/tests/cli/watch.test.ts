import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProjectWatcher } from "#cli/watch";

let project: string;
let watcher: ProjectWatcher | undefined;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "fractal-watch-"));
  for (const folder of ["src/nodes", "node_modules/dep", ".fractal"])
    mkdirSync(join(project, folder), { recursive: true });
  writeFileSync(join(project, "src/agent.ts"), "export const a = 1;");
});

afterEach(() => {
  watcher?.close();
  rmSync(project, { recursive: true, force: true });
});

/** Starts a watcher; `next()` is the path of the next change. */
function start() {
  const changes: string[] = [];
  let wake: () => void = () => undefined;
  watcher = new ProjectWatcher({
    files: [join(project, "langgraph.json"), join(project, ".env")],
    folders: [join(project, "src")],
    onChange(path) {
      changes.push(path);
      wake();
    },
    onError(error) {
      throw error;
    },
  }).start();
  return async () => {
    while (changes.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return changes.shift();
  };
}

/** That something does not happen can only be waited for: well above the time in which a change is reported. */
function quiet(): Promise<string> {
  return new Promise((resolve) => setTimeout(resolve, 300, "quiet"));
}

describe("ProjectWatcher", () => {
  it("sees a changed file of code, in a folder made later too", async () => {
    const next = start();
    writeFileSync(join(project, "src/agent.ts"), "export const a = 22;");
    expect(await next()).toBe(join(project, "src/agent.ts"));
    mkdirSync(join(project, "src/tools"));
    // The new folder is watched once its own event has come; write until that is so.
    let n = 0;
    const writing = setInterval(
      () => writeFileSync(join(project, "src/tools/tool.ts"), `export const n = ${n++};`),
      150,
    );
    try {
      expect(await next()).toBe(join(project, "src/tools/tool.ts"));
    } finally {
      clearInterval(writing);
    }
  });

  it("sees the configuration and the env file, even when they are made later", async () => {
    const next = start();
    writeFileSync(join(project, ".env"), "A=1");
    expect(await next()).toBe(join(project, ".env"));
    writeFileSync(join(project, "langgraph.json"), "{}");
    expect(await next()).toBe(join(project, "langgraph.json"));
  });

  it("ignores data, node_modules, dot folders and a file whose content stayed", async () => {
    const next = start();
    writeFileSync(join(project, "src/result.json"), "{}");
    writeFileSync(join(project, "node_modules/dep/index.js"), "1");
    writeFileSync(join(project, ".fractal/x.ts"), "1");
    writeFileSync(join(project, "src/.hidden.ts"), "1");
    writeFileSync(join(project, "outside.ts"), "1");
    chmodSync(join(project, "src/agent.ts"), 0o600);
    expect(await Promise.race([next(), quiet()])).toBe("quiet");
    writeFileSync(join(project, "src/nodes/node.ts"), "export const b = 2;");
    expect(await next()).toBe(join(project, "src/nodes/node.ts"));
  });

  it("reports a burst of changes once", async () => {
    const next = start();
    for (let i = 0; i < 20; i++) writeFileSync(join(project, "src/agent.ts"), `export const a = ${"x".repeat(i)};`);
    expect(await next()).toBe(join(project, "src/agent.ts"));
    expect(await Promise.race([next(), quiet()])).toBe("quiet");
  });
});
