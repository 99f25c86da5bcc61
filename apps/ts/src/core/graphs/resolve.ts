import type { GraphAccess, GraphLike } from "./registry.ts";
import type { GraphFactory } from "./spec.ts";

type Dict = Record<string, unknown>;

/** What an export is, once its promise is settled. */
export type Resolved = { kind: "graph"; graph: GraphLike } | { kind: "factory"; factory: GraphFactory };

/** A builder that a factory hands out again and again is compiled once. */
const compiled = new WeakMap<object, GraphLike>();

/**
 * Takes the named export of a module. CommonJS modules may show their exports under `default` only.
 * Throws an Error that lists what there is.
 */
export function pickExport(exports: Readonly<Dict>, name: string): unknown {
  if (exports[name] !== undefined) return exports[name];
  const fallback = exports.default;
  if (isObject(fallback) && fallback[name] !== undefined) return fallback[name];
  const names = Object.keys(exports);
  throw new Error(`it has no export "${name}" (exports: ${names.length > 0 ? names.join(", ") : "none"})`);
}

/** Compiled graph, builder, agent, factory, or a promise of one of them. Known by shape only. */
export async function resolveExport(value: unknown): Promise<Resolved> {
  const settled = await value;
  if (typeof settled === "function") return { kind: "factory", factory: settled as GraphFactory };
  return { kind: "graph", graph: toGraph(settled, "the export") };
}

export async function callFactory(factory: GraphFactory, access: GraphAccess): Promise<GraphLike> {
  const { accessContext, config, context } = access;
  const configurable = isObject(config.configurable) ? config.configurable : {};
  const executionRuntime = accessContext === "threads.create_run" ? { context } : null;
  const made = await factory({ ...config, configurable }, { accessContext, executionRuntime });
  return toGraph(made, "what the factory returns");
}

function toGraph(value: unknown, what: string): GraphLike {
  if (!isObject(value)) throw new Error(`${what} is ${describe(value)}, not a graph`);
  if (isCompiled(value)) return value;
  // createAgent() of langchain keeps its compiled graph in `graph`.
  if (isObject(value.graph) && isCompiled(value.graph)) return value.graph;
  if (typeof value.compile === "function") return compile(value as Dict & { compile(): unknown });
  throw new Error(`${what} is ${describe(value)}, not a graph`);
}

function compile(builder: Dict & { compile(): unknown }): GraphLike {
  const known = compiled.get(builder);
  if (known !== undefined) return known;
  const graph = builder.compile();
  if (!isObject(graph) || !isCompiled(graph)) throw new Error("compile() did not return a compiled graph");
  compiled.set(builder, graph);
  return graph;
}

function isCompiled(value: Dict): value is Dict & GraphLike {
  return value.lg_is_pregel === true;
}

function isObject(value: unknown): value is Dict {
  return typeof value === "object" && value !== null;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = value.constructor?.name;
  return name === undefined || name === "Object" ? "a plain object" : `an object of class ${name}`;
}
