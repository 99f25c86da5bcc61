import { readFileSync } from "node:fs";
import { dirname, extname } from "node:path";
import { nearestTsconfig, readTsconfig, type Tsconfig } from "./tsconfig.ts";

const PROJECT_FILES = /^(?!.*[\\/]node_modules[\\/]).*\.[cm]?tsx?$/;
const COMMENTS = /\/\*[\s\S]*?\*\/|\/\/.*$/gm;

const known = new Map<string, Tsconfig>();
/** Those of the graphs, in the order of loading; they count for files that have none of their own. */
const ofGraphs: Tsconfig[] = [];
let installed = false;

/**
 * Lets files of a project be read as its tsconfig says. Bun by itself reads `paths` only from a tsconfig.json in a folder
 * above the file and through a plain `extends`, and `experimentalDecorators` only from the one in the working directory.
 * Without any of these options in the graph's tsconfig nothing changes.
 */
export function followTsconfig(path: string): void {
  const tsconfig = tsconfigAt(path);
  const { paths, baseUrl, experimentalDecorators } = tsconfig.compilerOptions;
  if (paths === undefined && baseUrl === undefined && experimentalDecorators !== true) return;
  if (!ofGraphs.includes(tsconfig)) ofGraphs.push(tsconfig);
  if (installed) return;
  installed = true;
  Bun.plugin({
    name: "tsconfig",
    setup: (build) => void build.onLoad({ filter: PROJECT_FILES }, ({ path: file }) => load(file)),
  });
}

function tsconfigAt(path: string): Tsconfig {
  const read = known.get(path) ?? readTsconfig(path);
  known.set(path, read);
  return read;
}

function load(file: string): { contents: string; loader: "ts" | "tsx" | "js" } {
  const nearest = nearestTsconfig(dirname(file));
  const own = nearest === undefined ? [] : [tsconfigAt(nearest)];
  const loader = extname(file) === ".tsx" ? "tsx" : "ts";
  const source = readFileSync(file, "utf8");
  const contents = withPaths(source, { file, loader, tsconfigs: [...own, ...ofGraphs] });
  const { compilerOptions } = own[0] ?? ofGraphs[0] ?? {};
  if (compilerOptions?.experimentalDecorators === true && hasDecorators(source)) {
    // With fields defined, Bun initialises those without a decorator before the others, whatever their order.
    const options = { ...compilerOptions, useDefineForClassFields: false, paths: undefined, baseUrl: undefined };
    const tsconfig = JSON.stringify({ compilerOptions: options });
    const transpiler = new Bun.Transpiler({ loader, target: "bun", tsconfig, trimUnusedImports: true });
    return { contents: transpiler.transformSync(contents), loader: "js" };
  }
  return { contents, loader };
}

/** The lines stay where they are, so that stack traces stay true. */
function withPaths(
  source: string,
  given: { file: string; loader: "ts" | "tsx"; tsconfigs: readonly Tsconfig[] },
): string {
  let text = source;
  for (const specifier of specifiersOf(source, given.loader)) {
    if (/^(\.|\/|node:|bun:)/.test(specifier)) continue;
    const target = resolved(specifier, given);
    if (target === undefined) continue;
    const quoted = `(["'])${specifier.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}\\2`;
    const places = new RegExp(`(\\bfrom\\s*|\\bimport\\s*\\(?\\s*|\\brequire(?:\\.resolve)?\\s*\\(\\s*)${quoted}`, "g");
    text = text.replace(places, (_, before: string) => `${before}${JSON.stringify(target)}`);
  }
  return text;
}

function specifiersOf(source: string, loader: "ts" | "tsx"): Set<string> {
  try {
    return new Set(new Bun.Transpiler({ loader }).scanImports(source).map(({ path }) => path));
  } catch {
    // A mistake in the file: Bun tells its place when it reads the file itself.
    return new Set();
  }
}

function resolved(specifier: string, given: { file: string; tsconfigs: readonly Tsconfig[] }): string | undefined {
  for (const candidate of given.tsconfigs.flatMap((tsconfig) => tsconfig.candidates(specifier))) {
    try {
      return Bun.resolveSync(candidate, dirname(given.file));
    } catch {
      // The next one may be a file.
    }
  }
  return undefined;
}

function hasDecorators(source: string): boolean {
  return /(^|[\s(,])@[\p{L}_$]/mu.test(source.replace(COMMENTS, ""));
}
