import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "../driver/scenarios.ts";
import { treeCpuMs } from "./proc.ts";

export type Launch = {
  command: string;
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
};

/** How to start a server under test. `dataDir` is empty and its own; the port is free. */
export type ServerSpec = {
  id: "ours" | "bare" | "peer";
  title: string;
  endEvent: boolean;
  /** Milliseconds after load until it has written what it writes later; the next server is measured after that. */
  settleMs: number;
  launch(place: { port: number; dataDir: string }): Launch;
};

export type Spawned = {
  spec: ServerSpec;
  target: Target;
  rootPid: number;
  /** Milliseconds from the spawn to the first 200 on /ok. */
  startMs: number;
  stop(): Promise<void>;
};

const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 10_000;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Process groups of servers that run now, with their directories; removed when the benchmark dies, however it dies. */
const running = new Map<number, string>();

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

process.once("exit", () => {
  for (const [pid, directory] of running) {
    killGroup(pid);
    rmSync(directory, { recursive: true, force: true });
  }
});
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => process.exit(code));
}

async function untilUp(child: ChildProcess, base: string, begun: number): Promise<number> {
  while (performance.now() - begun < START_TIMEOUT) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`it ended with ${child.signalCode ?? `exit code ${child.exitCode}`} before it answered`);
    }
    try {
      const response = await fetch(`${base}/ok`);
      await response.arrayBuffer();
      if (response.status === 200) return performance.now() - begun;
    } catch {
      // Not listening yet: the only failure expected here, and the loop's own limit ends any other.
    }
    await delay(5);
  }
  throw new Error(`it gave no 200 on /ok within ${START_TIMEOUT} ms`);
}

async function stopTree(child: ChildProcess, pid: number): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    await Promise.race([ended, delay(STOP_TIMEOUT)]);
  }
  killGroup(pid);
  running.delete(pid);
}

/** Starts the server in its own process group with an empty data directory and waits until it answers. */
export async function start(spec: ServerSpec): Promise<Spawned> {
  const directory = mkdtempSync(join(tmpdir(), `bench-${spec.id}-`));
  const dataDir = join(directory, "data");
  mkdirSync(dataDir);
  const port = await freePort();
  const { command, args, cwd, env } = spec.launch({ port, dataDir });
  const logFile = join(directory, "server.log");
  const log = openSync(logFile, "w");
  const begun = performance.now();
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  const spawnError = new Promise<never>((_, reject) => child.once("error", reject));
  const pid = child.pid;
  const base = `http://127.0.0.1:${port}`;
  if (pid !== undefined) running.set(pid, directory);
  const stop = async (): Promise<void> => {
    if (pid !== undefined) await stopTree(child, pid);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const startMs = await Promise.race([untilUp(child, base, begun), spawnError]);
    return { spec, target: { base, endEvent: spec.endEvent }, rootPid: pid as number, startMs, stop };
  } catch (error) {
    const tail = readFileSync(logFile, "utf8").slice(-2000);
    await stop();
    throw new Error(
      `${spec.title} did not start: ${(error as Error).message}\n${[command, ...args].join(" ")}\n${tail}`,
    );
  }
}

/** Waits until the tree uses next to no CPU: under 3 % of a core for half a second, at most ten seconds. */
export async function settle(server: Spawned): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const before = treeCpuMs(server.rootPid);
    await delay(500);
    if (!(treeCpuMs(server.rootPid) - before > 15)) return;
  }
}
