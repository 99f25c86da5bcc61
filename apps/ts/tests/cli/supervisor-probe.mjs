// Supervises supervised-child.mjs with the arguments given; PROBE_COMMAND: on another path of the engine.
import { fileURLToPath } from "node:url";
import { supervise } from "../../bin/supervisor.mjs";

const child = fileURLToPath(new URL("supervised-child.mjs", import.meta.url));
supervise({ command: process.env.PROBE_COMMAND ?? process.execPath, args: [child, ...process.argv.slice(2)] });
