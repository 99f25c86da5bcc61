#!/usr/bin/env node
// Runs on any Node from 18 and on Bun, before anything else is known to work: plain JavaScript, no dependencies.
// It picks the engine and, for a server, stays as its supervisor; all arguments are the program's (src/cli).
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chooseEngine, launchSettings } from "./engine.mjs";
import { passThrough, supervise } from "./supervisor.mjs";

// A checkout has the sources; a packed install has only what the build made of them.
const source = new URL("../src/index.ts", import.meta.url);
const built = new URL("../dist/index.js", import.meta.url);
const fromSource = existsSync(source);
const entry = fileURLToPath(fromSource ? source : built);

/** What FRACTAL_ENGINE asks for cannot be had: trying again changes nothing (docs/settings.md, exit codes). */
const EXIT_CONFIGURATION = 78;
const EXIT_FAILURE = 1;

const setting = launchSettings(process.env);
const argv = process.argv.slice(2);
const serves = argv[0] === "start" || argv[0] === "dev";
const help = argv.includes("--help");
const several = argv.some((arg) => /^--workers(=|$)/.test(arg)) || (setting("FRACTAL_WORKERS") ?? "1") !== "1";
// As the first process of a container a single server needs no supervisor: the container's own restart policy does.
const alone = argv.includes("--no-supervisor") || (process.pid === 1 && !several);

const wanted = setting("FRACTAL_ENGINE");
const engine = chooseEngine({ fromSource, wanted });
if (engine.problem !== undefined) {
  process.stderr.write(`${engine.problem}\n`);
  process.exitCode = wanted === undefined ? EXIT_FAILURE : EXIT_CONFIGURATION;
} else if (engine.inProcess && (alone || !serves || help)) {
  process.argv = [process.argv[0], entry, ...argv];
  await import(pathToFileURL(entry).href);
} else if (serves && !alone && !help) {
  supervise({ command: engine.command, args: [...engine.args, entry, ...argv], fronted: argv[0] === "dev" });
} else {
  passThrough({ command: engine.command, args: [...engine.args, entry, ...argv] });
}
