import type { CheckpointRepository, FencedWrite } from "#core/checkpoints/repository";
import { LeaseLostError } from "#core/errors";

/** Bounds of one transaction, and how long a locked lane is waited for (below the lease's 15 s). */
export interface GroupCommitLimits {
  maxWrites: number;
  maxBytes: number;
  lockedMs: number;
}

const DEFAULTS: GroupCommitLimits = { maxWrites: 256, maxBytes: 4 * 1024 * 1024, lockedMs: 12_000 };

interface Pending {
  readonly write: FencedWrite;
  /** Writes with one key are written in the order of submission. */
  readonly key: string;
  readonly bytes: number;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  retries: number;
  /** performance.now() after which a locked lane is given up; 0 before the first "retry". */
  deadline: number;
}

function keyOf(write: FencedWrite): string {
  return `${write.fence.threadId} ${write.fence.runId} ${write.fence.epoch}`;
}

function sizeOf(write: FencedWrite): number {
  if (write.kind === "checkpoint") {
    let bytes = write.row.checkpoint.length + write.row.metadata.length;
    for (const channel in write.row.inline) bytes += write.row.inline[channel]?.bytes.length ?? 0;
    for (const blob of write.blobs) bytes += blob.value.bytes.length;
    return bytes;
  }
  let bytes = 0;
  if (write.kind === "writes") for (const row of write.rows) bytes += row.value.bytes.length;
  else for (const row of write.rows) bytes += row.data.length;
  return bytes;
}

/**
 * Collects the writes of all runs and commits them once per turn of the event loop. A promise settles when its write is
 * durable or refused for good: "retry" answers are sent again, everything else of that run waiting behind them; a
 * transaction that throws is taken apart until the write that cannot be stored is alone, so only it and what the same run
 * wrote after it are rejected (a checkpoint must not be stored past a missing parent).
 *
 * If the process dies, unsettled writes may be lost: whoever may not lose one awaits it.
 */
export class GroupCommit {
  readonly #repository: Pick<CheckpointRepository, "commit">;
  readonly #limits: GroupCommitLimits;
  #queue: Pending[] = [];
  /** Keys whose lane was locked, with everything of theirs that waits for the next try. */
  readonly #held = new Map<string, Pending[]>();
  readonly #open = new Set<Pending>();
  #scheduled = false;
  #fenced = 0;
  #running = false;

  constructor(repository: Pick<CheckpointRepository, "commit">, limits: Partial<GroupCommitLimits> = {}) {
    this.#repository = repository;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  /** Rejects with LeaseLostError when the fence is stale, else with the storage's error. */
  submit(write: FencedWrite): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const pending: Pending = {
      write,
      key: keyOf(write),
      bytes: sizeOf(write),
      done: promise,
      resolve,
      reject,
      retries: 0,
      deadline: 0,
    };
    this.#open.add(pending);
    const held = this.#held.get(pending.key);
    if (held === undefined) this.#queue.push(pending);
    else held.push(pending);
    this.#schedule();
    return promise;
  }

