import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { createMetrics } from "../../src/compose/metrics.ts";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, until } from "../runs/server.ts";

const LINE = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="[^"\n]*",?)*)\})? (-?[0-9.e+-]+)$/;
const NO_THREAD = "/threads/00000000-0000-4000-8000-000000000000";

/** Series ("name{label="value"}", labels sorted) to value; every line must be one of the exposition format. */
async function scrape(server: RunServer): Promise<Map<string, number>> {
  const { status, headers, text } = await server.get("/metrics");
  expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  const series = new Map<string, number>();
  const wrong: string[] = [];
  const typed = new Set(
    Array.from(text.matchAll(/^# TYPE (\S+) (?:counter|gauge|histogram|summary)$/gm), ([, n]) => n),
  );
  for (const line of text.split("\n").filter((each: string) => each !== "" && !each.startsWith("#"))) {
    const [, name = "", labels = "", value] = LINE.exec(line) ?? [];
    const key = labels === "" ? name : `${name}{${labels.split(",").toSorted().join(",")}}`;
    const known = typed.has(name) || typed.has(name.replace(/_(bucket|sum|count)$/, ""));
    if (!known || series.has(key)) wrong.push(line);
    series.set(key, Number(value));
  }
  expect(wrong).toEqual([]);
  return series;
}

const streams = async (server: RunServer) => (await scrape(server)).get("fractal_streams_open");

describe("Metrics", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("counts requests by declared route, never by the path that was asked for", async () => {
    await server.get(NO_THREAD);
    await server.get(NO_THREAD);
    await server.get("/wp-login.php?secret=1");
    await server.call("POST", "/threads/search", { body: "{" });
    await server.call("PURGE", "/anything");
    await server.call("PUT", "/threads/search");
    await server.call("OPTIONS", "/threads/search");
    const series = await scrape(server);
    const requests = (labels: string) => series.get(`agent_runtime_requests_total{${labels}}`);
    expect(requests('endpoint="/threads/{thread_id}",method="GET",status="404"')).toBe(2);
    expect(requests('endpoint="unmatched",method="GET",status="404"')).toBe(1);
    expect(requests('endpoint="/threads/search",method="POST",status="422"')).toBe(1);
    expect(requests('endpoint="unmatched",method="other",status="404"')).toBe(1);
    expect(series.get('lg_api_http_requests_total{method="GET",path="/threads/{thread_id}",status="404"}')).toBe(2);
    expect(series.get('agent_runtime_errors_total{type="not_found"}')).toBe(2);
    expect(series.get('agent_runtime_errors_total{type="unmatched"}')).toBe(2);
    expect(series.get('agent_runtime_errors_total{type="method_not_allowed"}')).toBe(1);
    expect(series.get('agent_runtime_errors_total{type="handler_error"}')).toBe(0);
    expect([...series.keys()].filter((key) => /00000000|wp-login|secret|PURGE/.test(key))).toEqual([]);
  });

  it("tells durations of the same requests as summary and as histograms", async () => {
    const series = await scrape(server);
    const total = [...series]
      .filter(([key]) => key.startsWith("agent_runtime_requests_total"))
      .reduce((sum, [, value]) => sum + value, 0);
    expect(series.get("agent_runtime_request_duration_seconds_count")).toBe(total);
    const of = (name: string, rest: string) => series.get(`${name}{${rest}}`);
    const labels = 'method="GET",route="/threads/{thread_id}",status="404"';
    expect(of("fractal_http_request_duration_seconds_count", labels)).toBe(2);
    expect(of("fractal_http_request_duration_seconds_bucket", `le="+Inf",${labels}`)).toBe(2);
    const seconds = of("fractal_http_request_duration_seconds_sum", labels) ?? 0;
    const ms = of("lg_api_http_requests_latency_sum", 'method="GET",path="/threads/{thread_id}"') ?? 0;
    expect(seconds).toBeGreaterThan(0);
    expect(ms).toBeCloseTo(seconds * 1000, 6);
    expect(series.get('agent_runtime_request_duration_seconds{quantile="0.99"}')).toBeGreaterThan(0);
  });

  it("counts event streams while they are open, however they end", async () => {
    const before = await streams(server);
    const gated = (name: string) => ({ assistant_id: "gate", input: { name }, on_disconnect: "continue" });
    const { runs } = await server.thread();
    const ended = server.stream(runs, gated("metrics-1"));
    await arrival("metrics-1");
    expect([before, await streams(server)]).toEqual([0, 1]);
    const leaving = new AbortController();
    const other = await server.thread();
    const body = gated("metrics-2");
    const left = await server.open("POST", `${other.runs}/stream`, { body, signal: leaving.signal });
    await arrival("metrics-2");
    expect(await streams(server)).toBe(2);
    leaving.abort();
    await left.text().catch(() => undefined);
    await until(async () => (await streams(server)) === 1);
    open("metrics-1");
    open("metrics-2");
    await ended;
    await until(async () => (await streams(server)) === 0);
  });

  it("is JSON with the original's keys at /metrics/json and by format=json", async () => {
    for (const path of ["/metrics/json", "/metrics?format=json"]) {
      const { status, body } = await server.get(path);
      expect(status).toBe(200);
      expect(body).toMatchObject({
        active_streams: 0,
        agent: { invocations: 2, errors: 0 },
        errors: { not_found: 2, handler_error: 0 },
        storage_up: true,
        queue: { n_pending: 0, n_running: expect.any(Number), n_ready: 0 },
        workers: { max: server.worker.slots, active: 0, available: server.worker.slots },
      });
      expect(body.requests["GET_/threads/{thread_id}_404"]).toBe(2);
      expect(body.uptime_seconds).toBeGreaterThan(0);
      expect(body.duration_samples).toBeGreaterThan(5);
      const names = new Set(body.families.map(({ name }: { name: string }) => name));
      const { text } = await server.get("/metrics");
      expect(Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name]) => name).filter((n) => !names.has(n))).toEqual([]);
    }
    expect((await server.get("/metrics?format=xml")).status).toBe(422);
    expect((await server.get("/info")).body.capabilities.metrics).toBe(true);
  });

  it("is switched off with the rest of what tells about the server", async () => {
    await using quiet = await RunServer.start({}, undefined, { config: { disabled: new Set(["meta"]) } });
    expect((await quiet.get("/metrics")).status).toBe(404);
    expect((await quiet.get("/metrics/json")).status).toBe(404);
  });
});

