// Runs one server for a test process, and ends it when that process is gone however it went: the connection to it closes
// then, even after kill -9. Arguments: one JSON text { port, command, args, folder, user, endSignal }.
// Sends a line of JSON for everything that happens: { pid }, { log }, and at last { end }, the exit code or signal.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { connect } from "node:net";

const { port, command, args, folder, user, endSignal } = JSON.parse(process.argv[2]);
const GRACE_MS = 15_000;

const line = connect(port, "127.0.0.1");
const say = (message) => !line.destroyed && line.write(`${JSON.stringify(message)}\n`);
let server;
let orphaned = false;

// A reset connection is as good as a closed one, and "close" follows.
line.on("error", () => {});
line.resume();
line.once("connect", run);
line.once("close", () => {
  orphaned = true;
  if (server?.pid === undefined) process.exit(0);
  server.kill(endSignal);
  server.kill("SIGCONT");
  setTimeout(() => server.kill("SIGKILL"), GRACE_MS);
});

function run() {
  server = spawn(command, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, LC_ALL: "C" },
    ...user,
  });
  for (const output of [server.stdout, server.stderr]) output.setEncoding("utf8").on("data", (log) => say({ log }));
  server.once("spawn", () => say({ pid: server.pid }));
  server.once("error", (error) => finish(error.message));
  // "close" would wait for everybody who has inherited the output; what the server itself wrote comes first anyway.
  server.once("exit", (code, signal) => setImmediate(() => finish(signal ?? String(code))));
}

function finish(end) {
  if (orphaned) {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  }
  line.end(`${JSON.stringify({ end })}\n`, () => process.exit(0));
}
