import { Histogram, type MetricRegistry } from "./metrics.ts";

/** How often the event loop is looked at. A hold-up that is shorter than this is seen with the share of it. */
const LOOK_EVERY_MS = 250;
const LAG_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * How late the event loop is, by a timer that should fire regularly. The histograms of `node:perf_hooks` mean different
 * things on Bun and on Node.
 */
export class LoopLag {
  readonly lag = new Histogram(LAG_BOUNDS);
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    if (this.#timer !== undefined) return;
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.lag.observe((now - last - LOOK_EVERY_MS) / 1_000);
      last = now;
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** CPU, memory and start of the process: what Bun and Node both tell truly, under Prometheus's usual names. */
export function addProcessMetrics(registry: MetricRegistry): void {
  const counter = { type: "counter" } as const;
  const gauge = { type: "gauge" } as const;
  registry.addValue(
    { ...counter, name: "process_cpu_user_seconds_total", help: "User CPU time of the process, seconds" },
    () => process.cpuUsage().user / 1e6,
  );
  registry.addValue(
    { ...counter, name: "process_cpu_system_seconds_total", help: "System CPU time of the process, seconds" },
    () => process.cpuUsage().system / 1e6,
  );
  registry.addValue(
    { ...counter, name: "process_cpu_seconds_total", help: "User and system CPU time of the process, seconds" },
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  registry.addValue(
    { ...gauge, name: "process_resident_memory_bytes", help: "Resident memory of the process, bytes" },
    () => process.memoryUsage.rss(),
  );
  const startedAt = Date.now() / 1_000 - process.uptime();
  registry.addValue(
    { ...gauge, name: "process_start_time_seconds", help: "Start of the process, Unix time in seconds" },
    () => startedAt,
  );
}
