import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { GraphToolkit } from "./registry.ts";

const LANGGRAPH = "@langchain/langgraph";
/** No such package, or a version of it without that entry. */
const NOT_THERE = new Set<unknown>(["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND", "ERR_PACKAGE_PATH_NOT_EXPORTED"]);

type Exports = Readonly<Record<string, unknown>>;
// biome-ignore lint/suspicious/noExplicitAny: constructors of whichever copy the graph uses
type Constructor = new (...args: any[]) => any;

/** JSON Schemas that langgraph itself can give; each function answers undefined where it cannot. */
export type SchemaReader = Readonly<
  Record<`get${"State" | "Input" | "Output" | "Config"}TypeSchema`, (graph: unknown) => unknown>
>;

/** One copy of langgraph: the user's own, or ours. */
export interface LanggraphCopy {
  toolkit: GraphToolkit;
  /** Undefined in copies that do not have one. */
  schemas(): Promise<SchemaReader | undefined>;
}

/** Copies by the path of their entry point, so that all graphs of a project share one. */
export class LanggraphCopies {
  readonly #byEntry = new Map<string, Promise<LanggraphCopy>>();

  /** The copy that this file gets when it imports langgraph; ours when it can reach none. */
  of(graphFile: string): Promise<LanggraphCopy> {
    const entry = resolveModule(LANGGRAPH, graphFile);
    return entry === undefined ? this.ours() : this.#load(entry, graphFile);
  }

  ours(): Promise<LanggraphCopy> {
    const here = fileURLToPath(import.meta.url);
    const entry = resolveModule(LANGGRAPH, here);
    if (entry === undefined) throw new Error(`The package ${LANGGRAPH} is not installed beside this runtime`);
    return this.#load(entry, here);
  }

  #load(entry: string, importer: string): Promise<LanggraphCopy> {
    const known = this.#byEntry.get(entry);
    if (known !== undefined) return known;
    const copy = loadCopy(entry, importer);
    this.#byEntry.set(entry, copy);
    return copy;
  }
}

async function loadCopy(entry: string, importer: string): Promise<LanggraphCopy> {
  // langgraph's own dependency, which the graph's project need not be able to reach by name.
  const checkpointEntry = resolveModule(`${LANGGRAPH}-checkpoint`, entry);
  const langgraph = await importPath(entry);
  const checkpoint = checkpointEntry === undefined ? langgraph : await importPath(checkpointEntry);
  const schemaEntry = resolveModule(`${LANGGRAPH}/zod/schema`, importer);
  return {
    toolkit: {
      Command: langgraph.Command as GraphToolkit["Command"],
      Send: langgraph.Send as GraphToolkit["Send"],
      RunControl: langgraph.RunControl as GraphToolkit["RunControl"],
      isGraphDrained: langgraph.isGraphDrained as GraphToolkit["isGraphDrained"],
      showsInterrupts: typeof langgraph.isInterrupted === "function",
      serde: serializerOf(checkpoint),
    },
    schemas: async () => (schemaEntry === undefined ? undefined : ((await importPath(schemaEntry)) as SchemaReader)),
  };
}

/** Older copies do not export the class, but every saver of theirs carries an instance. */
function serializerOf(checkpoint: Exports): GraphToolkit["serde"] {
  if (typeof checkpoint.JsonPlusSerializer === "function") return new (checkpoint.JsonPlusSerializer as Constructor)();
  return new (checkpoint.MemorySaver as Constructor)().serde;
}

/**
 * require() resolves to the CommonJS build, but the graph imported the ES module beside it: loading the first would make
 * a second copy, whose classes are not the graph's.
 */
function resolveModule(name: string, importer: string): string | undefined {
  let path: string;
  try {
    path = createRequire(realpathSync(importer)).resolve(name);
  } catch (error) {
    if (!NOT_THERE.has((error as { code?: unknown }).code)) throw error;
    return undefined;
  }
  const module = path.replace(/\.cjs$/, ".js");
  return existsSync(module) ? module : path;
}

async function importPath(path: string): Promise<Exports> {
  return (await import(pathToFileURL(path).href)) as Exports;
}
