import { constants, existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Terminal } from "./terminal.ts";

/** sysexits.h: a file cannot be made. */
const EXIT_CANT_CREATE = 73;

export interface NewProjectDeps {
  version: string;
  packageRoot: string;
  cwd: string;
  terminal: Terminal;
}

/** Writes the template into a folder that is absent or empty. Never overwrites a file. */
export async function newProject(dir: string, deps: NewProjectDeps): Promise<number> {
  const { terminal } = deps;
  const { ansi } = terminal;
  const target = resolve(deps.cwd, dir);
  const shown = relative(deps.cwd, target) || ".";
  try {
    await mkdir(target, { recursive: true });
    const there = (await readdir(target)).filter((name) => name !== ".git");
    if (there.length > 0) {
      terminal.err(ansi.red(`${shown} is not empty (${there.slice(0, 3).join(", ")}); nothing was written.\n`));
      return EXIT_CANT_CREATE;
    }
    await copyTemplate(join(deps.packageRoot, "templates", "agent"), target);
    await fillManifest(target, deps);
  } catch (error) {
    terminal.err(
      ansi.red(`${shown} could not be written: ${error instanceof Error ? error.message : String(error)}\n`),
    );
    return EXIT_CANT_CREATE;
  }
  const steps = [...(shown === "." ? [] : [`cd ${quoted(shown)}`]), "npm install", "npm run dev"];
  terminal.out(`${ansi.green("Done.")} Your agent is in ${ansi.bold(`${shown}/src/agent.ts`)}. Next:\n\n`);
  terminal.out(`${steps.map((step) => `  ${ansi.cyan(step)}`).join("\n")}\n`);
  return 0;
}

/** For a shell: a name with spaces is one word. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `"${path.replace(/["$`\\]/g, "\\$&")}"`;
}

async function copyTemplate(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    // npm takes dotfiles such as .gitignore out of packages, so the template has `_gitignore`.
    const target = join(to, entry.name.replace(/^_/, "."));
    if (entry.isDirectory()) {
      await mkdir(target);
      await copyTemplate(join(from, entry.name), target);
    } else {
      await copyFile(join(from, entry.name), target, constants.COPYFILE_EXCL);
    }
  }
}

async function fillManifest(target: string, deps: NewProjectDeps): Promise<void> {
  const path = join(target, "package.json");
  const manifest = JSON.parse(await readFile(path, "utf8")) as { name: string; dependencies: Record<string, string> };
  manifest.name = packageName(basename(target));
  manifest.dependencies["fractal-agents-runtime"] = runtimeSpec(target, deps);
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
}

function packageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
  return name === "" ? "my-agent" : name;
}

/**
 * The new project takes the runtime from where this one came: a checkout is linked, a packed file is installed again,
 * else the version from the registry.
 */
function runtimeSpec(target: string, { packageRoot, version }: NewProjectDeps): string {
  const fileSpec = (path: string) => `file:${relative(target, path).replaceAll("\\", "/")}`;
  if (existsSync(join(packageRoot, "src"))) return fileSpec(packageRoot);
  const project = dirname(dirname(packageRoot));
  const manifestPath = join(project, "package.json");
  if (existsSync(manifestPath)) {
    const manifest = JSON.parse(readFileSync(manifestPath, "utf8")) as Record<
      string,
      Record<string, string> | undefined
    >;
    const spec =
      manifest.dependencies?.["fractal-agents-runtime"] ?? manifest.devDependencies?.["fractal-agents-runtime"];
    if (spec?.startsWith("file:")) return fileSpec(resolve(project, spec.slice("file:".length)));
  }
  return `^${version}`;
}
