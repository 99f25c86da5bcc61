// Runs Biome over the repository. Biome lives in scripts/tools with a lock of its own, because 65 MB is too much for the
// first `npm ci` of somebody who only wants to start a server; it is fetched here, the first time it is needed.
//   node scripts/lint.mjs            check everything
//   node scripts/lint.mjs --write    fix and format
//   node scripts/lint.mjs --staged   only what git has staged (the pre-commit hook)
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tools = join(root, "scripts", "tools");
const biome = join(tools, "node_modules", "@biomejs", "biome");

const run = (command, args, options = {}) => {
  const done = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (done.error) throw done.error;
  return done.status ?? 1;
};

const version = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : undefined);
const lock = JSON.parse(readFileSync(join(tools, "package-lock.json"), "utf8"));
const wanted = lock.packages["node_modules/@biomejs/biome"].version;
if (version(join(biome, "package.json")) !== wanted) {
  const windows = process.platform === "win32";
  const status = run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: tools, shell: windows });
  if (status !== 0) process.exit(status);
}

const args = process.argv.slice(2);
const scope = args.includes("--staged") ? ["--no-errors-on-unmatched", "--files-ignore-unknown=true"] : ["."];
process.exit(run(process.execPath, [join(biome, "bin", "biome"), "check", ...scope, ...args]));
