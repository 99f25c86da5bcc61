import { afterAll, expect, it } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fractal, stopAll } from "../cli/fractal.ts";

const readme = readFileSync(resolve(import.meta.dir, "../../../../README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "fractal-readme-"));

/** The first block of shell commands below a heading. */
function commands(heading: string): string {
  const section = readme.slice(readme.indexOf(`## ${heading}`));
  return /```bash\n([\s\S]*?)```/.exec(section)?.[1] ?? "";
}

afterAll(async () => {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

it("the README's crash demonstration runs as pasted: the second stream is the rest of the first", async () => {
  const url = await fractal(["start", "-p", "0"], { cwd: folder }).url();
  const script = commands("It goes on after a crash").replaceAll("http://127.0.0.1:3000", url);
  expect(script).toContain("kill -9");
  const shell = spawn("bash", ["-c", script], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  shell.stderr.on("data", (bytes) => (complaints += bytes));
  await once(shell, "close");
  expect(complaints).toBe("");
  const [before, after] = ["before.txt", "after.txt"].map((file) => readFileSync(join(folder, file), "utf8"));
  expect(before).not.toContain("event: end");
  expect(after).toContain('"attempt":2');
  expect(after).toMatch(/event: end\ndata: null\nid: \S+\n\n$/);
  const ids = [...`${before}${after}`.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const calls = [...`${before}${after}`.matchAll(/^data: \{"tools":/gm)];
  expect(calls.length).toBe(1);
}, 60_000);
