import { Histogram, Histograms, type MetricRegistry } from "@fractal-agents/infra/metrics";
import type { RunObserver } from "#core/runs/observer";

/** Waits and first events, and whole runs, which may take an hour. Seconds. */
const SHORT = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const LONG = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

type Swept = Parameters<RunObserver["swept"]>[0];
type Interruption = Parameters<RunObserver["interrupted"]>[0]["reason"];

/** What the engine tells of its runs. */
export class RunCounts {
  readonly #wait = new Histograms(SHORT);
  readonly #firstWait = new Histogram(SHORT);
  readonly #duration = new Histograms(LONG);
  readonly #firstEvent = new Histograms(SHORT);
  readonly #interrupted: Record<Interruption, number> = { released: 0, retried: 0, fenced: 0 };
  readonly #swept: Swept = { requeued: 0, interrupted: 0, removed: 0, exhausted: 0, exonerated: 0 };
  #leaseLosses = 0;
  #repairs = 0;
  #unserved: Record<string, number> = {};
  /** Attempts that began here. */
  invocations = 0;
  /** Runs that ended here with error or timeout. */
  errors = 0;

  readonly observer: RunObserver = {
    claimed: ({ graph_id, waited, attempt }) => {
      this.invocations += 1;
      this.#wait.of(graph_id).observe(waited);
      if (attempt === 1) this.#firstWait.observe(waited);
    },
    firstEvent: ({ graph_id, seconds }) => this.#firstEvent.of(graph_id).observe(seconds),
    ended: ({ graph_id, status, seconds }) => {
      if (status === "error" || status === "timeout") this.errors += 1;
      this.#duration.of(graph_id, status).observe(seconds);
    },
    interrupted: ({ reason }) => {
      this.#interrupted[reason] += 1;
    },
    leaseLost: () => {
      this.#leaseLosses += 1;
    },
    swept: (results) => {
      for (const [result, count] of Object.entries(results)) this.#swept[result as keyof Swept] += count;
    },
    unserved: (runs) => {
      this.#unserved = runs;
    },
    repaired: (lanes) => {
      this.#repairs += lanes;
    },
  };

  /** @param refusals Of the storage; where it does not count them, the attempts that ended so do. */
  addTo(registry: MetricRegistry, refusals: (() => number) | undefined): void {
    const counter = (name: string, help: string, read: () => number) =>
      registry.addValue({ name, help, type: "counter" }, read);
    counter("agent_runtime_agent_invocations_total", "Attempts of runs that began here", () => this.invocations);
    counter("agent_runtime_agent_errors_total", "Runs that ended here with error or timeout", () => this.errors);
    counter("fractal_lease_losses_total", "Times that this process lost its lease", () => this.#leaseLosses);
    counter("fractal_lane_repairs_total", "Lanes that had to be mended; must stay 0", () => this.#repairs);
    counter(
      "fractal_fence_refusals_total",
      "Writes, or attempts, refused because the run had moved on",
      refusals ?? (() => this.#interrupted.fenced),
    );
    const byLabel = (family: { name: string; help: string; label: string }, counts: Record<string, number>) =>
      registry.add({ name: family.name, help: family.help, type: "counter" }, () =>
        Object.entries(counts).map(([value, count]) => ({ labels: { [family.label]: value }, value: count })),
      );
    byLabel(
      { name: "fractal_swept_runs_total", help: "Runs taken over from processes that are gone", label: "result" },
      this.#swept,
    );
    byLabel(
      {
        name: "fractal_attempts_interrupted_total",
        help: "Attempts that ended without ending their run",
        label: "reason",
      },
      this.#interrupted,
    );
    registry.add(
      {
        name: "fractal_runs_unserved",
        help: "Runs that have waited for a minute for a graph that this process has not loaded",
        type: "gauge",
      },
      () => Object.entries(this.#unserved).map(([graph_id, value]) => ({ labels: { graph_id }, value })),
    );
    this.#addHistograms(registry);
  }

  #addHistograms(registry: MetricRegistry): void {
    const seconds = (name: string, help: string, of: { series: Histograms; labels: string[] }) =>
      registry.add({ name, help: `${help}, seconds`, type: "histogram" }, () => of.series.samples(name, of.labels));
    seconds("fractal_queue_wait_seconds", "From when a run was due to its claim", {
      series: this.#wait,
      labels: ["graph_id"],
    });
    seconds("fractal_run_duration_seconds", "Last attempt of a run that ended", {
      series: this.#duration,
      labels: ["graph_id", "status"],
    });
    seconds("fractal_time_to_first_event_seconds", "From the creation of a streamed run to its first event", {
      series: this.#firstEvent,
      labels: ["graph_id"],
    });
    const wait = "lg_api_run_queue_wait_time_1st_attempt";
    registry.add({ name: wait, help: "From due to the first claim, milliseconds", type: "histogram" }, () =>
      this.#firstWait.samples(wait, {}, 1_000),
    );
    const latency = "lg_api_run_execution_latency";
    registry.add({ name: latency, help: "Last attempt of a run, milliseconds", type: "histogram" }, () =>
      this.#duration.samples(latency, ["graph_id", "status"], 1_000),
    );
  }
}
