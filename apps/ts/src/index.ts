// The composition root: the only file that reads the environment, and the owner of the process and its signals.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runCli } from "#cli/main";
import { createTerminal } from "#cli/terminal";
import { writeAll } from "./compose/output.ts";
import { readSupervision } from "./compose/supervision.ts";

// One level below the package in a checkout (src/) and in the package (dist/) alike.
const packageRoot = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(`${packageRoot}package.json`, "utf8")) as { version: string };

const { env, supervision } = readSupervision(process.env);
// User code and the processes that it starts have no supervisor of their own.
for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
const terminal = createTerminal({ stdout: process.stdout, env, write: writeAll });

const adopt = (variables: Readonly<Record<string, string>>) => void Object.assign(process.env, variables);
const commandHost = { env, cwd: process.cwd(), terminal };
const code = await runCli(process.argv.slice(2), {
  version,
  packageRoot,
  cwd: process.cwd(),
  terminal,
  async serve(request) {
    // Loaded only now: `fractal --version` needs nothing of the server.
    const { serveCommand } = await import("./compose/serve.ts");
    return serveCommand(request, {
      version,
      env,
      cwd: process.cwd(),
      terminal,
      platform: process.platform,
      source: process,
      supervision,
      tell: (message) => process.send?.(message),
      adopt,
      exit: (status) => process.exit(status),
    });
  },
  async migrate(request) {
    const { migrateCommand } = await import("./compose/migrate.ts");
    return migrateCommand(request, commandHost);
  },
  async doctor(request) {
    const { doctorCommand } = await import("./compose/doctor.ts");
    return doctorCommand(request, { ...commandHost, version, adopt });
  },
});
// Timers and sockets of user code would keep the process alive after everything of ours has stopped.
process.exit(code);
