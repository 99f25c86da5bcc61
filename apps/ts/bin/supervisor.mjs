// A small supervisor: one server process below it, or several workers on one port; restarted until a signal to this
// process stops it, never orphaned.
//
//   running --exit 75--> running, at once (hot reload)      running --any other end--> waiting --> running
//   any --SIGINT, SIGTERM, SIGHUP--> stopping --> done      before a server was ever ready: --exit 64, 69, 78--> done (that code)
//
// A server that ends by itself was not asked to stop, whatever its exit code: graph code can call process.exit. A server that
// had started work restarts without a pause, so that the quarantine finds a run that kills its process. The pause grows while
// no start gets that far. Once a server has been ready, the supervisor never gives up: a full disk, a lost database and a
// busy port recover.
//
// Each server gets an IPC channel. It says {type: "starting", grace_ms}, {type: "lease", id} and {type: "ready", port,
// workers} there, and stops when the channel closes (this process was killed). It gets the lease of the server
// before it, which is gone for certain, so that the runs of that server need not wait for the lease to expire. The first one reads the
// configuration: when it is ready, the other workers are started on its port.
//
// In development a Front (front.mjs) listens in place of the server and holds requests while one process replaces another. The
// server says {type: "listening", hostname, port, internal_port} and is answered {type: "published", port, held} or {type:
// "refused", code}; before it stops for a reload it says {type: "reloading"} and is answered {type: "held"}.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import * as util from "node:util";
import { Front } from "./front.mjs";

