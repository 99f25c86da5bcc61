import type { Terminal } from "#cli/terminal";
import { type Config, loadConfig } from "#config";

/** What a command that is not a server needs of the process. */
export interface CommandHost {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  terminal: Terminal;
}

/** The same configuration as the server's: from the environment, .env and langgraph.json. */
export function readCommandConfig(configPath: string | undefined, { env, cwd }: CommandHost): Config {
  return loadConfig({ env, cwd, configPath });
}
