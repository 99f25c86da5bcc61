import { existsSync, readFileSync } from "node:fs";

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function decode(text) {
  return text.replaceAll(/&[^;]+;/g, (whole) => {
    const entity = whole.slice(1, -1);
    if (!entity.startsWith("#")) return NAMED[entity] ?? whole;
    return String.fromCodePoint(Number(entity.replace("#", "").replace(/^x/i, "0x")));
  });
}

const attribute = (tag, name) => decode(tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1] ?? "");

/**
 * Counts a JUnit report as `bun test` writes it: the names of what failed and of what was skipped, the number of the rest.
 * No file means that the process died before it could write one; the caller sees that in the exit code.
 * @returns {{ passed: number, failures: string[], skipped: string[] }}
 */
export function readReport(file) {
  const result = { passed: 0, failures: [], skipped: [] };
  if (!existsSync(file)) return result;
  for (const [, tag, body] of readFileSync(file, "utf8").matchAll(
    /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const name = [attribute(tag, "file"), attribute(tag, "classname"), attribute(tag, "name")]
      .filter(Boolean)
      .join(" > ");
    if (/<(failure|error)\b/.test(body ?? "")) result.failures.push(name);
    else if (/<skipped\b/.test(body ?? "")) result.skipped.push(name);
    else result.passed += 1;
  }
  return result;
}
