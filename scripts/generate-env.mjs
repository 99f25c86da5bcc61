// Writes .env.example, and the table between the markers in docs/settings.md, from the settings in apps/ts/src/config/settings.ts.
//   node scripts/generate-env.mjs           write both
//   node scripts/generate-env.mjs --check   write nothing, exit 1 when one of them is out of date
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const START = "<!-- env:start -->";
const END = "<!-- env:end -->";

/** Node 20 does not read TypeScript; Bun does. */
async function importReference() {
  const path = join(root, "scripts", "env-reference.ts");
  if (process.versions.bun !== undefined) return import(path);
  const { createJiti } = await import("jiti");
  return createJiti(import.meta.url, { fsCache: false }).import(path);
}

function settingsPage(text, table) {
  const start = text.indexOf(START);
  const end = text.indexOf(END);
  if (start === -1 || end < start) throw new Error(`docs/settings.md has no place for the table: ${START} ... ${END}`);
  return `${text.slice(0, start + START.length)}\n${table}\n${text.slice(end)}`;
}

const { generateEnvExample, generateEnvTable } = await importReference();
const wanted = [[".env.example", () => generateEnvExample()]];
wanted.push(["docs/settings.md", (text) => settingsPage(text, generateEnvTable())]);

let stale = 0;
for (const [name, make] of wanted) {
  const path = join(root, name);
  const current = existsSync(path) ? readFileSync(path, "utf8") : "";
  const text = make(current);
  if (text === current) continue;
  stale += 1;
  if (process.argv.includes("--check")) console.error(`${name} is out of date: run node scripts/generate-env.mjs`);
  else {
    writeFileSync(path, text);
    console.log(`wrote ${name}`);
  }
}
process.exit(process.argv.includes("--check") && stale > 0 ? 1 : 0);
