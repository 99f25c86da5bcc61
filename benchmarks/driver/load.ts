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
  p50: number;
  p95: number;
  p99: number;
  eventsPerSecond: number;
  firstByteP50: number;
  firstEventP50: number;
  firstTokenP50: number;
};

export type Measured = { target: Target; rootPid: number };

const numbers = (values: (number | undefined)[]): number[] => values.filter((v) => v !== undefined);

/** Closed loop: each client starts its next operation when its last one is answered and checked. */
export async function runCell(
  server: Measured,
  work: { scenario: Scenario; clients: number },
  limits: Limits,
): Promise<Cell> {
  const operation = await work.scenario.prepare(server.target);
  await operation();
  const latencies: number[] = [];
  const observed: Awaited<ReturnType<Operation>>[] = [];
  const cpuBefore = treeCpuMs(server.rootPid);
  const start = performance.now();
  const goesOn = (): boolean => {
    const seconds = (performance.now() - start) / 1000;
    return seconds < limits.maxSeconds && (seconds < limits.minSeconds || latencies.length < limits.minOps);
  };
  const client = async (): Promise<void> => {
    while (goesOn()) {
      const begun = performance.now();
      observed.push(await operation());
      latencies.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: work.clients }, client));
  const seconds = (performance.now() - start) / 1000;
  const ops = latencies.length;
  const events = numbers(observed.map((o) => o.events));
  return {
    ops,
    seconds,
    opsPerSecond: ops / seconds,
    cpuMs: (treeCpuMs(server.rootPid) - cpuBefore) / ops,
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
