import { describe, expect, it } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { loadConfig } from "#config";
import { generateEnvExample, generateEnvTable } from "../../../../scripts/env-reference.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { tempProject } from "../graphs/temp-project.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..", "..");

describe("the reference of the settings", () => {
  it(".env.example is what the settings generate (node scripts/generate-env.mjs)", () => {
    expect(readFileSync(join(ROOT, ".env.example"), "utf8")).toBe(generateEnvExample());
  });

  it("the table of docs/settings.md is what the settings generate (node scripts/generate-env.mjs)", () => {
    const page = readFileSync(join(ROOT, "docs", "settings.md"), "utf8");
    expect(page).toContain(`<!-- env:start -->\n${generateEnvTable()}\n<!-- env:end -->`);
  });

  it("names every setting once", () => {
    const names = [...generateEnvExample().matchAll(/^# ([A-Z_0-9]+)=/gm)].map((match) => match[1]);
    expect(names).toEqual(Object.keys(SETTINGS));
    for (const name of names) expect(generateEnvTable()).toContain(`| \`${name}\` |`);
  });

  it("gives the defaults: a .env with every line taken in changes nothing", async () => {
    const text = generateEnvExample().replaceAll(/^# (?=[A-Z_0-9]+=)/gm, "");
    expect(Object.keys(parseEnv(text)).length).toBe(Object.keys(SETTINGS).length);
    await using with_ = await tempProject({ ".env": text }, { packages: false });
    await using without = await tempProject({}, { packages: false });
    const {
      dataDir: _a,
      projectDir: _b,
      envFiles: _c,
      environment: _d,
      fileEnvironment: _e,
      ...all
    } = loadConfig({ env: {}, cwd: with_.folder });
    const {
      dataDir: _f,
      projectDir: _g,
      envFiles: _h,
      environment: _i,
      fileEnvironment: _j,
      ...none
    } = loadConfig({ env: {}, cwd: without.folder });
    expect(all).toEqual(none);
  });
});
