// A small supervisor: one server process below it, restarted after a crash, never orphaned.
//
//   running --exit 0, 64, 69, 78--> done (that code)          running --exit 75--> running, at once (hot reload)
//   running --other exit, signal--> waiting (backoff) --> running      any --SIGINT, SIGTERM--> stopping --> done
//
// The server gets an IPC channel. It says {type: "ready", port} there, and when the channel closes (this process was
// killed) it stops by itself.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import * as util from "node:util";

const RELOAD = 75;
/** Clean stop, wrong usage, not available (port in use, second process), wrong configuration: trying again changes nothing. */
const FINAL = new Set([0, 64, 69, 78]);
/** Ctrl-C in a terminal reaches the whole group, and npm passes it on once more: equal signals within this time are one. */
const SAME_SIGNAL_MS = 1_000;
const BACKOFF_MS = [0, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
/** A server that crashes this often without getting ready once is given up. */
const MAX_FAILED_STARTS = 5;
/** After a second signal the server ends at once by itself; if it cannot (a busy loop in user code), it is killed. */
const FORCE_MS = 2_000;

/** @param {{ command: string, args: string[] }} program Never returns to the caller's control: the process ends with the server. */
export function supervise(program) {
  let child;
  let stopping;
  let waiting;
  let crashes = 0;
  let port;
  const env = withoutDotEnv(process.env);

  const start = (reason) => {
    const startedAt = Date.now();
    let ready = false;
    waiting = undefined;
    const told = { FRACTAL_SUPERVISED: reason, FRACTAL_LAST_PORT: port === undefined ? "" : String(port) };
    child = run(program, { ...env, ...told });
    child.on("message", (message) => {
      if (message?.type !== "ready") return;
      ready = true;
      port = message.port;
    });
    child.once("error", (error) => {
      process.stderr.write(`${program.command} could not be started: ${error.message}\n`);
      process.exit(1);
    });
    child.once("exit", (code, signal) => {
      child = undefined;
      if (stopping !== undefined || FINAL.has(code)) return finish(code, signal);
      if (code === RELOAD) return start("reload");
      // A server that ran well for a minute has earned a fresh count.
      crashes = ready && Date.now() - startedAt > 60_000 ? 1 : crashes + 1;
      const how = signal === null ? `exit code ${code}` : signal;
      if (!ready && crashes >= MAX_FAILED_STARTS) {
        process.stderr.write(`The server ended ${crashes} times in a row (${how}); giving up.\n`);
        return finish(code, signal);
      }
      const delay = BACKOFF_MS[Math.min(crashes - 1, BACKOFF_MS.length - 1)];
      process.stderr.write(
        `The server ended unexpectedly (${how}); starting it again${delay > 0 ? ` in ${delay / 1000} s` : ""}.\n`,
      );
      waiting = setTimeout(start, delay, "crash");
    });
  };

  onSignal((signal, again) => {
    stopping ??= signal;
    if (child === undefined) {
      clearTimeout(waiting);
      finish(null, signal);
      return;
    }
    child.kill(signal);
    if (again) setTimeout(() => child?.kill("SIGKILL"), FORCE_MS).unref();
  });
  start("first");
}

/** @param {{ command: string, args: string[] }} program Runs once: signals go down, the exit code comes up. */
export function passThrough(program) {
  const child = run(program, process.env);
  onSignal((signal) => child.kill(signal));
  child.once("error", (error) => {
    process.stderr.write(`${program.command} could not be started: ${error.message}\n`);
    process.exit(1);
  });
  child.once("exit", finish);
}

function run({ command, args }, env) {
  return spawn(command, args, { stdio: ["inherit", "inherit", "inherit", "ipc"], env });
}

/**
 * Bun (also `bun run dev`) puts what stands in .env into the environment of everything below it, where it would outrank
 * the file that somebody edits while the server runs. The server reads the file itself.
 */
function withoutDotEnv(env) {
  let text;
  try {
    text = readFileSync(".env", "utf8");
  } catch {
    return env; // No such file, or not readable: the server says so if it matters.
  }
  const file = util.parseEnv?.(text) ?? {};
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => file[name] !== value));
}

/** @param {(signal: string, again: boolean) => void} handle Called once per intended signal; `again`: not the first. */
function onSignal(handle) {
  const last = {};
  let count = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      const now = Date.now();
      if (now - (last[signal] ?? 0) < SAME_SIGNAL_MS) return;
      last[signal] = now;
      count += 1;
      handle(signal, count > 1);
    });
  }
}

/** Ends as the server ended, so that whoever started this process sees the truth. */
function finish(code, signal) {
  if (signal === null) process.exit(code);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(name);
  process.kill(process.pid, signal);
  // Where the signal does not end this process (Windows, PID 1), its number does, as shells count.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 500);
}
