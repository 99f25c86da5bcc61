import { afterAll, describe, expect, it } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import { drawInto, PAGES } from "../../../scripts/architecture-diagram.ts";
import { allowed, forbidden, type Layer, options, resolution } from "./architecture-rules.ts";

const root = resolve(import.meta.dir, "../../..");
const sources = ["apps/ts/src", "packages/graphs/src", "packages/infra/src"];
/** Raise it as the house grows: a cruise that sees less than this has gone blind, which looks exactly like a clean one. */
const MODULES_AT_LEAST = 195;

async function check(baseDir: string, folders: string[]): Promise<ICruiseResult> {
  const answer = await cruise(folders, { ...options, baseDir, validate: true, ruleSet: { forbidden } }, resolution);
  if (typeof answer.output === "string") throw new Error(answer.output);
  return answer.output;
}

const violations = (result: ICruiseResult): string[] =>
  result.summary.violations.map((found) => `${found.rule.name}: ${found.from} -> ${found.to}`);

/** Every file that git would commit, without the ones already deleted in the working tree. */
function committed(): string[] {
  const git = (...args: string[]): string[] => {
    const done = spawnSync("git", args, { cwd: root, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`git ${args.join(" ")} failed: ${done.stderr || done.error}`);
    return done.stdout.split("\0").filter(Boolean);
  };
  const gone = new Set(git("ls-files", "-z", "--deleted"));
  return git("ls-files", "-z", "--cached", "--others", "--exclude-standard").filter((file) => !gone.has(file));
}

const isCheckout = spawnSync("git", ["rev-parse", "--git-dir"], { cwd: root }).status === 0;
const isOurTypeScript = (file: string): boolean =>
  sources.some((folder) => file.startsWith(`${folder}/`)) && file.endsWith(".ts") && !file.endsWith(".test.ts");

describe("the layers", () => {
  it("import downward only, without cycles, orphans or unresolved imports", async () => {
    const result = await check(root, sources);
    expect(violations(result)).toEqual([]);
    const ours = result.modules.filter((module) => sources.some((folder) => module.source.startsWith(folder)));
    expect(ours.length).toBeGreaterThanOrEqual(MODULES_AT_LEAST);
  }, 60_000);

  it("never allow each other both ways", () => {
    for (const [layer, below] of Object.entries(allowed)) {
      for (const lower of below) expect(allowed[lower]).not.toContain(layer as Layer);
    }
  });

  it("are drawn in the documentation as the rules have them", () => {
    for (const page of PAGES) {
      const text = readFileSync(join(root, page), "utf8");
      expect(drawInto(text) === text ? "up to date" : `${page}: run bun scripts/architecture-diagram.ts`).toBe(
        "up to date",
      );
    }
  });

  it.skipIf(!isCheckout)("keep `Bun.` and the SQLite drivers inside platform/", () => {
    const offenders = committed()
      .filter((file) => isOurTypeScript(file) && !file.startsWith("apps/ts/src/platform/"))
      .filter((file) => /(?<![\w.])Bun\.\w|["'](bun|node):sqlite["']|from "bun"/.test(withoutComments(file)));
    expect(offenders).toEqual([]);
  });
});

const withoutComments = (file: string): string =>
  readFileSync(join(root, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, "");

describe("the gate itself", () => {
  const planted = mkdtempSync(join(tmpdir(), "fractal-planted-"));
  afterAll(() => rmSync(planted, { recursive: true, force: true }));

  const plant = (file: string, text: string): void => {
    mkdirSync(dirname(join(planted, file)), { recursive: true });
    writeFileSync(join(planted, file), text);
  };

  it("reports a planted violation of every kind", async () => {
    symlinkSync(join(root, "node_modules"), join(planted, "node_modules"));
    plant("apps/ts/package.json", JSON.stringify({ name: "planted", type: "module", imports: layerImports }));
    plant(
      "packages/infra/src/clock.ts",
      'export const clock = 1;\nexport { agent } from "../../graphs/src/agent.ts";\n',
    );
    plant(
      "packages/graphs/src/agent.ts",
      'import { Hono } from "hono";\nimport "../../../apps/ts/src/core/bad.ts";\nexport const agent = new Hono();\n',
    );
    plant("apps/ts/src/schemas/common.ts", 'import "hono";\nexport { bad } from "#core/bad";\n');
    plant("apps/ts/src/core/bad.ts", 'import "#storage/sqlite/runs";\nimport "#routes/runs";\nexport const bad = 1;\n');
    plant("apps/ts/src/core/driver.ts", 'import { Database } from "bun:sqlite";\nexport const open = Database;\n');
    plant("apps/ts/src/core/web.ts", 'import { Hono } from "hono";\nexport const app = Hono;\n');
    plant("apps/ts/src/core/dead.ts", "export const dead = 1;\n");
    plant("apps/ts/src/core/lost.ts", 'import "#core/nowhere";\nexport const lost = 1;\n');
    plant("apps/ts/src/storage/sqlite/runs.ts", 'import "#routes/runs";\nexport const runs = 1;\n');
    plant("apps/ts/src/routes/runs.ts", 'import "#storage/sqlite/runs";\nimport "../../tests/helper.ts";\n');
    plant("apps/ts/src/platform/clock.ts", 'import "#core/bad";\nexport const clock = 1;\n');
    plant("apps/ts/src/index.ts", 'import "#routes/runs";\n');
    plant("apps/ts/tests/helper.ts", "export const helper = 1;\n");

    const reported = new Set((await check(planted, sources)).summary.violations.map((found) => found.rule.name));
    expect([...reported].sort()).toEqual(forbidden.map((rule) => String(rule.name)).sort());
  });
});

const layerImports = Object.fromEntries(
  ["core", "schemas", "routes", "storage", "platform"].map((layer) => [`#${layer}/*`, `./src/${layer}/*.ts`]),
);

describe("the sizes", () => {
  const counted = /\.(ts|tsx|mts|mjs|js|css|sh)$|(^|\/)(run|pre-commit)$/;
  const exempt = /\.generated\.|(^|\/)fixtures\/|(^|\/)public\/(docs|vendor)\//;

  it.skipIf(!isCheckout)("of source and test files stay within 400 lines", () => {
    const long = committed()
      .filter((file) => counted.test(file) && !exempt.test(file))
      .map((file) => ({ file, lines: readFileSync(join(root, file), "utf8").split("\n").length - 1 }))
      .filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it.skipIf(!isCheckout)("of the repository's front page stay within 20 entries", () => {
    const entriesAtRoot = new Set(committed().map((file) => file.split("/")[0] as string));
    expect([...entriesAtRoot].sort().length).toBeLessThanOrEqual(20);
  });
});
