import * as nodeModule from "node:module";
import { dirname, extname, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { decoratedFields } from "./decorated-fields.ts";
import { nearestTsconfig } from "./tsconfig.ts";

export type ModuleExports = Readonly<Record<string, unknown>>;

interface TypeScriptLoader {
  import(path: string): Promise<ModuleExports>;
}

const TYPESCRIPT = new Set([".ts", ".tsx", ".mts", ".cts", ".jsx"]);
const loaders = new Map<string, Promise<TypeScriptLoader>>();

/**
 * Imports a file of the user's project, TypeScript or JavaScript.
 * @param path Absolute path of the file.
 * Bun reads TypeScript itself. On Node, whose own type stripping knows neither enums nor imports without an extension,
 * jiti translates the project's own files; packages below node_modules are imported natively all the same, so that
 * there is one copy of each. `paths` and legacy decorators of the graph's nearest tsconfig.json work on both, also in files
 * that lie outside of its folder.
 */
export async function importUserModule(path: string): Promise<ModuleExports> {
  before ??= new Set(cachedFiles());
  observed ??= observeImports();
  try {
    return await importHere(path);
  } catch (error) {
    const mistake = mistakeOf(error);
    if (mistake !== undefined) observed.add(mistake.file);
    throw withPlace(error, dirname(path));
  }
}

/** The server's own files. */
let before: Set<string> | undefined;
/** What the cache of modules does not show: files of mistakes, and ES modules that Node loads by itself. */
let observed: Set<string> | undefined;

/**
 * Files that importUserModule has loaded, with all that they import, on whatever path they were found; packages below
 * node_modules are left out, and those that a link leads to are not.
 */
export function userFiles(): string[] {
  const files = new Set([...cachedFiles().filter((file) => before?.has(file) !== true), ...(observed ?? [])]);
  return [...files].filter((file) => !file.includes(`${sep}node_modules${sep}`));
}

/** On Bun every module is there; on Node those that jiti or `require` has loaded. */
function cachedFiles(): string[] {
  return Object.keys(nodeModule.createRequire(import.meta.url).cache).filter(
    (file) => file.startsWith(sep) || file[1] === ":",
  );
}

interface ModuleHooks {
  /** Node 22.15 and later. */
  registerHooks?(hooks: {
    load(url: string, context: unknown, next: (url: string, context: unknown) => unknown): unknown;
  }): void;
}

function observeImports(): Set<string> {
  const files = new Set<string>();
  if (process.versions.bun !== undefined) return files;
  (nodeModule as ModuleHooks).registerHooks?.({
    load(url, context, next) {
      if (url.startsWith("file:")) files.add(fileURLToPath(url.replace(/[?#].*$/, "")));
      return next(url, context);
    },
  });
  return files;
}

async function importHere(path: string): Promise<ModuleExports> {
  const isTypeScript = TYPESCRIPT.has(extname(path));
  const tsconfig = isTypeScript ? nearestTsconfig(dirname(path)) : undefined;
  if (process.versions.bun !== undefined || !isTypeScript) {
    if (tsconfig !== undefined) (await import("./bun-typescript.ts")).followTsconfig(tsconfig);
    return (await import(pathToFileURL(path).href)) as ModuleExports;
  }
  const loader = await loaderFor(tsconfig);
  return loader.import(path);
}

/** One loader per tsconfig: files of one project that two graphs share must be the same modules for both. */
function loaderFor(tsconfig: string | undefined): Promise<TypeScriptLoader> {
  const key = tsconfig ?? "";
  const known = loaders.get(key);
  if (known !== undefined) return known;
  const loader = createLoader(tsconfig);
  loaders.set(key, loader);
  return loader;
}

async function createLoader(tsconfig: string | undefined): Promise<TypeScriptLoader> {
  const { createJiti } = await import("jiti");
  return createJiti(tsconfig ?? import.meta.url, {
    // As ES modules are: `module.default` is the default export and nothing else.
    interopDefault: false,
    // The cache would be written into the project.
    fsCache: false,
    jsx: { runtime: "automatic" },
    transformOptions: { babel: { plugins: [decoratedFields] } },
    tsconfigPaths: tsconfig ?? false,
  });
}

/** Bun keeps the place of a syntax error beside its message, jiti on a second line: both are to be read in one line. */
function withPlace(error: unknown, folder: string): unknown {
  if (error instanceof AggregateError) {
    const errors = error.errors.map((each) => withPlace(each, folder));
    return new AggregateError(errors, error.message, { cause: error });
  }
  const mistake = mistakeOf(error);
  if (mistake === undefined) return error;
  const { text, file, line } = mistake;
  return new SyntaxError(`${text} (${relative(folder, file)}:${line})`, { cause: error });
}

function mistakeOf(error: unknown): { text: string; file: string; line: string | number } | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { name, message, position } = error as Partial<{ name: string; message: string; position: Position | null }>;
  if (name === "BuildMessage" && position) return { text: String(message), file: position.file, line: position.line };
  const [, text, file, line] = /^ParseError: (.*?)\s*\n\s*(.+):(\d+):\d+$/.exec(message ?? "") ?? [];
  return text === undefined || file === undefined || line === undefined ? undefined : { text, file, line };
}

interface Position {
  file: string;
  line: number;
}
