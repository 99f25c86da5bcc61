import { treeCpuMs } from "../servers/proc.ts";
import type { Operation, Scenario, Target } from "./scenarios.ts";
import { percentile } from "./stats.ts";

/** Limits of one measurement: it ends when both minima are met, or at the maximum; every operation begun is finished and counted. */
export type Limits = { minSeconds: number; maxSeconds: number; minOps: number };

/** One measurement of one server. Latencies in milliseconds, rates per second; NaN where it does not apply. */
export type Cell = {
  ops: number;
  seconds: number;
  opsPerSecond: number;
  /** user + system time of the server's whole process tree, per operation. */
  cpuMs: number;
  /** The same of the PostgreSQL server, all its processes; NaN for a server without one. */
  databaseMs: number;
  p50: number;
  p95: number;
  p99: number;
  eventsPerSecond: number;
  firstByteP50: number;
  firstEventP50: number;
  firstTokenP50: number;
};

export type Measured = {
  targets: readonly Target[];
  rootPids: readonly number[];
  /** Of the PostgreSQL server behind it. */
  databasePid?: number | undefined;
};

const numbers = (values: (number | undefined)[]): number[] => values.filter((v) => v !== undefined);

const cpuOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + treeCpuMs(pid), 0);

/** Closed loop: each client starts its next operation when its last one is answered and checked. */
export async function runCell(
  server: Measured,
  work: { scenario: Scenario; clients: number },
  limits: Limits,
): Promise<Cell> {
  const operations: Operation[] = [];
  for (const target of server.targets) {
    const operation = await work.scenario.prepare(target);
    await operation();
    operations.push(operation);
  }
  const databasePids = server.databasePid === undefined ? [] : [server.databasePid];
  const latencies: number[] = [];
  const observed: Awaited<ReturnType<Operation>>[] = [];
  const cpuBefore = cpuOf(server.rootPids);
  const databaseBefore = cpuOf(databasePids);
  const start = performance.now();
  const goesOn = (): boolean => {
    const seconds = (performance.now() - start) / 1000;
    return seconds < limits.maxSeconds && (seconds < limits.minSeconds || latencies.length < limits.minOps);
  };
  const client = async (_: unknown, i: number): Promise<void> => {
    const operation = operations[i % operations.length] as Operation;
    while (goesOn()) {
      const begun = performance.now();
      observed.push(await operation());
      latencies.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: work.clients }).map(client));
  const seconds = (performance.now() - start) / 1000;
  const ops = latencies.length;
  const events = numbers(observed.map((o) => o.events));
  return {
    ops,
    seconds,
    opsPerSecond: ops / seconds,
    cpuMs: (cpuOf(server.rootPids) - cpuBefore) / ops,
    databaseMs: databasePids.length === 0 ? Number.NaN : (cpuOf(databasePids) - databaseBefore) / ops,
    p50: percentile(latencies, 50),
    p95: percentile(latencies, 95),
    p99: percentile(latencies, 99),
    eventsPerSecond: events.length === 0 ? Number.NaN : events.reduce((sum, n) => sum + n, 0) / seconds,
    firstByteP50: percentile(numbers(observed.map((o) => o.firstByte)), 50),
    firstEventP50: percentile(numbers(observed.map((o) => o.firstEvent)), 50),
    firstTokenP50: percentile(numbers(observed.map((o) => o.firstToken)), 50),
  };
}

/** Lets the just-in-time compiler of a fresh server see each kind of work before anything is measured. */
export async function warmUp(server: Measured, scenarios: readonly Scenario[], seconds: number): Promise<void> {
  const limits = { minSeconds: seconds, maxSeconds: seconds * 2, minOps: seconds * 50 };
  if (seconds === 0) return;
  for (const scenario of scenarios) await runCell(server, { scenario, clients: 25 }, limits);
}
