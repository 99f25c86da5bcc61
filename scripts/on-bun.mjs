// Hands a script over to Bun, whose version the lock file fixes, and ends as it ends.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string} script Path from the repository. @param {{ flags?: string[], cwd?: string }} how `cwd` likewise. */
export function onBun(script, { flags = [], cwd } = {}) {
  const bun = join(root, "node_modules", ".bin", process.platform === "win32" ? "bun.exe" : "bun");
  if (!existsSync(bun)) {
    process.stderr.write("Bun is not installed here; run `npm ci` first.\n");
    process.exit(1);
  }
  const child = spawn(bun, [...flags, join(root, script), ...process.argv.slice(2)], {
    stdio: "inherit",
    ...(cwd !== undefined && { cwd: join(root, cwd) }),
  });
  // Ctrl-C reaches the child by itself; this process only waits for its answer.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.once("error", (error) => {
    process.stderr.write(`Bun did not start: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.once("exit", (code, signal) => {
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}
