import { describe, expect, it, setDefaultTimeout } from "bun:test";
import fc from "fast-check";
import type { RunRecord } from "#core/runs/repository";
import type { Storage } from "#core/storage";
import { ALICE, checkpoint, event, fenceOf, newRun, outcome, put } from "../contract/harness.ts";
import { postgresAvailable } from "../servers/postgres.ts";
import { Bed } from "./bed.ts";

setDefaultTimeout(600_000);

const missing = await postgresAvailable();
const STRATEGIES = ["enqueue", "interrupt", "rollback", "reject"] as const;

/** What a client does, one after the other; thread and instance by number. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("create" as const),
      thread: fc.nat(2),
      strategy: fc.constantFrom(...STRATEGIES),
      claim: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cancel" as const),
      thread: fc.nat(2),
      action: fc.constantFrom("interrupt" as const, "rollback" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("write" as const), thread: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/**
 * An attempt as its worker saw it: from the answer of its claim to the call that ended it. Its epoch says which came
 * first: the answer of a claim that was lost since may be overtaken by the answer of the next one.
 */
interface Attempt {
  threadId: string;
  runId: string;
  epoch: number;
  attempt: number;
  from: number;
  to: number;
}

class Race {
  readonly attempts: Attempt[] = [];
  readonly created = new Map<string, { threadId: string; seq: number }>();
  /** Runs that a rollback may have taken away. */
  readonly removed = new Set<string>();
  readonly threads = [0, 1, 2].map(() => crypto.randomUUID() as string);
  readonly bed: Bed;
  #clients = 0;

  constructor(bed: Bed) {
    this.bed = bed;
  }

  async client(steps: readonly Step[], nth: number): Promise<void> {
    const storage = nth % 2 === 0 ? this.bed.a : this.bed.b;
    const worker = `w${(nth % 2) + 1}`;
    this.#clients++;
    for (const each of steps) await this.#step(storage, worker, each);
    this.#clients--;
  }

