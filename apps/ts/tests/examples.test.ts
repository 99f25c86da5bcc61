import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fractal, stopAll } from "./cli/fractal.ts";

const folder = resolve(import.meta.dir, "../../../examples");
const programs = readdirSync(folder).filter((name) => name.endsWith(".ts"));

describe("the examples", () => {
  const cwd = mkdtempSync(join(tmpdir(), "fractal-examples-"));
  let url: string;
  beforeAll(async () => {
    url = await fractal(["start"], { cwd, env: { PORT: "0" } }).url();
  });
  afterAll(async () => {
    await stopAll();
    rmSync(cwd, { recursive: true, force: true });
  });

  it.each(programs)("%s ends well against a real server", async (name) => {
    const child = spawn(process.execPath, [join(folder, name)], {
      env: { PATH: process.env.PATH, FRACTAL_URL: url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stdout.on("data", (bytes) => (said += bytes));
    child.stderr.on("data", (bytes) => (said += bytes));
    const [code] = await once(child, "close");
    expect({ code, said: code === 0 ? "" : said }).toEqual({ code: 0, said: "" });
  });
});
