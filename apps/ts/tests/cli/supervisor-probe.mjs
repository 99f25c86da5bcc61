// Supervises supervised-child.mjs with the arguments given.
import { fileURLToPath } from "node:url";
import { supervise } from "../../bin/supervisor.mjs";

const child = fileURLToPath(new URL("supervised-child.mjs", import.meta.url));
supervise({ command: process.execPath, args: [child, ...process.argv.slice(2)] });
