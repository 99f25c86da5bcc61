import { randomUUID } from "node:crypto";
import type { ClaimRequest, NewRun } from "../../apps/ts/src/core/runs/repository.ts";
import type { Storage } from "../../apps/ts/src/core/storage.ts";
import { percentile } from "../driver/stats.ts";
import type { PostgresCluster } from "../servers/postgres.ts";

const SCOPE = { tenant: "default", owner: "anonymous", permissions: [], filters: undefined };
const GRAPH = "bench";
const ASSISTANT = "11111111-1111-4111-8111-111111111111";
const CLAIM: ClaimRequest = { worker_id: "bench", slots: 1, graphs: [GRAPH] };
const AN_HOUR = 3_600_000;

/** Makes the storage's only worker, whose lease outlasts the measurement. */
export async function enlist(storage: Storage): Promise<void> {
  const worker = {
    worker_id: CLAIM.worker_id,
    instance: "bench",
    role: "worker",
    version: "0",
    capacity: 100,
  } as const;
  await storage.workers.register(worker, AN_HOUR);
}

function newRun(): NewRun {
  return {
    run_id: randomUUID(),
    thread_id: randomUUID(),
    assistant_id: ASSISTANT,
    graph_id: GRAPH,
    revision: null,
    metadata: {},
    kwargs: { input: { messages: [] } },
    multitask_strategy: "enqueue",
    durability: "async",
    stateless: false,
    on_completion: "keep",
    logged: false,
    after_seconds: 0,
    max_attempts: 3,
    idempotency_key: null,
    if_not_exists: "create",
    thread_metadata: {},
  };
}

/** As a server with a free slot does it: the run is claimed in the transaction that creates it. */
async function cycle(storage: Storage): Promise<void> {
  const created = await storage.runs.create(SCOPE, newRun(), CLAIM);
  if (created.kind !== "created" || !created.claimed) throw new Error(`a run was not claimed: ${created.kind}`);
  const { run } = created;
  const fence = { threadId: run.thread_id, runId: run.run_id, epoch: run.epoch };
  const state = { values: "{}", interrupts: {}, pending: false };
  const finished = await storage.runs.finish(fence, { status: "success", error: null, scope: "", state, events: [] });
  if (finished.kind !== "finished") throw new Error(`a run was not finished: ${finished.kind}`);
}

/** Runs accepted, taken from the queue and finished per second, `at` so many at once. */
export async function cyclesPerSecond(storage: Storage, at: number, seconds: number): Promise<number> {
  let done = 0;
  const start = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() - start < seconds * 1000) {
      await cycle(storage);
      done++;
    }
  };
  await Promise.all(Array.from({ length: at }, client));
  return (done * 1000) / (performance.now() - start);
}

const CHUNK = 5_000;

/** Queues runs on as many threads, through the function that a server calls, but without a trip for each. */
export async function fill(cluster: PostgresCluster, database: string, runs: number): Promise<void> {
  for (let done = 0; done < runs; done += CHUNK) {
    await cluster.query(
      `select count(*) from (select (fractal.create_run_v1(json_build_object('run_id', gen_random_uuid(), 'thread_id',
        gen_random_uuid(), 'tenant', '${SCOPE.tenant}', 'owner', '${SCOPE.owner}', 'assistant_id', '${ASSISTANT}',
        'graph_id', '${GRAPH}', 'multitask_strategy', 'enqueue', 'durability', 'async', 'on_completion', 'keep',
        'stateless', false, 'logged', false, 'priority', 0, 'ahead_ms', 0, 'delay_ms', 0, 'max_attempts', 3,
        'if_not_exists', 'create', 'thread_metadata', '{}'::json), '{}', '{}', '{}', null, null)).kind
        from generate_series(1, ${Math.min(CHUNK, runs - done)})) made`,
      database,
    );
  }
}

/** How long it takes to claim one run of those that wait, milliseconds. */
export async function claimTimes(storage: Storage, times: number): Promise<{ p50: number; p99: number }> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    const claimed = await storage.runs.claim(CLAIM);
    taken.push(performance.now() - begun);
    if (claimed.length !== 1) throw new Error(`a claim of one run got ${claimed.length}`);
  }
  return { p50: percentile(taken, 50), p99: percentile(taken, 99) };
}

/** Of a queue with nothing to claim. */
export async function emptyClaimTimes(storage: Storage, times: number): Promise<{ p50: number; p99: number }> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    await storage.runs.claim(CLAIM);
    taken.push(performance.now() - begun);
  }
  return { p50: percentile(taken, 50), p99: percentile(taken, 99) };
}
