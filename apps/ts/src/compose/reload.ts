import { dirname, join, sep } from "node:path";
import type { Logger } from "@fractal-agents/infra/logger";
import { ProjectWatcher } from "#cli/watch";

export interface ReloadOptions {
  /** Absolute path of langgraph.json; undefined without one. */
  configPath: string | undefined;
  projectDir: string;
  /** Absolute paths, there or not. */
  envFiles: readonly string[];
  /** Files of the graphs; those outside the project bring their own folder. Without graphs no code is watched. */
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

function isBelow(folder: string, root: string): boolean {
  return folder === root || folder.startsWith(root + sep);
}
