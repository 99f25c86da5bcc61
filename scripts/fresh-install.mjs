// Proves that a stranger's first `npm ci` works: empty cache, npm 10 and npm 11, the size within the budget, and Bun runs.
// CI only; it downloads the whole tree twice. The last line is `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { lockComplaints } from "./testing/lock.mjs";
import { root } from "./testing/workspace.mjs";

const NPM_VERSIONS = ["10.8.2", "11.19.1"];
const MAX_MEGABYTES = 350;

const say = (text) => process.stdout.write(`${text}\n`);
let passed = 0;
let failed = 0;
function gate(name, complaints) {
  if (complaints.length === 0) passed += 1;
  else failed += 1;
  say(`${complaints.length === 0 ? "ok  " : "FAIL"} ${name}`);
  for (const complaint of complaints) say(`       ${complaint}`);
}

function committed(pattern) {
  const listed = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern], {
    cwd: root,
    encoding: "utf8",
  });
  if (listed.status !== 0) throw new Error(`git ls-files failed: ${listed.stderr}`);
  return listed.stdout.split("\0").filter(Boolean);
}

/** Everything npm reads in this repository before it installs, and nothing else. */
function skeleton() {
  const folder = mkdtempSync(join(tmpdir(), "fractal-fresh-"));
  const manifests = committed("*package.json").filter((file) =>
    /^(package|(apps|packages)\/[^/]+\/package)\.json$/.test(file),
  );
  for (const file of [...manifests, "package-lock.json", "scripts/git-hooks.mjs"]) {
    mkdirSync(join(folder, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
  return folder;
}

function install(npm) {
  const folder = skeleton();
  const cache = join(folder, ".cache");
  const started = performance.now();
  try {
    const run = spawnSync(
      "npx",
      ["--yes", `npm@${npm}`, "ci", "--cache", cache, "--no-audit", "--no-fund", "--loglevel=error"],
      { cwd: folder, encoding: "utf8", timeout: 10 * 60_000 },
    );
    const took = ((performance.now() - started) / 1000).toFixed(1);
    if (run.status !== 0)
      return { took, complaints: [`npm ci ended with ${run.status ?? run.signal}: ${run.stderr.trim()}`] };
    const size = spawnSync("du", ["-sm", join(folder, "node_modules")], { encoding: "utf8" });
    const megabytes = Number.parseInt(size.stdout, 10);
    const bun = spawnSync(join(folder, "node_modules", ".bin", "bun"), ["--version"], { encoding: "utf8" });
    const wanted = readFileSync(join(root, ".bun-version"), "utf8").trim();
    const complaints = [];
    if (!(megabytes <= MAX_MEGABYTES))
      complaints.push(`node_modules has ${megabytes} MB, the budget is ${MAX_MEGABYTES}`);
    if (bun.stdout?.trim() !== wanted)
      complaints.push(`bun --version says ${bun.stdout?.trim() || bun.error}, .bun-version ${wanted}`);
    return { took, megabytes, packages: readdirSync(join(folder, "node_modules")).length, complaints };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const file of committed("*package-lock.json")) {
  gate(
    `${file} serves every platform from the public registry`,
    lockComplaints(file, JSON.parse(readFileSync(join(root, file), "utf8"))),
  );
}
for (const npm of NPM_VERSIONS) {
  const { took, megabytes, complaints } = install(npm);
  gate(`npm ${npm} ci with an empty cache (${took} s, ${megabytes ?? "?"} MB)`, complaints);
}
say(`\n${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed === 0 ? 0 : 1);
