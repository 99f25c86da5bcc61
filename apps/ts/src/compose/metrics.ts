import type { Logger } from "@fractal-agents/infra/logger";
import { MetricRegistry } from "@fractal-agents/infra/metrics";
import { addProcessMetrics, LoopLag } from "@fractal-agents/infra/metrics-process";
import type { StorageGauges, StorageTotals } from "#core/gauges";
import type { RunObserver } from "#core/runs/observer";
import type { CountedRequest } from "#middleware/metrics";
import type { MetricsSource } from "#routes/metrics";
import type { StreamCount } from "#routes/sse";
import type { Metrics as MetricsBody } from "#schemas/metrics";
import type { RunStatus } from "#schemas/runs";
import { RequestCounts } from "./metrics-requests.ts";
import { RunCounts } from "./metrics-runs.ts";
import { Reading } from "./readings.ts";

/** An answer of the database is told for this long; totals, which cost more, for longer. */
const COUNTS_GOOD_FOR_MS = 2_000;
const TOTALS_GOOD_FOR_MS = 15_000;
/** A scrape waits no longer than this for the database, and leaves out what it did not tell. */
const PATIENCE_MS = 1_000;

export interface MetricsDeps {
  storage: StorageGauges;
  /** Of this process's worker; undefined where nothing is executed. */
  slots(): { max: number; running: number } | undefined;
  logger: Logger;
}

export interface Metrics extends MetricsSource {
  readonly observer: RunObserver;
  readonly streams: StreamCount;
  answered(request: CountedRequest): void;
  /** Begins to watch the event loop, until `stop`. Everything else counts from the beginning. */
  start(): void;
  stop(): void;
}

/** What the storage knew when a scrape began. */
interface Snapshot {
  up: boolean;
  counts: Awaited<ReturnType<StorageGauges["counts"]>> | undefined;
  totals: StorageTotals | undefined;
}

/** All that this process counts, and the two ways to read it. Opens and starts nothing. */
export function createMetrics(deps: MetricsDeps): Metrics {
  const { storage } = deps;
  const startedAt = performance.now();
  const registry = new MetricRegistry();
  const requests = new RequestCounts();
  const runs = new RunCounts();
  const loop = new LoopLag();
  let open = 0;
  let cutOff = 0;
  let latest: Snapshot = { up: false, counts: undefined, totals: undefined };
  const onError = (error: unknown) => deps.logger.warn({ err: error }, "metrics: the database did not answer");
  const counts = new Reading({ ask: () => storage.counts(), goodForMs: COUNTS_GOOD_FOR_MS, onError });
  const ask = storage.totals;
  const totals = ask && new Reading({ ask: () => ask(), goodForMs: TOTALS_GOOD_FOR_MS, onError });

  const uptime = () => (performance.now() - startedAt) / 1_000;
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    registry.addValue({ name, help, type: "gauge" }, read);
  gauge("agent_runtime_uptime_seconds", "Seconds since this process began to serve", uptime);
  requests.addTo(registry);
  gauge("agent_runtime_active_streams", "Event streams that this process is sending now", () => open);
  gauge("fractal_streams_open", "Event streams that this process is sending now", () => open);
  registry.addValue(
    {
      name: "fractal_streams_cut_off_total",
      help: "Event streams broken off because their client did not read",
      type: "counter",
    },
    () => cutOff,
  );
  runs.addTo(registry, storage.fenceRefusals);
  addStorageGauges(registry, () => latest);
  addWorkerGauges(registry, deps);
  registry.add(
    { name: "fractal_event_loop_lag_seconds", help: "How late a regular timer fires, seconds", type: "histogram" },
    () => loop.lag.samples("fractal_event_loop_lag_seconds", {}),
  );
  addProcessMetrics(registry);

  /** Registries read their families at once, so what must be waited for is fetched before. */
  async function refresh(): Promise<void> {
    const [known, all] = await Promise.all([counts.now(PATIENCE_MS), totals?.now(PATIENCE_MS)]);
    latest = { up: known !== undefined, counts: known, totals: all };
  }

  return {
    observer: runs.observer,
    streams: { opened: () => void open++, closed: () => void open--, cutOff: () => void cutOff++ },
    answered: (request) => requests.add(request),
    start: () => loop.start(),
    stop: () => loop.stop(),
    text: async () => {
      await refresh();
      return { body: await registry.text(), contentType: registry.contentType };
    },
    json: async () => {
      await refresh();
      return {
        uptime_seconds: uptime(),
        ...requests.told(),
        active_streams: open,
        agent: { invocations: runs.invocations, errors: runs.errors },
        ...storageBody(latest),
        ...workerBody(deps),
        families: await registry.json(),
      } satisfies MetricsBody;
    },
  };
}