const RELOAD = 75;
const UNAVAILABLE = 69;
/** Wrong usage, unavailable, wrong configuration: at the first start the operator has to fix them. */
const FINAL = new Set([64, UNAVAILABLE, 78]);
/** Ctrl-C in a terminal reaches the whole group, and npm passes it on once more: equal signals within this time are one. */
const SAME_SIGNAL_MS = 1_000;
const BACKOFF_MS = [0, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
/** More crashes than the quarantine needs to find a run; after them every restart waits. */
const QUICK_RESTARTS = 20;
/** A server that ran for this long starts with a fresh count. */
const WELL_MS = 60_000;
/** Failed starts of every worker after which the supervisor gives up, if none was ever ready. */
const MAX_FAILED_STARTS = 5;
/** After a second signal the server ends at once by itself; if it cannot (a busy loop in user code), it is killed. */
const FORCE_MS = 2_000;
/** Grace of a server that has not sent its own yet. */
const UNSAID_GRACE_MS = 10_000;
/** A stop that hands everything back is a little longer than its grace. */
const AFTER_GRACE_MS = 3_000;
/** The last bytes of answers that the server has given up. */
const LAST_BYTES_MS = 500;

/**
 * @param {{ command: string, args: string[], fronted?: boolean }} program `fronted`: its port stays open while it restarts.
 * Never returns to the caller's control: the process ends with the server.
 */
export function supervise(program) {
  new Supervisor(program).run();
}

class Supervisor {
  #program;
  #env = withoutDotEnv(process.env);
  /** One entry per process that should run. */
  #workers = [];
  /** Of the last server that got ready; undefined until the first was. */
  #port;
  /** The signal, or the end of a worker, that ends it all. */
  #stopping;
  /** What to end as: the first end that was not a clean one, else the last. */
  #outcome;
  /** When what has not stopped is killed. */
  #killing;
  /** Listens for the server, in development. */
  #front;

  constructor(program) {
    this.#program = program;
    if (program.fronted) this.#front = new Front();
  }

  run() {
    onSignal((signal, again) => this.#stop(signal, again));
    this.#workers.push(newWorker(1));
    this.#start(this.#workers[0], "first");
  }

  #start(worker, reason) {
    worker.waiting = undefined;
    worker.ready = false;
    worker.working = false;
    worker.startedAt = Date.now();
    const child = run(this.#program, { ...this.#env, ...this.#told(worker, reason) });
    worker.child = child;
    child.on("message", (message) => {
      if (message?.type === "starting") worker.graceMs = message.grace_ms;
      // From here on it executes runs, and what they do may end it before it can say that it is ready.
      if (message?.type === "lease") Object.assign(worker, { lease: message.id, working: true });
      if (message?.type === "reloading") void this.#hold(child);
      if (message?.type === "listening") void this.#publish(child, message);
      if (message?.type !== "ready") return;
      this.#front?.release(message.internal_port);
      Object.assign(worker, { ready: true, working: true });
      this.#port = message.port;
      this.#startOthers(message.workers ?? 1);
    });
    child.once("error", (error) => {
      process.stderr.write(`${this.#program.command} could not be started: ${error.message}\n`);
      // Too many processes, or the command is being replaced: that passes.
      if (child.pid === undefined && this.#port !== undefined) return this.#ended(worker, 1, null);
      this.#kill();
      process.exit(1);
    });
    child.once("exit", (code, signal) => this.#ended(worker, code, signal));
  }

  #told(worker, reason) {
    const several = this.#workers.length > 1;
    return {
      FRACTAL_SUPERVISED: reason,
      FRACTAL_LAST_PORT: this.#port === undefined ? "" : String(this.#port),
      FRACTAL_INTERNAL_WORKER: String(worker.index),
      FRACTAL_INTERNAL_PREDECESSOR: worker.lease ?? "",
      FRACTAL_INTERNAL_FRONT: this.#front === undefined ? "" : "1",
      // All of them count the same, also when somebody edits .env meanwhile.
      ...(several && { FRACTAL_WORKERS: String(this.#workers.length) }),
    };
  }

  /** Nothing more is sent to a server that is about to stop, and what it was sent is answered. */
  async #hold(child) {
    this.#front?.hold();
    await this.#front?.settled();
    say(child, { type: "held" });
  }

  async #publish(child, { hostname, port, internal_port: internal }) {
    try {
      const published = await this.#front.listen({ hostname, port });
      const { held } = this.#front;
      await this.#front.rejoin(internal);
      say(child, { type: "published", port: published, held });
    } catch (error) {
      say(child, { type: "refused", code: error.code, message: error.message });
    }
  }

  #startOthers(count) {
    if (this.#stopping !== undefined || this.#workers.length > 1) return;
    while (this.#workers.length < count) this.#workers.push(newWorker(this.#workers.length + 1));
    for (const worker of this.#workers.slice(1)) this.#start(worker, "first");
  }

  #ended(worker, code, signal) {
    worker.child = undefined;
    if (this.#stopping !== undefined || this.#isFinal(code)) return this.#settle(code, signal);
    // Also what it has not announced: a crash.
    this.#front?.hold();
    if (code === RELOAD) return this.#start(worker, "reload");
    const wait = this.#count(worker, code);
    const name = this.#workers.length > 1 ? `Worker ${worker.index}` : "The server";
    const how = signal === null ? `exit code ${code}` : signal;
    const hopeless = this.#workers.every(({ failedStarts }) => failedStarts >= MAX_FAILED_STARTS);
    if (this.#port === undefined && hopeless) {
      process.stderr.write(
        `${name} ended ${worker.failedStarts} times in a row before it was ready (${how}); giving up.\n`,
      );
      // Neither a clean end nor somebody's signal to us: a failure.
      return this.#settle(code || 1, null);
    }
    const failing = FINAL.has(code) || worker.failedStarts >= MAX_FAILED_STARTS;
    const others = this.#isServing() ? ", the others keep serving" : "";
    const what = failing ? `cannot be started${others}` : "ended unexpectedly";
    process.stderr.write(`${name} ${what} (${how}); starting it again${wait > 0 ? ` in ${wait / 1000} s` : ""}.\n`);
    if (wait > 0) this.#front?.refuse(`${name} ${what} (${how}); see its output.`);
    worker.waiting = setTimeout(() => this.#start(worker, "crash"), wait);
  }

  /** @returns How long to wait before the next start. */
  #count(worker, code) {
    if (!worker.working || FINAL.has(code)) {
      worker.failedStarts += 1;
      return pause(worker.failedStarts);
    }
    worker.failedStarts = 0;
    worker.crashes = Date.now() - worker.startedAt > WELL_MS ? 1 : worker.crashes + 1;
    return pause(worker.crashes - QUICK_RESTARTS);
  }

  #isFinal(code) {
    return FINAL.has(code) && this.#port === undefined;
  }

  #isServing() {
    return this.#workers.some(({ child, ready }) => child !== undefined && ready);
  }

  #stop(signal, again) {
    this.#stopping ??= signal;
    this.#front?.stop();
    for (const worker of this.#workers) {
      clearTimeout(worker.waiting);
      worker.child?.kill(signal);
    }
    const graceMs = Math.max(...this.#workers.map((worker) => worker.graceMs ?? UNSAID_GRACE_MS));
    this.#killing ??= setTimeout(() => this.#kill(true), graceMs + AFTER_GRACE_MS);
    if (again) setTimeout(() => this.#kill(), FORCE_MS).unref();
    this.#finishIfAlone(signal);
  }

  /** A server has ended and is not started again: the others end too, and this process with the last of them. */
  #settle(code, signal) {
    if (this.#outcome === undefined || this.#outcome.code === 0) this.#outcome = { code, signal };
    if (this.#stopping === undefined) this.#stop("SIGTERM", false);
    else this.#finishIfAlone(this.#stopping);
  }

  #finishIfAlone(signal) {
    if (this.#workers.some(({ child }) => child !== undefined)) return;
    const { code, signal: ended } = this.#outcome ?? { code: null, signal };
    const end = () => finish(code, ended);
    if (this.#front === undefined) end();
    else void this.#front.drained(LAST_BYTES_MS).then(end);
  }

  /** @param late Their time to stop is over: user code may block the event loop, which then does not see a signal. */
  #kill(late = false) {
    for (const { child } of this.#workers) {
      if (late && child !== undefined) {
        process.stderr.write(`Process ${child.pid} has not stopped in time, its event loop may be blocked; killed.\n`);
      }
      child?.kill("SIGKILL");
    }
  }
}

/** A server that has gone meanwhile hears nothing; its end is dealt with where it is seen. */
function say(child, message) {
  if (child.connected) child.send(message, () => undefined);
}

function newWorker(index) {
  const starts = { ready: false, working: false, startedAt: 0, crashes: 0, failedStarts: 0 };
  return { index, child: undefined, lease: undefined, graceMs: undefined, waiting: undefined, ...starts };
}

/** @param {number} times How often it has failed in a row. */
function pause(times) {
  return BACKOFF_MS[Math.min(Math.max(times - 1, 0), BACKOFF_MS.length - 1)];
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
