import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const SOURCES = ["apps/ts/src", "packages/graphs/src", "packages/infra/src"];

function filesBelow(folder, wanted) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, wanted);
    return wanted(entry.name) ? [path] : [];
  });
}

/** Joins the reports of all suites: a line is covered when one of them ran it. Map of file -> Map of line -> hits. */
export function joinReports(texts) {
  const files = new Map();
  for (const text of texts) {
    let lines;
    for (const row of text.split("\n")) {
      if (row.startsWith("SF:")) {
        const name = row.slice(3).replaceAll("\\", "/");
        lines = files.get(name) ?? new Map();
        files.set(name, lines);
      } else if (row.startsWith("DA:")) {
        const [line, hits] = row.slice(3).split(",").map(Number);
        lines.set(line, (lines.get(line) ?? 0) + hits);
      }
    }
  }
  return files;
}

/** Lines that do something once the types are gone; a file of types alone has none and is not missed. */
function executableLines(file) {
  const { outputText } = ts.transpileModule(readFileSync(file, "utf8"), {
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      removeComments: true,
      verbatimModuleSyntax: true,
    },
  });
  return outputText.split("\n").filter((line) => line.trim() && !/^(export \{\};|import ["'])/.test(line.trim()))
    .length;
}

const percent = (hit, found) => (found === 0 ? 100 : (100 * hit) / found);

/** The exception of a file, or of a folder (its name ends with "/") that the file lies in. */
function exceptionOf(file, exceptions) {
  return Object.keys(exceptions).find((name) => file === name || (name.endsWith("/") && file.startsWith(name)));
}

/**
 * Judges measured files against the floors. Pure: what is measured comes in, complaints go out. Files with an exception
 * are left out of the whole, since Bun cannot see how they are tested.
 * @param {{ file: string, found: number, hit: number }[]} measured
 * @param {{ global: number, perFile: number, exceptions: Record<string, { floor: number, reason: string }> }} floors
 */
export function judge(measured, floors) {
  const complaints = [];
  const unused = new Set(Object.keys(floors.exceptions));
  const whole = { found: 0, hit: 0 };
  for (const { file, found, hit } of measured) {
    const name = exceptionOf(file, floors.exceptions);
    const floor = floors.exceptions[name]?.floor ?? floors.perFile;
    const reached = percent(hit, found);
    if (reached < floor) complaints.push(`${file}: ${reached.toFixed(1)} % of ${found} lines, the floor is ${floor} %`);
    if (name === file && reached >= floors.perFile) {
      complaints.push(`${file}: ${reached.toFixed(1)} %, its exception is not needed any more`);
    }
    unused.delete(name);
    if (name) continue;
    whole.found += found;
    whole.hit += hit;
  }
  for (const name of unused) complaints.push(`${name}: an exception for what is not there`);
  for (const [name, { reason }] of Object.entries(floors.exceptions)) {
    if (!reason) complaints.push(`${name}: an exception without a reason`);
  }
  const overall = percent(whole.hit, whole.found);
  if (overall < floors.global) {
    complaints.push(`all files: ${overall.toFixed(1)} % of ${whole.found} lines, the floor is ${floors.global} %`);
  }
  return { overall, complaints };
}

/**
 * Reads what `bun test --coverage` left below `folder` and holds it to scripts/testing/coverage-floors.json.
 * Lines that only run in a browser or in a server process of its own are not seen by Bun; the exceptions say which.
 */
export function checkCoverage({ root, folder, say }) {
  const floors = JSON.parse(readFileSync(join(root, "scripts/testing/coverage-floors.json"), "utf8"));
  const reports = joinReports(
    filesBelow(folder, (name) => name === "lcov.info").map((file) => readFileSync(file, "utf8")),
  );
  const isSource = (name) => /\.tsx?$/.test(name) && !/\.(test|d)\.tsx?$|\.generated\./.test(name);
  const measured = SOURCES.flatMap((source) => filesBelow(join(root, source), isSource))
    .map((path) => {
      const file = path.slice(root.length + 1).replaceAll("\\", "/");
      const lines = reports.get(file);
      if (!lines) return { file, found: executableLines(path), hit: 0 };
      return { file, found: lines.size, hit: [...lines.values()].filter((hits) => hits > 0).length };
    })
    .filter(({ found }) => found > 0);
  const { overall, complaints } = judge(measured, floors);
  say(`   ${overall.toFixed(1)} % of the lines of ${measured.length} files`);
  for (const complaint of complaints) say(`   ${complaint}`);
  return complaints.length === 0;
}
