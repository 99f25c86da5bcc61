// Which part of the house may import which. architecture.test.ts runs these rules, and scripts/architecture-diagram.ts
// draws the picture in docs/architecture.md from `allowed`, so the drawing cannot say anything else than the rules.
import type { ICruiseOptions, IForbiddenRuleType } from "dependency-cruiser";

const src = "^apps/ts/src/";
export const layerFolder = {
  "composition root": `${src}index\\.ts$|${src}compose/`,
  edges: `${src}(app|config)\\.ts$|${src}(config|routes|cli|middleware|mcp|a2a|crons|agent-sync|webhooks)/`,
  core: `${src}core/`,
  schemas: `${src}schemas/`,
  storage: `${src}storage/`,
  platform: `${src}platform/`,
  graphs: "^packages/graphs/src/",
  infra: "^packages/infra/src/",
} as const;
export type Layer = keyof typeof layerFolder;

/** Layer -> layers it may import, besides itself. */
export const allowed: Record<Layer, readonly Layer[]> = {
  "composition root": ["edges", "core", "schemas", "storage", "platform", "graphs", "infra"],
  edges: ["core", "schemas", "platform", "infra"],
  storage: ["core", "schemas", "platform", "infra"],
  core: ["schemas", "infra"],
  graphs: ["infra"],
  schemas: [],
  platform: [],
  infra: [],
};

/** Packages that only a layer which speaks the matching language may import. */
const http = "(^|/)node_modules/(hono|@hono)/|^(hono|@hono/.*)$";
const openapi = "(^|/)node_modules/@hono/zod-openapi/|^@hono/zod-openapi$";
const sql = "(^|/)node_modules/(pg|pg-pool|kysely|ioredis|iovalkey)/|^(pg|kysely|ioredis|bun:sqlite|node:sqlite|bun)$";
const sqlite = "^(bun:sqlite|node:sqlite|sqlite)$";

const tests = "\\.test\\.ts$|/tests/";
const everything = Object.values(layerFolder).join("|");

// The composition root may import every layer, so it has no rule of its own; that nobody imports it follows from the others.
const ruled = (Object.entries(allowed) as [Layer, readonly Layer[]][]).filter(
  ([layer]) => layer !== "composition root",
);
const layers: IForbiddenRuleType[] = ruled.map(([layer, below]) => ({
  name: `layer-${layer}`,
  comment: `${layer} imports only ${[layer, ...below].join(", ")}`,
  severity: "error",
  from: { path: layerFolder[layer], pathNot: tests },
  to: { path: everything, pathNot: [layer, ...below].map((name) => layerFolder[name]).join("|") },
}));

/** Files that a process starts by path, so that no import leads to them. */
export const entries = [
  `${src}index\\.ts$`,
  // scripts/generate-env.mjs writes .env.example and the README's table with it.
  `${src}config/reference\\.ts$`,
  `${src}platform/[^/]*(worker|thread)[^/]*\\.ts$`,
  "^packages/graphs/src/.*standalone\\.ts$",
  "^packages/graphs/src/[^/]+/graph\\.ts$",
  // Started by its file name, as a thread.
  "^apps/ts/src/storage/postgres/keeper-thread\\.ts$",
];

export const forbidden: IForbiddenRuleType[] = [
  ...layers,
  {
    name: "no-circular",
    comment: "a cycle has no bottom: neither half can be read or tested alone",
    severity: "error",
    from: { pathNot: tests },
    to: { circular: true },
  },
  {
    name: "no-orphans",
    comment: "a file that nothing imports and that imports nothing is dead",
    severity: "error",
    from: { orphan: true, pathNot: [tests, ...entries, "\\.d\\.ts$"].join("|") },
    to: {},
  },
  {
    name: "no-unreachable",
    comment: "what cannot be reached from an entry is not part of the product, whatever tests say about it",
    severity: "error",
    from: { path: entries.join("|") },
    to: { path: everything, pathNot: [tests, ...entries, "\\.d\\.ts$"].join("|"), reachable: false },
  },
  {
    name: "no-unresolvable",
    comment: "an import that resolves to nothing hides a module from every rule above",
    severity: "error",
    from: { pathNot: `${tests}|\\.d\\.ts$` },
    to: { couldNotResolve: true, pathNot: "^bun(:|$)" },
  },
  {
    name: "core-speaks-no-http-and-no-sql",
    comment: "core holds meaning; it must run without a web server and without a database driver",
    severity: "error",
    from: { path: `${layerFolder.core}|${layerFolder.infra}`, pathNot: tests },
    to: { path: `${http}|${sql}` },
  },
  {
    name: "schemas-know-zod-only",
    comment: "the wire contract may use the zod that writes OpenAPI, nothing else of Hono",
    severity: "error",
    from: { path: layerFolder.schemas, pathNot: tests },
    to: { path: `${http}|${sql}`, pathNot: openapi },
  },
  {
    name: "graphs-are-portable",
    comment: "a graph also runs under LangGraph's own CLI and in a bare script",
    severity: "error",
    from: { path: layerFolder.graphs, pathNot: tests },
    to: { path: `${http}|${sql}|(^|/)node_modules/@langchain/langgraph-(api|cli)/` },
  },
  {
    name: "sqlite-behind-platform",
    comment: "the two SQLite drivers differ; platform/ hides the difference once",
    severity: "error",
    from: { path: everything, pathNot: `${layerFolder.platform}|${tests}` },
    to: { path: sqlite },
  },
  {
    name: "product-never-imports-tests",
    comment: "what ships must not lean on what tests it",
    severity: "error",
    from: { path: everything, pathNot: tests },
    to: { path: tests },
  },
];

export const options: ICruiseOptions = {
  doNotFollow: { path: "node_modules" },
  exclude: { path: "^(apps|packages)/.*\\.generated\\." },
  tsPreCompilationDeps: true,
};

/** `#core/x` goes through package.json `imports`, `@fractal-agents/x/y` through `exports`. */
export const resolution = {
  exportsFields: ["exports"],
  conditionNames: ["bun", "import", "node", "default"],
  extensions: [".ts", ".tsx", ".mjs", ".js", ".json"],
};
