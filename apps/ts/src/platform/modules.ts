import { dirname, extname, relative } from "node:path";
import { pathToFileURL } from "node:url";
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
  try {
    return await importHere(path);
  } catch (error) {
    throw withPlace(error, dirname(path));
  }
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
