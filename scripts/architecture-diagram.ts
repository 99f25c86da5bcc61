// Draws the layers of apps/ts/tests/architecture-rules.ts into docs/architecture.md and README.md, between two markers.
//   bun scripts/architecture-diagram.ts
// The architecture test fails when a page shows anything else.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { allowed, type Layer } from "../apps/ts/tests/architecture-rules.ts";

export const PAGES = ["docs/architecture.md", "README.md"];
const START = "<!-- layers:start -->";
const END = "<!-- layers:end -->";

const CAPTION: Record<Layer, string> = {
  "composition root": "index.ts<br/>reads the environment, names the adapters",
  edges: "edges<br/>routes, middleware, cli, config",
  core: "core<br/>what things mean: services, ports, errors",
  schemas: "schemas<br/>the wire contract",
  storage: "storage<br/>SQL, one folder per engine",
  platform: "platform<br/>Bun or Node",
  graphs: "packages/graphs<br/>the shipped agents",
  infra: "packages/infra<br/>logs, ids, lifecycle",
};

const id = (layer: string): string => layer.replaceAll(" ", "_");

/** An arrow that another path already implies only hides the picture; the rules allow it all the same. */
function implied(from: Layer, to: Layer): boolean {
  const reaches = (layer: Layer): boolean => allowed[layer].some((next) => next === to || reaches(next));
  return allowed[from].some((next) => next !== to && reaches(next));
}

/** The layers as a Mermaid flow chart, ending with a newline. */
export function diagram(): string {
  const boxes = Object.entries(CAPTION).map(([layer, caption]) => `  ${id(layer)}["${caption}"]`);
  const arrows = (Object.entries(allowed) as [Layer, readonly Layer[]][]).flatMap(([from, below]) =>
    below.filter((to) => !implied(from, to)).map((to) => `  ${id(from)} --> ${id(to)}`),
  );
  return ["```mermaid", "flowchart TD", ...boxes, ...arrows, "```", ""].join("\n");
}

/** The page with its drawing replaced; a page without the markers is an error, because then it would never be checked. */
export function drawInto(page: string): string {
  const start = page.indexOf(START);
  const end = page.indexOf(END);
  if (start < 0 || end < start) throw new Error(`the page has no ${START} ... ${END}`);
  return `${page.slice(0, start + START.length)}\n${diagram()}${page.slice(end)}`;
}

if (import.meta.main) {
  for (const page of PAGES) {
    const path = join(import.meta.dirname, "..", page);
    writeFileSync(path, drawInto(readFileSync(path, "utf8")));
  }
}
