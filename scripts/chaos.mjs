// `npm run chaos -- --minutes N [--scenario T-KILL] [--seed S]`: hands over to the chaos suite on Bun.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bun = join(root, "node_modules", ".bin", process.platform === "win32" ? "bun.exe" : "bun");
if (!existsSync(bun)) {
  process.stderr.write("Bun is not installed here; run `npm ci` first.\n");
  process.exit(1);
}

const script = join(root, "apps/ts/tests/chaos/main.ts");
const child = spawn(bun, ["--no-env-file", script, ...process.argv.slice(2)], {
  stdio: "inherit",
  cwd: join(root, "apps/ts"),
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
