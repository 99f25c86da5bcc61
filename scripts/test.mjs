// What `npm test` runs: on a machine with Node 20 and npm only, because Bun comes out of node_modules.
//   npm test                  type check and every suite but the long ones (*.slow.test.ts)
//   npm run test:all          also lint, the long suites and the coverage floors
//   npm run test:all -- --rest    what `npm test` left out; coverage is joined with what `npm test` left in coverage/
//   npm test -- routes e2e    only the suites whose file names contain one of the words
// Suites run side by side, FRACTAL_TEST_JOBS at a time (default 2), each in a process of its own.
// The last line is always `N passed, N failed, N skipped`; the exit code is 0 only when nothing failed.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { checkCoverage } from "./testing/coverage.mjs";
import { readReport } from "./testing/report.mjs";
import { findSuites } from "./testing/suites.mjs";
import { root, testEnvironment } from "./testing/workspace.mjs";

const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith("--")));
const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const known = ["--all", "--rest"];
const unknown = [...flags].filter((flag) => !known.includes(flag));
if (unknown.length > 0) {
  process.stderr.write(`Unknown option ${unknown.join(", ")}; known are ${known.join(" and ")}.\n`);
  process.exit(64);
}
const all = flags.has("--all") || flags.has("--rest");
const rest = flags.has("--rest");
const narrowed = words.length > 0;
const withCoverage = !narrowed && (all || process.env.FRACTAL_TEST_COVERAGE === "1");
const environment = testEnvironment();
const coverageFolder = join(root, "coverage");
const SUITE_LIMIT_MS = 30 * 60_000;

const say = (text) => process.stdout.write(`${text}\n`);
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const total = { passed: 0, failed: 0, skipped: [], failures: [] };

function finish() {
  if (total.skipped.length > 0) say(`\nskipped:\n${total.skipped.map((name) => `  ${name}`).join("\n")}`);
  if (total.failures.length > 0) say(`\nfailed:\n${total.failures.map((name) => `  ${name}`).join("\n")}`);
  say(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`);
  process.exit(total.failed === 0 ? 0 : 1);
}

/** A check is one pass or one failure, beside the tests. */
function check(name, work) {
  const started = performance.now();
  say(`\n== ${name}`);
  if (work()) total.passed += 1;
  else {
    total.failed += 1;
    total.failures.push(name);
  }
  say(`   ${name}: ${seconds(started)}`);
}

const node = (script, ...args) =>
  spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" }).status === 0;

const bun = join(root, "node_modules", "bun", "bin", "bun.exe");
if (!existsSync(bun) || spawnSync(bun, ["--version"]).status !== 0) {
  say(
    "Bun is not installed. Run `npm ci` without --ignore-scripts: the npm package `bun` fetches its binary in a script.",
  );
  total.failed += 1;
  finish();
}

/** One PostgreSQL server for all suites. @returns Its URL, or why there is none on this machine. */
async function startPostgres() {
  const script = "apps/ts/tests/servers/serve-postgres.ts";
  const server = spawn(bun, ["--no-env-file", script], {
    cwd: root,
    env: environment,
    stdio: ["pipe", "pipe", "inherit"],
  });
  server.unref();
  let text = "";
  server.stdout.on("data", (chunk) => {
    text += chunk;
  });
  while (!text.includes("\n") && server.exitCode === null) {
    await Promise.race([once(server.stdout, "data"), once(server, "exit")]);
  }
  const [, url] = text.match(/^url (.*)$/m) ?? [];
  return { url, reason: text.replace(/^none /, "").trim() || `${script} ended with ${server.exitCode}` };
}

/** Runs a suite in a process of its own; what it prints comes in one piece, when it has ended. */
async function runSuite(suite) {
  const started = performance.now();
  const name = suite.name.replaceAll(/[^a-z0-9]+/gi, "-");
  const report = join(coverageFolder, "reports", `${name}.xml`);
  mkdirSync(join(coverageFolder, "reports"), { recursive: true });
  rmSync(report, { force: true });
  const coverage = withCoverage
    ? ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${join(coverageFolder, name)}`]
    : [];
  const args = ["--no-env-file", "test", "--timeout=30000", "--only-failures", "--reporter=junit"];
  const run = spawn(bun, [...args, `--reporter-outfile=${report}`, ...coverage, ...suite.files], {
    cwd: root,
    env: { ...environment, FRACTAL_TEST_STORAGE: suite.storage },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: SUITE_LIMIT_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  for (const stream of [run.stdout, run.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  const closed = once(run, "close");
  const [code, signal] = await once(run, "exit");
  // A server that a test left running may hold the output open.
  await Promise.race([closed, delay(2_000, undefined, { ref: false })]);
  const result = readReport(report);
  total.passed += result.passed;
  total.failed += result.failures.length;
  total.skipped.push(...result.skipped);
  total.failures.push(...result.failures);
  // A crash, a time-out, or an error outside every test: nothing in the report says so, the exit code does.
  if (code !== 0 && result.failures.length === 0) {
    total.failed += 1;
    total.failures.push(`${suite.name}: bun test ended with ${signal ?? `exit code ${code}`}`);
  }
  say(`\n== ${suite.name} (${suite.files.length} ${suite.files.length === 1 ? "file" : "files"})\n${output.trimEnd()}`);
  say(
    `   ${suite.name}: ${result.passed} passed, ${result.failures.length} failed, ${result.skipped.length} skipped, ${seconds(started)}`,
  );
}

/** Most suites wait for servers and databases for much of their time. */
async function runAll(queue) {
  const jobs = Math.max(1, Number(process.env.FRACTAL_TEST_JOBS ?? 2));
  const next = async () => {
    for (let suite = queue.shift(); suite !== undefined; suite = queue.shift()) await runSuite(suite);
  };
  await Promise.all(Array.from({ length: jobs }, next));
}

const suites = findSuites(root)
  .map((suite) => ({
    ...suite,
    files: suite.files.filter((file) => !narrowed || words.some((word) => file.includes(word))),
  }))
  .filter((suite) => suite.files.length > 0 && (suite.slow ? all || narrowed : !rest));
if (suites.length === 0) {
  say(`No test file matches ${words.join(" ")}.`);
  total.failed += 1;
  finish();
}

if (!rest) rmSync(coverageFolder, { recursive: true, force: true });
if (!narrowed && !rest)
  check("type check", () => node(join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"));
if (!narrowed && all) check("lint", () => node("scripts/lint.mjs"));
const postgres = environment.FRACTAL_TEST_POSTGRES_URL === undefined ? await startPostgres() : {};
if (postgres.url !== undefined) environment.FRACTAL_TEST_POSTGRES_URL = postgres.url;
if (postgres.reason !== undefined && postgres.url === undefined) say(`\nWithout PostgreSQL: ${postgres.reason}`);
const without = environment.FRACTAL_TEST_POSTGRES_URL === undefined;
for (const suite of suites.filter(({ storage }) => without && storage === "postgres"))
  total.skipped.push(...suite.files.map((file) => `${file} on postgres`));
await runAll(suites.filter(({ storage }) => !without || storage !== "postgres"));
if (all && withCoverage) check("coverage floors", () => checkCoverage({ root, folder: coverageFolder, say }));
finish();
