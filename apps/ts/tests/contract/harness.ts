import { afterEach, beforeEach } from "bun:test";
import { randomUUID } from "node:crypto";
import type { CheckpointRow, Encoded, FencedWrite, WriteRow } from "#core/checkpoints/repository";
import { ANONYMOUS, type AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { EventRow, NewRun, RunOutcome, RunRecord, SweptRun } from "#core/runs/repository";
import type { WorkerInfo } from "#core/runs/workers";
import type { Storage } from "#core/storage";

/** An engine under test: a fresh, empty storage whose clock can be wound forward. */
export interface Engine {
  name: string;
  open(): Promise<{ storage: Storage; advance(ms: number): Promise<void>; close(): Promise<void> }>;
}

export interface Bench {
  storage: Storage;
  /** Moves the database's clock. */
  advance(ms: number): Promise<void>;
}

/** Makes a fresh storage for every test of the enclosing describe; its workers "w1" and "w2" are live. */
export function useStorage(engine: Engine): Bench {
  let current: Awaited<ReturnType<Engine["open"]>> | undefined;
  beforeEach(async () => {
    current = await engine.open();
    for (const worker of ["w1", "w2"]) await enlist(current, worker);
  });
  afterEach(async () => {
    await current?.close();
    current = undefined;
  });
  const now = () => {
    if (current === undefined) throw new Error("only inside a test");
    return current;
  };
  return {
    get storage() {
      return now().storage;
    },
    advance: (ms) => now().advance(ms),
  };
}

export const id = (): string => randomUUID();
export const ALICE: AuthScope = { ...ANONYMOUS, owner: "alice" };
/** Another user of the same tenant, and the same name in another tenant. */
export const STRANGERS: AuthScope[] = [
  { ...ANONYMOUS, owner: "mallory" },
  { ...ANONYMOUS, tenant: "elsewhere", owner: "alice" },
  { ...ALICE, filters: { team: "red" } },
];

export function newRun(threadId: string, changes: Partial<NewRun> = {}): NewRun {
  return {
    run_id: id(),
    thread_id: threadId,
    assistant_id: "11111111-1111-4111-8111-111111111111",
    graph_id: "agent",
    revision: null,
    metadata: {},
    kwargs: { input: { text: "hi" } },
    multitask_strategy: "enqueue",
    durability: "async",
    stateless: false,
    on_completion: "keep",
    logged: true,
    after_seconds: 0,
    max_attempts: 3,
    idempotency_key: null,
    if_not_exists: "create",
    thread_metadata: {},
    ...changes,
  };
}

export function workerInfo(workerId: string): WorkerInfo {
  return { worker_id: workerId, instance: "host 1", role: "all", version: "0.0.0", capacity: 10 };
}

/** Longer than any test winds the clock. */
const TTL_MS = 365 * 24 * 3_600_000;

/** Makes a worker live, with a lease that no test outlasts. */
export function enlist(bench: { storage: Storage }, workerId: string): Promise<void> {
  return bench.storage.workers.register(workerInfo(workerId), TTL_MS);
}

/** The worker is dead from now on. */
export function lose(bench: { storage: Storage }, workerId = "w1"): Promise<void> {
  return bench.storage.workers.remove(workerId);
}

/** The worker dies and a sweep takes over what it ran; then it is back, with nothing. */
export async function crash(bench: { storage: Storage }, workerId = "w1"): Promise<SweptRun[]> {
  await lose(bench, workerId);
  const swept = await bench.storage.runs.sweep();
  await enlist(bench, workerId);
  return swept;
}

export const WORKER = { worker_id: "w1", slots: 10, graphs: ["agent"] };

export async function create(bench: Bench, threadId: string, changes: Partial<NewRun> = {}): Promise<RunRecord> {
  const outcome = await bench.storage.runs.create(ALICE, newRun(threadId, changes));
  if (outcome.kind !== "created") throw new Error(`expected a run, got ${outcome.kind}`);
  return outcome.run;
}

/** A thread with a run that holds its lane. */
export async function running(bench: Bench, changes: Partial<NewRun> = {}): Promise<{ run: RunRecord; fence: Fence }> {
  const created = await create(bench, changes.thread_id ?? id(), changes);
  return claimed(bench, created.run_id);
}

export async function claimed(bench: Bench, runId: string, worker = WORKER): Promise<{ run: RunRecord; fence: Fence }> {
  const { runs } = bench.storage;
  const run =
    (await runs.claimRun(worker, runId)) ?? (await runs.claimSuspects(worker)).find(({ run_id }) => run_id === runId);
  if (run === undefined) throw new Error(`run ${runId} cannot be claimed`);
  return { run, fence: fenceOf(run) };
}

export function fenceOf(run: RunRecord): Fence {
  return { threadId: run.thread_id, runId: run.run_id, epoch: run.epoch };
}

export function outcome(changes: Partial<RunOutcome> = {}): RunOutcome {
  return { status: "success", error: null, scope: "", state: undefined, events: [], ...changes };
}

export function state(values: unknown, changes: Partial<NonNullable<RunOutcome["state"]>> = {}) {
  return { values: JSON.stringify(values), interrupts: {}, pending: false, ...changes };
}

export function event(epoch: number, n: number, changes: Partial<EventRow> = {}): EventRow {
  return { epoch, n, run_id: null, ns: "", mode: "values", at: 1_700_000_000_000 + n, data: `{"n":${n}}`, ...changes };
}

export function json(value: unknown): Encoded {
  return { type: "json", bytes: new TextEncoder().encode(JSON.stringify(value)) };
}

export function text(value: Encoded | undefined): unknown {
  return value === undefined ? undefined : JSON.parse(new TextDecoder().decode(value.bytes));
}

export function checkpoint(fence: Fence, checkpointId: string, changes: Partial<CheckpointRow> = {}): CheckpointRow {
  return {
    thread_id: fence.threadId,
    checkpoint_ns: "",
    checkpoint_id: checkpointId,
    parent_checkpoint_id: null,
    checkpoint: JSON.stringify({ v: 4, id: checkpointId }),
    metadata: JSON.stringify({ source: "loop", step: 0 }),
    inline: {},
    blobs: {},
    run_id: fence.runId,
    epoch: fence.epoch,
    ...changes,
  };
}

export function put(fence: Fence, row: CheckpointRow, large: Record<string, Encoded> = {}): FencedWrite {
  const blobs = Object.entries(large).map(([channel, value]) => ({
    thread_id: fence.threadId,
    checkpoint_ns: row.checkpoint_ns,
    channel,
    version: row.blobs[channel] ?? "1",
    value,
  }));
  return { kind: "checkpoint", fence, row, blobs };
}

export function write(fence: Fence, checkpointId: string, changes: Partial<WriteRow> = {}): WriteRow {
  return {
    thread_id: fence.threadId,
    checkpoint_ns: "",
    checkpoint_id: checkpointId,
    task_id: "task",
    idx: 0,
    task_path: "",
    channel: "messages",
    value: json("hello"),
    run_id: fence.runId,
    epoch: fence.epoch,
    ...changes,
  };
}

export function writes(fence: Fence, ...rows: WriteRow[]): FencedWrite {
  return { kind: "writes", fence, rows };
}
