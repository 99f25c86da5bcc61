import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "../driver/scenarios.ts";
import { freePort } from "./free-port.ts";
import { treeCpuMs } from "./proc.ts";

export type Launch = {
  command: string;
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
};

/** Where a process may live: `dataDir` is empty and its own, the port is free, the database is the server's own. */
export type Place = { port: number; dataDir: string; databaseUrl: string };

/** How to start a server under test. */
export type ServerSpec = {
  id: string;
  title: string;
  /** Head of its column. */
  head: string;
  endEvent: boolean;
  /** Milliseconds after load until it has written what it writes later; the next server is measured after that. */
  settleMs: number;
  /** Whether it gets an empty database of the round's PostgreSQL server. */
  database?: boolean;
  /** How many times it is started, on as many ports and one database; the driver's clients are spread over them. */
  instances?: number;
  launch(place: Place): Launch;
};

export type Spawned = {
  spec: ServerSpec;
  targets: readonly Target[];
  rootPids: readonly number[];
  /** Milliseconds from the spawn of the first process to its first 200 on /ok. */
  startMs: number;
  stop(): Promise<void>;
};

const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 10_000;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

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

type Process = { target: Target; pid: number; startMs: number; stop(): Promise<void> };

/** Starts one process in its own group with an empty data directory and waits until it answers. */
async function startProcess(spec: ServerSpec, databaseUrl: string): Promise<Process> {
  const directory = mkdtempSync(join(tmpdir(), `bench-${spec.id}-`));
  const dataDir = join(directory, "data");
  mkdirSync(dataDir);
  const port = await freePort();
  const { command, args, cwd, env } = spec.launch({ port, dataDir, databaseUrl });
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
    return { target: { base, endEvent: spec.endEvent }, pid: pid as number, startMs, stop };
  } catch (error) {
    const tail = readFileSync(logFile, "utf8").slice(-2000);
    await stop();
    throw new Error(
      `${spec.title} did not start: ${(error as Error).message}\n${[command, ...args].join(" ")}\n${tail}`,
    );
  }
}

/** Starts the server; `databaseUrl` is empty for one that has no database. */
export async function start(spec: ServerSpec, databaseUrl = ""): Promise<Spawned> {
  const processes: Process[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(processes.map((process) => process.stop())));
  try {
    for (let i = 0; i < (spec.instances ?? 1); i++) processes.push(await startProcess(spec, databaseUrl));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    spec,
    targets: processes.map(({ target }) => target),
    rootPids: processes.map(({ pid }) => pid),
    startMs: (processes[0] as Process).startMs,
    stop,
  };
}

const cpuMs = (server: Spawned): number => server.rootPids.reduce((sum, pid) => sum + treeCpuMs(pid), 0);

/** Waits until the tree uses next to no CPU: under 3 % of a core for half a second, at most ten seconds. */
export async function settle(server: Spawned): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const before = cpuMs(server);
    await delay(500);
    if (!(cpuMs(server) - before > 15)) return;
  }
}