  async #step(storage: Storage, worker: string, each: Step): Promise<void> {
    if (each.kind === "die") {
      // Its lease ends and begins anew; a sweep by the other instance may fall in between.
      await storage.workers.remove(worker);
      await this.bed.b.runs.sweep();
      await storage.workers.register(
        { worker_id: worker, instance: "", role: "all", version: "", capacity: 9 },
        600_000,
      );
      return;
    }
    const threadId = this.threads[each.thread] as string;
    if (each.kind === "cancel") {
      for (const run of await storage.runs.inflight(ALICE, { thread_id: threadId, status: "all" })) {
        if (each.action === "rollback") this.removed.add(run.run_id);
        await storage.runs.cancel(ALICE, { run_id: run.run_id }, each.action);
      }
    } else if (each.kind === "write") {
      const fence = await storage.lanes.acquire(ALICE, threadId, { writer_id: crypto.randomUUID(), worker_id: worker });
      if (typeof fence !== "string") await storage.lanes.abandon(fence);
    } else {
      const claim = each.claim ? { worker_id: worker, slots: 1, graphs: ["agent"] } : undefined;
      const made = await storage.runs.create(
        ALICE,
        newRun(threadId, { multitask_strategy: each.strategy, max_attempts: 100 }),
        claim,
      );
      if (made.kind !== "created") return;
      for (const id of made.removed) this.removed.add(id);
      if (each.strategy === "rollback") for (const id of made.cancelled) this.removed.add(id);
      this.created.set(made.run.run_id, { threadId, seq: made.run.seq });
      if (made.claimed) await this.#execute(storage, made.run);
    }
  }

  /** Claims and executes until the clients are done and nothing is left. */
  async executor(storage: Storage, worker: string): Promise<void> {
    for (;;) {
      const over = this.#clients === 0;
      const claimed = await storage.runs.claim({ worker_id: worker, slots: 3, graphs: ["agent"] });
      claimed.push(...(await storage.runs.claimSuspects({ worker_id: worker, slots: 3, graphs: ["agent"] })));
      await Promise.all(claimed.map((run) => this.#execute(storage, run)));
      await storage.runs.sweep({ cancelGraceMs: 0 });
      // Nobody waits out a backoff here.
      await storage.runs.outlook(["agent"]);
      if (over && claimed.length === 0) return;
    }
  }

  async #execute(storage: Storage, run: RunRecord): Promise<void> {
    const fence = fenceOf(run);
    const seen: Attempt = {
      threadId: run.thread_id,
      runId: run.run_id,
      epoch: run.epoch,
      attempt: run.attempt,
      from: performance.now(),
      to: 0,
    };
    this.attempts.push(seen);
    await storage.checkpoints.commit([
      put(fence, checkpoint(fence, `${String(run.epoch).padStart(6, "0")}`)),
      { kind: "events", fence, rows: [event(run.epoch, 0, { run_id: run.run_id })] },
    ]);
    seen.to = performance.now();
    const { kind } = await storage.runs.finish(fence, outcome());
    // It lost its lane while it was at work, or before the answer of its claim arrived: when, nobody knows.
    if (kind === "fenced") seen.to = -Infinity;
  }

  /** Waiting times of lost attempts are over, whatever they were; then everything is worked off. */
  async settle(): Promise<void> {
    for (;;) {
      await this.bed.sql.query("update fractal.lanes set head_at = 0, ready = true where head_seq is not null");
      await this.executor(this.bed.a, "w1");
      const left = await this.bed.value<number>(
        "select count(*)::int from fractal.runs where status in ('pending', 'running')",
      );
      if (left === 0) return;
    }
  }

  async check(): Promise<void> {
    for (const thread of this.threads) {
      const inOrder = this.attempts.filter(({ threadId }) => threadId === thread).sort((x, y) => x.epoch - y.epoch);
      for (const [i, one] of inOrder.entries()) {
        for (const other of inOrder.slice(i + 1))
          expect(other.from >= one.to, "I2: two runs of a thread at once").toBe(true);
      }
      const epochs = inOrder.map(({ epoch }) => epoch);
      expect(new Set(epochs).size, "I3: an epoch twice").toBe(epochs.length);
      const firsts = inOrder.filter(({ attempt }) => attempt === 1);
      const seqs = firsts.flatMap(({ runId }) => this.created.get(runId)?.seq ?? []);
      expect(seqs, "I11: runs started in another order").toEqual([...seqs].sort((x, y) => x - y));
    }
    const { rows } = await this.bed.sql.query("select run_id, status from fractal.runs");
    const statuses = new Map(rows.map((row: { run_id: string; status: string }) => [row.run_id, row.status]));
    for (const runId of this.created.keys()) {
      const status = statuses.get(runId);
      if (status === undefined) expect(this.removed.has(runId), "I1: a run is gone without a rollback").toBe(true);
      else expect(["success", "interrupted"], "I1: a run did not end").toContain(status);
    }
    expect(await this.bed.a.runs.audit(), "I5: lanes contradict their runs").toBe(0);
    const stuck = await this.bed.value(
      "select count(*)::int from fractal.lanes where active is not null or head_seq is not null",
    );
    expect(stuck, "I5: lanes that nobody will free").toBe(0);
    for (const table of ["checkpoints", "run_events"]) {
      const late = await this.bed.value(
        `select count(*)::int from fractal.${table} t join fractal.runs r using (run_id) where t.epoch > r.epoch`,
      );
      expect(late, `I3: ${table} of an epoch that was not the run's`).toBe(0);
    }
  }
}

describe.skipIf(missing !== undefined)(`T-RACE (${missing ?? "Postgres"})`, () => {
  const seed = Number(process.env.RACE_SEED ?? Date.now() % 2 ** 31);
  const numRuns = Number(process.env.RACE_RUNS ?? 6);
  it(`I1, I2, I3, I5, I11: 32 clients x 4 strategies x 2 instances, ${numRuns} times (RACE_SEED=${seed})`, async () => {
    const clients = fc.array(fc.array(step, { minLength: 2, maxLength: 8 }), { minLength: 32, maxLength: 32 });
    const property = fc.asyncProperty(clients, async (scripts) => {
      await using bed = await Bed.open();
      const race = new Race(bed);
      for (const threadId of race.threads) await bed.a.threads.insert(ALICE, { thread_id: threadId, metadata: {} });
      await Promise.all([
        ...scripts.map((steps, i) => race.client(steps, i)),
        race.executor(bed.a, "w1"),
        race.executor(bed.b, "w2"),
      ]);
      await race.settle();
      await race.check();
    });
    // Shrinking would repeat a race for minutes; the seed repeats the script.
    await fc.assert(property, { numRuns, seed, endOnFailure: true });
  });
});