describe("Metrics of runs", () => {
  it("tells what is executed and what waits, and nothing of it when all has ended", async () => {
    await using server = await RunServer.start({ N_JOBS_PER_WORKER: "2" });
    const first = await server.thread();
    const body = { assistant_id: "gate", input: { name: "metrics-3" }, multitask_strategy: "enqueue" };
    const running = (await server.post(first.runs, body)).body;
    await arrival("metrics-3");
    // Behind the first on its thread: pending, and not ready.
    const waiting = (await server.post(first.runs, body)).body;
    let series = await scrape(server);
    const told = (...names: string[]) => names.map((name) => series.get(name));
    expect(told("fractal_storage_up", "fractal_runs_running", "fractal_runs_ready")).toEqual([1, 1, 0]);
    expect(told("lg_api_num_pending_runs", "lg_api_num_running_runs")).toEqual([1, 1]);
    expect(told("lg_api_workers_max", "lg_api_workers_active", "fractal_slots_free")).toEqual([2, 1, 1]);
    expect(series.get("fractal_runs_ready_oldest_seconds")).toBe(0);
    open("metrics-3");
    await server.reached(running, "success");
    await server.reached(waiting, "success");
    await server.post(`${(await server.thread()).runs}/wait`, { assistant_id: "failing", input: {} });
    await server.stream((await server.thread()).runs, { assistant_id: "counter", input: { steps: 2 } });
    await until(async () => {
      const { workers, queue } = (await server.get("/metrics/json")).body;
      return workers.available === 2 && queue.n_running === 0;
    });
    series = await scrape(server);
    expect(told("agent_runtime_agent_invocations_total", "agent_runtime_agent_errors_total")).toEqual([4, 1]);
    expect(told('fractal_run_duration_seconds_count{graph_id="gate",status="success"}')).toEqual([2]);
    expect(told('fractal_run_duration_seconds_count{graph_id="failing",status="error"}')).toEqual([1]);
    expect(told('fractal_queue_wait_seconds_count{graph_id="gate"}')).toEqual([2]);
    expect(told("lg_api_run_queue_wait_time_1st_attempt_count")).toEqual([4]);
    expect(told('fractal_time_to_first_event_seconds_count{graph_id="counter"}')).toEqual([1]);
    expect(told("fractal_lane_repairs_total", "fractal_lease_losses_total")).toEqual([0, 0]);
    expect(told('fractal_swept_runs_total{result="requeued"}', "fractal_fence_refusals_total")).toEqual([0, 0]);
    expect(series.get("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
    expect(series.get("process_cpu_seconds_total")).toBeGreaterThan(0);
  });

  it("asks the database once for many scrapes", async () => {
    await using server = await RunServer.start();
    const { runs } = server.storage;
    let asked = 0;
    const counts = runs.counts.bind(runs);
    Object.assign(runs, {
      counts: () => {
        asked += 1;
        return counts();
      },
    });
    await Promise.all(Array.from({ length: 20 }, () => scrape(server)));
    expect(asked).toBe(1);
  });

  it.each([
    ["refuses", () => Promise.reject(new Error("gone"))],
    ["does not answer", () => new Promise<never>(() => undefined)],
  ])("says so and leaves out what it does not know when the database %s", async (_how, counts) => {
    await using server = await RunServer.start();
    Object.assign(server.storage.runs, { counts });
    Object.assign(server.storage, { totals: counts });
    await server.get(NO_THREAD);
    const series = await scrape(server);
    expect(series.get("fractal_storage_up")).toBe(0);
    const unknown = /^(fractal_runs_(ready|running)|lg_api_num_|agent_runtime_(assistants|threads|runs)_)/;
    expect([...series.keys()].filter((key) => unknown.test(key))).toEqual([]);
    const labels = 'endpoint="/threads/{thread_id}",method="GET",status="404"';
    expect(series.get(`agent_runtime_requests_total{${labels}}`)).toBe(1);
    const { body } = await server.get("/metrics/json");
    expect(body).toMatchObject({ storage_up: false, queue: null, storage: null });
  });
});

describe("Metrics of a storage that tells everything", () => {
  it("has totals of every status, the pool, refusals, lease losses, sweeps and repairs", async () => {
    let asked = 0;
    const { observer, text, json } = createMetrics({
      storage: {
        counts: async () => {
          asked += 1;
          return { pending: 3, running: 2, ready: 1, oldest_ms: 1500, quarantined: 4 };
        },
        totals: async () => ({ assistants: 4, threads: 5, runs: { pending: 3, running: 2, success: 10 } }),
        connections: () => ({ total: 6, idle: 4, waiting: 7, max: 10 }),
        fenceRefusals: () => 9,
      },
      slots: () => undefined,
      logger: createLogger({ level: "warn", json: true, write: () => undefined }),
    });
    observer.leaseLost();
    observer.repaired(2);
    observer.unserved({ old: 4, older: 1 });
    observer.unserved({ older: 2 });
    observer.swept({ requeued: 3, interrupted: 0, removed: 0, exhausted: 1, exonerated: 0 });
    observer.swept({ requeued: 1, interrupted: 0, removed: 0, exhausted: 0, exonerated: 2 });
    observer.interrupted({ graph_id: "g", reason: "fenced" });
    // Clocks of two machines may disagree: a wait is never less than nothing, and counting never throws.
    observer.claimed({ graph_id: "g", waited: -0.5, attempt: 2 });
    observer.claimed({ graph_id: 'a "quoted" name', waited: Number.NaN, attempt: 2 });
    observer.ended({ run_id: "r", thread_id: "t", graph_id: "g", status: "timeout", seconds: 70 });
    const [{ body }, told] = await Promise.all([text(), json()]);
    expect(asked).toBe(1);
    for (const line of [
      "fractal_runs_ready_oldest_seconds 1.5",
      "agent_runtime_assistants_total 4",
      "agent_runtime_threads_total 5",
      "agent_runtime_runs_total 15",
      'agent_runtime_runs_by_status{status="success"} 10',
      'agent_runtime_runs_by_status{status="error"} 0',
      'fractal_pool_connections{state="in_use"} 2',
      'fractal_pool_connections{state="idle"} 4',
      'fractal_pool_connections{state="waiting"} 7',
      "lg_api_pg_pool_max 10",
      "lg_api_pg_pool_size 6",
      "fractal_fence_refusals_total 9",
      "fractal_lease_losses_total 1",
      "fractal_lane_repairs_total 2",
      'fractal_runs_unserved{graph_id="older"} 2',
      'fractal_swept_runs_total{result="requeued"} 4',
      'fractal_swept_runs_total{result="exhausted"} 1',
      'fractal_attempts_interrupted_total{reason="fenced"} 1',
      'fractal_queue_wait_seconds_sum{graph_id="g"} 0',
      'fractal_queue_wait_seconds_count{graph_id="a \\"quoted\\" name"} 1',
      "lg_api_run_queue_wait_time_1st_attempt_count 0",
      "agent_runtime_agent_invocations_total 2",
      "agent_runtime_agent_errors_total 1",
      'fractal_run_duration_seconds_bucket{graph_id="g",status="timeout",le="60"} 0',
      'fractal_run_duration_seconds_bucket{graph_id="g",status="timeout",le="120"} 1',
      'lg_api_run_execution_latency_sum{graph_id="g",status="timeout"} 70000',
    ]) {
      expect(body.split("\n")).toContain(line);
    }
    expect(body).not.toContain('fractal_runs_unserved{graph_id="old"}');
    // An API process executes nothing, so it has no slots to tell of.
    expect(body).not.toMatch(/^(lg_api_workers|fractal_slots)\S* \d/m);
    expect(told).toMatchObject({
      storage: { assistants: 4, threads: 5, runs: 15, runs_by_status: { success: 10, error: 0 } },
      queue: { n_pending: 3, n_running: 2, n_ready: 1, ready_oldest_seconds: 1.5 },
      pool: { max: 10, size: 6, idle: 4, waiting: 7 },
      workers: null,
    });
  });
});
