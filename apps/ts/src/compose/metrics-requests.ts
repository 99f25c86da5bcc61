import { Histograms, type MetricRegistry, RecentValues } from "@fractal-agents/infra/metrics";
import type { CountedRequest } from "#middleware/metrics";

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const QUANTILES = [0.5, 0.9, 0.99];
const SAMPLES = 1_000;

/** Answered requests: one histogram per route, method and status; every family about requests is read from those. */
export class RequestCounts {
  readonly #series = new Histograms(BOUNDS);
  readonly #recent = new RecentValues(SAMPLES);
  /** An unexpected fault is what people look for, so it is told before the first. */
  readonly #errors = new Map([["handler_error", 0]]);

  add({ route, method, status, seconds, error }: CountedRequest): void {
    this.#series.of(route, method, String(status)).observe(seconds);
    this.#recent.observe(seconds);
    if (error !== undefined) this.#errors.set(error, (this.#errors.get(error) ?? 0) + 1);
  }

  addTo(registry: MetricRegistry): void {
    const counter = (name: string, help: string, route: string) =>
      registry.add({ name, help, type: "counter" }, () =>
        [...this.#series].map(([path, method, status, { count }]) => ({
          labels: { method, [route]: path, status },
          value: count,
        })),
      );
    counter("agent_runtime_requests_total", "Answered requests", "endpoint");
    counter("lg_api_http_requests_total", "Answered requests", "path");
    registry.add({ name: "agent_runtime_errors_total", help: "Failed requests by kind", type: "counter" }, () =>
      [...this.#errors].map(([type, value]) => ({ labels: { type }, value })),
    );
    const summary = "agent_runtime_request_duration_seconds";
    registry.add(
      { name: summary, help: `Until the answer began, over the last ${SAMPLES} requests, seconds`, type: "summary" },
      () => this.#recent.samples(summary, QUANTILES),
    );
    const duration = "fractal_http_request_duration_seconds";
    registry.add({ name: duration, help: "Until the answer began, seconds", type: "histogram" }, () =>
      this.#series.samples(duration, ["route", "method", "status"]),
    );
    const latency = "lg_api_http_requests_latency";
    registry.add({ name: latency, help: "Until the answer began, milliseconds", type: "histogram" }, () =>
      this.#series.merged().samples(latency, ["path", "method"], 1_000),
    );
  }

  /** As the original's JSON has them. */
  told(): { requests: Record<string, number>; errors: Record<string, number>; duration_samples: number } {
    return {
      requests: Object.fromEntries(
        [...this.#series].map(([route, method, status, { count }]) => [`${method}_${route}_${status}`, count]),
      ),
      errors: Object.fromEntries(this.#errors),
      duration_samples: this.#recent.size,
    };
  }
}
