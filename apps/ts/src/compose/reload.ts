import { existsSync, realpathSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import type { Logger } from "@fractal-agents/infra/logger";
import { ProjectWatcher } from "#cli/watch";

export interface ReloadOptions {
  /** Absolute path of langgraph.json; undefined without one. */
  configPath: string | undefined;
  projectDir: string;
  /** Absolute paths, there or not. */
  envFiles: readonly string[];
  /** Files of the graphs; those outside the project bring their own folder. Without graphs no code is watched. What they
   * import is known when they are loaded: foldersOutside. */
  graphFiles: readonly string[];
  logger: Logger;
  /** Throws when the configuration as it is now on disk could not start. */
  check(): void;
  reload(path: string): void;
}

/** Watches the configuration, the env files and the graphs' code; a configuration that could not start is not reloaded. */
export function watchProject(options: ReloadOptions): ProjectWatcher {
  const { projectDir, graphFiles, logger } = options;
  const outside = graphFiles.map((file) => dirname(file)).filter((folder) => !isBelow(folder, projectDir));
  return new ProjectWatcher({
    files: [options.configPath ?? join(projectDir, "langgraph.json"), ...options.envFiles],
    folders: graphFiles.length > 0 ? [projectDir, ...new Set(outside)] : [],
    onChange(path) {
      try {
        options.check();
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        logger.error({ path }, `the changed configuration cannot start, going on with the old one: ${problem}`);
        return;
      }
      options.reload(path);
    },
    onError: (error) => logger.warn({ err: error }, "a folder cannot be watched; restart by hand after a change there"),
  }).start();
}

/**
 * The folders of what the graphs import from outside of the project: whole packages, such as those of a workspace, and
 * otherwise the folder of the file.
 * @param files Absolute paths without links.
 */
export function foldersOutside(files: readonly string[], projectDir: string): Set<string> {
  const project = realpathSync(projectDir);
  const folders = new Map<string, string>();
  for (const file of files) {
    const folder = dirname(file);
    if (!folders.has(folder) && !isBelow(folder, project)) folders.set(folder, packageOf(folder, project));
  }
  return new Set(folders.values());
}

/** A package that holds the project is the root of a workspace: too much is below it. */
function packageOf(folder: string, project: string): string {
  for (let place = folder; dirname(place) !== place && !isBelow(project, place); place = dirname(place)) {
    if (existsSync(join(place, "package.json"))) return place;
  }
  return folder;
}

function isBelow(folder: string, root: string): boolean {
  return folder === root || folder.startsWith(root + sep);
}