  /** Resolves when everything submitted so far is written or refused. Never rejects. */
  async flush(): Promise<void> {
    const open = [...this.#open];
    void this.#run();
    await Promise.allSettled(open.map((pending) => pending.done));
  }

  /** Writes that were refused because their lane had moved on, so far. */
  get refusals(): number {
    return this.#fenced;
  }

  /** Writes of a run that are not settled yet. */
  pending(runId: string): number {
    let count = 0;
    for (const pending of this.#open) if (pending.write.fence.runId === runId) count++;
    return count;
  }

  /** Resolves when what the run submitted so far is settled. Never rejects. */
  async drained(runId: string): Promise<void> {
    const open = [...this.#open].filter((pending) => pending.write.fence.runId === runId);
    await Promise.allSettled(open.map((pending) => pending.done));
  }

  #schedule(): void {
    if (this.#scheduled || this.#running || this.#queue.length === 0) return;
    this.#scheduled = true;
    // A turn, not a microtask: all runs that were woken by the same I/O share the transaction.
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const batch = this.#take();
      if (batch.length > 0) await this.#commit(batch);
    } finally {
      this.#running = false;
      this.#schedule();
    }
  }

  #take(): Pending[] {
    let count = 0;
    let bytes = 0;
    for (const pending of this.#queue) {
      if (count >= this.#limits.maxWrites || (count > 0 && bytes + pending.bytes > this.#limits.maxBytes)) break;
      count++;
      bytes += pending.bytes;
    }
    if (count === this.#queue.length) {
      const all = this.#queue;
      this.#queue = [];
      return all;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(batch: Pending[]): Promise<void> {
    const answers = await this.#send(batch);
    if (answers !== undefined) {
      this.#answer(batch, answers);
      return;
    }
    // Nothing of the batch was written. Each run again on its own, then write by write.
    for (const group of Map.groupBy(batch, (pending) => pending.key).values()) {
      const groupAnswers = group.length === batch.length ? undefined : await this.#send(group);
      if (groupAnswers !== undefined) this.#answer(group, groupAnswers);
      else await this.#oneByOne(group);
    }
  }

  /** Undefined when the transaction threw and more than one write may be the reason. */
  async #send(batch: Pending[]): Promise<Answer[] | undefined> {
    try {
      const answers = await this.#repository.commit(batch.map((pending) => pending.write));
      if (answers.length !== batch.length) throw new Error(`${batch.length} writes got ${answers.length} answers`);
      return answers;
    } catch (error) {
      if (batch.length > 1) return undefined;
      this.#refuse(batch, error);
      return ["written"];
    }
  }

  async #oneByOne(group: Pending[]): Promise<void> {
    for (let i = 0; i < group.length; i++) {
      const pending = group[i] as Pending;
      if (!this.#open.has(pending)) continue;
      const answers = (await this.#send([pending])) as Answer[];
      if (answers[0] === "retry") {
        this.#hold(group.slice(i));
        return;
      }
      this.#answer([pending], answers);
    }
  }

  #answer(batch: Pending[], answers: Answer[]): void {
    const locked: Pending[] = [];
    for (let i = 0; i < batch.length; i++) {
      const pending = batch[i] as Pending;
      if (!this.#open.has(pending)) continue;
      const answer = answers[i];
      if (answer === "retry") locked.push(pending);
      else if (answer instanceof Error) this.#refuse([pending], answer);
      else if (answer === "fenced") {
        const { threadId, runId } = pending.write.fence;
        this.#fenced++;
        this.#refuse([pending], new LeaseLostError(threadId, runId));
      } else {
        this.#open.delete(pending);
        pending.resolve();
      }
    }
    for (const group of Map.groupBy(locked, (pending) => pending.key).values()) this.#hold(group);
  }

  /** Rejects these writes and what the same run has waiting behind them. */
  #refuse(batch: Pending[], error: unknown): void {
    const keys = new Set(batch.map((pending) => pending.key));
    const behind = [...this.#open].filter((pending) => keys.has(pending.key));
    this.#queue = this.#queue.filter((pending) => !keys.has(pending.key));
    for (const key of keys) this.#held.delete(key);
    for (const pending of behind) {
      this.#open.delete(pending);
      pending.reject(error);
    }
  }

  /** Sets a run's writes aside for a moment, those still queued behind them too. */
  #hold(group: Pending[]): void {
    const first = group[0] as Pending;
    const now = performance.now();
    if (first.deadline === 0) first.deadline = now + this.#limits.lockedMs;
    if (now >= first.deadline) {
      this.#refuse([first], new Error(`The lane of thread ${first.write.fence.threadId} stayed locked`));
      return;
    }
    const waiting = [...group, ...this.#queue.filter((pending) => pending.key === first.key)];
    this.#queue = this.#queue.filter((pending) => pending.key !== first.key);
    this.#held.set(first.key, waiting);
    const delay = Math.min(2 ** first.retries++, 100) * (0.75 + Math.random() / 2);
    setTimeout(() => {
      const back = this.#held.get(first.key);
      if (back === undefined) return;
      this.#held.delete(first.key);
      this.#queue.push(...back);
      this.#schedule();
    }, delay);
  }
}

type Answer = "written" | "fenced" | "retry" | Error;
