import { renderProblems } from "#cli/banner";
import type { Terminal } from "#cli/terminal";
import { ConfigError } from "#config";
import { StorageError } from "#core/storage";
import { ListenError } from "#platform/serve";
import { EXIT } from "./exit-codes.ts";

/**
 * A command that fails for a reason the person can mend says that reason; anything else is a bug and shows its stack.
 * @param doing Ends "could not ...", for a bug. @returns The exit code.
 */
export function explainFailure(error: unknown, terminal: Terminal, doing = "The server could not start"): number {
  const { ansi } = terminal;
  if (error instanceof ConfigError) {
    terminal.err(renderProblems(error.problems, terminal));
    return EXIT.configuration;
  }
  if (error instanceof ListenError) {
    terminal.err(`${ansi.red(error.message)}\n`);
    return EXIT.unavailable;
  }
  if (error instanceof StorageError) {
    terminal.err(`${ansi.red(error.detail)}\n`);
    return error.inUse ? EXIT.unavailable : EXIT.configuration;
  }
  terminal.err(
    `${ansi.red(`${doing}:`)}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return EXIT.failure;
}
