import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { loadConfig } from "#config";
import { createGraphRegistry, type RegistryOptions } from "#core/graphs/loader";
import { importUserModule } from "#platform/modules";

export const FIXTURES = join(import.meta.dirname, "..", "fixtures");

export interface Logged {
  level: "warn" | "error";
  message: string;
}

/** The registry of a fixture project, as the server makes it, and what it logged. */
export async function openProject(folder: string, options: Partial<RegistryOptions> = {}) {
  const config = loadConfig({ env: {}, cwd: folder.startsWith("/") ? folder : join(FIXTURES, folder) });
  const logged: Logged[] = [];
  const registry = await createGraphRegistry({
    graphs: config.graphs,
    builtIns: {},
    builtInRevision: "0.0.0",
    logger: {
      warn: (_, message) => logged.push({ level: "warn", message }),
      error: (_, message) => logged.push({ level: "error", message }),
    },
    importModule: importUserModule,
    ...options,
  });
  return { config, registry, logged };
}

/** Loads a project in a process of another engine. @param command Path of bun or node. */
export async function probe(command: string, folder: string) {
  const { stdout } = await promisify(execFile)(command, [join(import.meta.dirname, "engine-probe.ts"), folder]);
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return JSON.parse(line) as { engine: string; graphs: Record<string, Record<string, unknown>> };
}
