import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";

/** What of a tsconfig.json decides how files run, with everything that it extends. */
export interface Tsconfig {
  compilerOptions: Readonly<Record<string, unknown>>;
  /** Absolute paths, without extensions, that an import may mean; the likeliest first. */
  candidates(specifier: string): string[];
}

/** Stands for the folder of the file that is read first. */
const CONFIG_DIR = "$" + "{configDir}";

interface Options {
  [name: string]: unknown;
  baseUrl?: string;
  paths?: Record<string, string[]>;
}

/** Options of one file over those of the files that it extends; `pathsBase` is the folder of the file that has `paths`. */
interface Merged {
  options: Options;
  pathsBase: string | undefined;
}

export function nearestTsconfig(folder: string): string | undefined {
  const candidate = join(folder, "tsconfig.json");
  if (existsSync(candidate)) return candidate;
  const parent = dirname(folder);
  return parent === folder ? undefined : nearestTsconfig(parent);
}

/** Only on Bun, whose parser it uses: comments and trailing commas are allowed in the file. */
export function readTsconfig(path: string): Tsconfig {
  const { options, pathsBase } = merged(path, []);
  const own = (text: string) => text.replace(CONFIG_DIR, dirname(path));
  const baseUrl = options.baseUrl === undefined ? undefined : own(options.baseUrl);
  const base = baseUrl ?? pathsBase ?? dirname(path);
  const patterns = Object.entries(options.paths ?? {}).map(([pattern, targets]) => {
    const [before = "", after] = pattern.split("*");
    return { before, after, targets: targets.map((target) => resolve(base, own(target))) };
  });
  // An exact name comes first, then the pattern with the longest beginning.
  patterns.sort(
    (a, b) => Number(b.after === undefined) - Number(a.after === undefined) || b.before.length - a.before.length,
  );
  return {
    compilerOptions: options,
    candidates(specifier) {
      const found = patterns.flatMap(({ before, after, targets }) => {
        if (after === undefined) return specifier === before ? targets : [];
        const fits = specifier.length >= before.length + after.length;
        if (!fits || !specifier.startsWith(before) || !specifier.endsWith(after)) return [];
        const star = specifier.slice(before.length, specifier.length - after.length);
        return targets.map((target) => target.replace("*", () => star));
      });
      return baseUrl === undefined ? found : [...found, join(baseUrl, specifier)];
    },
  };
}

/** @param seen Files that led here: of two that extend each other, the first counts. */
function merged(path: string, seen: readonly string[]): Merged {
  const folder = dirname(path);
  const file = Bun.JSONC.parse(readFileSync(path, "utf8")) as {
    extends?: string | string[];
    compilerOptions?: Options;
  };
  const result: Merged = { options: {}, pathsBase: undefined };
  for (const name of [file.extends ?? []].flat()) {
    const base = locate(name, folder);
    // Packages of configurations are often left out of production; Bun itself goes without them too.
    if (base === undefined || base === path || seen.includes(base)) continue;
    const inherited = merged(base, [...seen, path]);
    result.options = { ...result.options, ...inherited.options };
    result.pathsBase = inherited.pathsBase ?? result.pathsBase;
  }
  const own = { ...file.compilerOptions };
  if (own.baseUrl !== undefined && !own.baseUrl.startsWith("$")) own.baseUrl = resolve(folder, own.baseUrl);
  if (own.paths !== undefined) result.pathsBase = folder;
  return { ...result, options: { ...result.options, ...own } };
}

/** The file that `extends` names: a path, or one in a package, with or without `.json`. */
function locate(name: string, folder: string): string | undefined {
  if (/^\.{1,2}(\/|$)/.test(name) || isAbsolute(name)) return fileOf(resolve(folder, name));
  const found = fileOf(join(folder, "node_modules", name));
  const parent = dirname(folder);
  return found ?? (parent === folder ? undefined : locate(name, parent));
}

function fileOf(path: string): string | undefined {
  return [path, `${path}.json`, join(path, "tsconfig.json")].find(
    (candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile() === true,
  );
}
