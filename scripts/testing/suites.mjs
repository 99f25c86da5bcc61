import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const FOLDERS = ["packages", "apps", "benchmarks", "examples", "scripts"];
/** A fixture is a project of somebody else's: its own tests are not ours. */
const SKIPPED = new Set(["node_modules", "dist", "coverage", "fixtures", "results", "peers"]);

/** Every test file below a folder, as paths with a leading `./` (Bun takes a bare word as a filter, not as a path). */
function testFiles(root, folder) {
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && !SKIPPED.has(entry.name) && !entry.name.startsWith("."))
      found.push(...testFiles(root, path));
    else if (entry.isFile() && /\.test\.(tsx?|mjs)$/.test(entry.name)) found.push(`./${path}`);
  }
  return found.sort();
}

/** apps/ts/tests/e2e/sdk.test.ts -> apps/ts/tests/e2e; unit tests beside their source are one suite per workspace. */
function suiteName(file) {
  const parts = file.split("/").slice(1, -1);
  const tests = parts.indexOf("tests");
  if (tests >= 0) return parts.slice(0, tests + 2).join("/");
  return parts.slice(0, parts[0] === "scripts" ? 1 : 2).join("/");
}

/**
 * Suites about what the server does, whatever it keeps its data in: they run once more on PostgreSQL
 * (apps/ts/tests/servers/storage.ts). Not in it: what is about the embedded file itself, or about no storage.
 */
const ON_POSTGRES =
  /^\.\/apps\/ts\/tests\/(?:api|checkpoints|conformance|crash|e2e|runs|streams|values)\/(?!full-disk|moved-files|random-kills|heartbeat|silent-database)/;

/**
 * The suites in the order they run: quick ones first, a process each, so that a crash or a leak in one suite says which.
 * A file named *.slow.test.ts is a suite of its own.
 * @returns {{ name: string, slow: boolean, files: string[], storage: "sqlite" | "postgres" }[]}
 */
export function findSuites(root) {
  const suites = new Map();
  for (const file of FOLDERS.filter((name) => existsSync(join(root, name))).flatMap((name) => testFiles(root, name))) {
    const slow = /\.slow\.test\.(tsx?|mjs)$/.test(file);
    const name = slow ? file.slice(2) : suiteName(file);
    const suite = suites.get(name) ?? { name, slow, files: [], storage: "sqlite" };
    suite.files.push(file);
    suites.set(name, suite);
  }
  const again = [...suites.values()].flatMap((suite) => {
    const files = suite.files.filter((file) => ON_POSTGRES.test(file));
    if (files.length === 0) return [];
    return [{ ...suite, name: `${suite.name} on postgres`, files, storage: "postgres" }];
  });
  return [...suites.values(), ...again].sort((a, b) => Number(a.slow) - Number(b.slow) || a.name.localeCompare(b.name));
}