function addStorageGauges(registry: MetricRegistry, now: () => Snapshot): void {
  const gauge = (name: string, help: string, read: (snapshot: Snapshot) => number | undefined) =>
    registry.addValue({ name, help, type: "gauge" }, () => read(now()));
  // These tell of the whole database: every process on it says the same, so take the maximum, not the sum.
  gauge("fractal_storage_up", "Whether the database answered this scrape in time", ({ up }) => (up ? 1 : 0));
  gauge("fractal_runs_ready", "Runs that are due and could start, in the database", ({ counts }) => counts?.ready);
  gauge(
    "fractal_runs_ready_oldest_seconds",
    "How long the oldest of the ready runs waits, seconds",
    ({ counts }) => counts && counts.oldest_ms / 1_000,
  );
  gauge("fractal_runs_running", "Runs that are executed anywhere, in the database", ({ counts }) => counts?.running);
  gauge(
    "fractal_runs_quarantined",
    "Runs that are tried apart, or wait for it, because their process died, in the database",
    ({ counts }) => counts?.quarantined,
  );
  gauge("lg_api_num_pending_runs", "Runs that are pending, in the database", ({ counts }) => counts?.pending);
  gauge("lg_api_num_running_runs", "Runs that are running, in the database", ({ counts }) => counts?.running);
  gauge("agent_runtime_assistants_total", "Assistants in the database", ({ totals }) => totals?.assistants);
  gauge("agent_runtime_threads_total", "Threads in the database", ({ totals }) => totals?.threads);
  gauge("agent_runtime_runs_total", "Runs in the database", ({ totals }) => totals && sum(totals.runs));
  const byStatus = { name: "agent_runtime_runs_by_status", help: "Runs in the database", type: "gauge" } as const;
  registry.add(byStatus, () =>
    Object.entries(runsByStatus(now()) ?? {}).map(([status, value]) => ({ labels: { status }, value })),
  );
}

function addWorkerGauges(registry: MetricRegistry, { slots, storage }: MetricsDeps): void {
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    registry.addValue({ name, help, type: "gauge" }, read);
  const free = () => workersOf(slots)?.available;
  gauge("fractal_slots_free", "Runs that this process could take on now", free);
  gauge("lg_api_workers_max", "Runs that this process executes at once", () => workersOf(slots)?.max);
  gauge("lg_api_workers_active", "Runs that this process executes now", () => workersOf(slots)?.active);
  gauge("lg_api_workers_available", "Runs that this process could take on now", free);
  const { connections } = storage;
  if (connections === undefined) return;
  registry.add(
    { name: "fractal_pool_connections", help: "Database connections of this process, and waiters", type: "gauge" },
    () => {
      const { total, idle, waiting } = connections();
      const states = { in_use: total - idle, idle, waiting };
      return Object.entries(states).map(([state, value]) => ({ labels: { state }, value }));
    },
  );
  gauge("fractal_pool_connections_max", "Database connections that this process may open", () => connections().max);
  gauge("lg_api_pg_pool_max", "Database connections that this process may open", () => connections().max);
  gauge("lg_api_pg_pool_size", "Database connections that this process has open", () => connections().total);
  gauge("lg_api_pg_pool_available", "Database connections that are idle", () => connections().idle);
}

function storageBody({ up, counts, totals }: Snapshot): Pick<MetricsBody, "storage" | "storage_up" | "queue"> {
  return {
    storage_up: up,
    storage:
      totals === undefined
        ? null
        : {
            assistants: totals.assistants,
            threads: totals.threads,
            runs: sum(totals.runs),
            runs_by_status: runsByStatus({ totals, counts }) ?? {},
          },
    queue:
      counts === undefined
        ? null
        : {
            n_pending: counts.pending,
            n_running: counts.running,
            n_ready: counts.ready,
            ready_oldest_seconds: counts.oldest_ms / 1_000,
          },
  };
}

function workerBody({ slots, storage }: MetricsDeps): Pick<MetricsBody, "workers" | "pool"> {
  const pool = storage.connections?.();
  return {
    workers: workersOf(slots) ?? null,
    pool: pool === undefined ? null : { max: pool.max, size: pool.total, idle: pool.idle, waiting: pool.waiting },
  };
}

function workersOf(slots: MetricsDeps["slots"]): { max: number; active: number; available: number } | undefined {
  const known = slots();
  if (known === undefined) return undefined;
  return { max: known.max, active: known.running, available: Math.max(0, known.max - known.running) };
}

/** Those of every status where the totals are known, else of the two that the queue knows. */
function runsByStatus({ totals, counts }: Pick<Snapshot, "totals" | "counts">): Record<string, number> | undefined {
  const none = { pending: 0, running: 0, success: 0, error: 0, timeout: 0, interrupted: 0 };
  if (totals !== undefined) return { ...none, ...totals.runs };
  return counts && { pending: counts.pending, running: counts.running };
}

function sum(byStatus: Partial<Record<RunStatus, number>>): number {
  return Object.values(byStatus).reduce((all, count) => all + count, 0);
}
