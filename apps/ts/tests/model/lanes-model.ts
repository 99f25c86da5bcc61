import type { RunStatus } from "#schemas/runs";
import type { ThreadStatus } from "#schemas/threads";
import {
  type Action,
  type End,
  type ModelRun,
  type ModelThread,
  type NewModelRun,
  newModelRun,
  newThread,
} from "./lanes-model-rows.ts";

/**
 * The lane rules said once more, without tables: a thread is a list of runs, and what
 * may run next is looked for in the whole list every time. Storage engines are compared with it step by step.
 */
export class LanesModel {
  now = 1_700_000_000_000;
  readonly threads = new Map<string, ModelThread>();
  readonly #workers = new Map<string, "live" | "draining">();
  #order = 0;
  #crashes = 0;

  run(id: string): ModelRun | undefined {
    for (const thread of this.threads.values()) for (const run of thread.runs) if (run.id === id) return run;
    return undefined;
  }

  status(threadId: string): ThreadStatus | undefined {
    const thread = this.threads.get(threadId);
    if (thread === undefined) return undefined;
    return this.#isBusy(thread) ? "busy" : thread.resting;
  }

  register(worker: string): void {
    this.#workers.set(worker, "live");
  }

  drain(worker: string): void {
    if (this.#workers.has(worker)) this.#workers.set(worker, "draining");
  }

  remove(worker: string): void {
    this.#workers.delete(worker);
  }

  isThere(worker: string): boolean {
    return this.#workers.has(worker);
  }

  /** Runs of the worker that are to stop; undefined when it is not there. */
  beat(worker: string): string[] | undefined {
    if (!this.isThere(worker)) return undefined;
    return this.#held()
      .filter((held) => held.worker === worker && held.run.cancel !== null)
      .map(({ run }) => `${run.id} ${run.cancel}`)
      .sort();
  }

  /** `claimant`: the worker that takes the run at once, if it can. */
  create(threadId: string, run: NewModelRun, claimant: string | undefined): "busy" | "created" | "claimed" {
    const thread = this.threads.get(threadId) ?? newThread();
    this.threads.set(threadId, thread);
    const pending = this.#pending(thread);
    const active = this.#active(thread);
    if (run.strategy === "reject" && (pending.length > 0 || active !== undefined)) return "busy";
    if (run.strategy === "interrupt" || run.strategy === "rollback") {
      for (const waiting of pending)
        this.#end(thread, waiting, run.strategy === "rollback" ? "removed" : "interrupted");
      if (active !== undefined) this.#ask(active, run.strategy);
      if (pending.length > 0) this.#settle(thread);
    }
    thread.runs.push(newModelRun(run, { thread: threadId, order: this.#order++, now: this.now }));
    if (claimant === undefined) return "created";
    return this.claimRun(claimant, run.id) === undefined ? "created" : "claimed";
  }

  claim(worker: string, slots: number): string[] {
    if (this.#workers.get(worker) !== "live") return [];
    const heads = this.#ready();
    heads.sort(
      (a, b) =>
        Number(b.attempt > 0) - Number(a.attempt > 0) ||
        b.priority - a.priority ||
        a.turn - b.turn ||
        a.order - b.order,
    );
    return heads.slice(0, slots).map((head) => this.#take(worker, head));
  }

  /** The half of the oldest suspect that is due, for a worker that executes nothing. */
  claimSuspects(worker: string, slots: number): string[] {
    if (this.#workers.get(worker) !== "live" || this.#held().some((held) => held.worker === worker)) return [];
    const suspects = [...this.threads.values()]
      .flatMap((thread) => (thread.holder === undefined ? (this.#next(thread) ?? []) : []))
      .filter(({ group, runAt, notBefore }) => this.#isApart(group) && Math.max(runAt, notBefore) <= this.now)
      .sort((a, b) => a.order - b.order);
    const first = suspects[0]?.group;
    return suspects
      .filter(({ group }) => group?.crash === first?.crash && group?.half === first?.half)
      .slice(0, slots)
      .map((run) => this.#take(worker, run));
  }

  clearSuspects(worker: string): number {
    const suspects = this.#held().filter((held) => held.worker === worker && held.run.group !== undefined);
    for (const { run } of suspects) run.group = undefined;
    return suspects.length;
  }

  claimRun(worker: string, runId: string): string | undefined {
    const run = this.run(runId);
    if (this.#workers.get(worker) !== "live") return undefined;
    if (run === undefined || this.#claimable(this.#threadOf(run)) !== run) return undefined;
    return this.#take(worker, run);
  }

  holds(runId: string, epoch: number): boolean {
    const run = this.run(runId);
    if (run === undefined) return false;
    const thread = this.#threadOf(run);
    return this.#active(thread) === run && thread.epoch === epoch;
  }

  /** A checkpoint. */
  write(runId: string, epoch: number): boolean {
    if (!this.holds(runId, epoch)) return false;
    (this.run(runId) as ModelRun).stored = epoch;
    return true;
  }

  finish(runId: string, epoch: number, end: { status: End; interrupted: boolean; unfinished: boolean }): string {
    if (!this.holds(runId, epoch)) return "fenced";
    const run = this.run(runId) as ModelRun;
    const thread = this.#threadOf(run);
    if (run.cancel === "rollback") {
      // What the run left is of checkpoints that go with it.
      this.#remove(thread, run, 0);
      return "removed";
    }
    this.#keepState(thread, end);
    this.#close(thread, run, end.status);
    return "finished";
  }

  release(runId: string, epoch: number): string | undefined {
    if (!this.holds(runId, epoch)) return undefined;
    const run = this.run(runId) as ModelRun;
    if (run.cancel !== null) return this.#endByCancel(run, run.cancel);
    this.#requeue(run, { attempt: run.attempt - 1, wait: 0, bump: 0 });
    return "requeued";
  }

  retry(runId: string, epoch: number, cause: "fault" | "outage"): string | undefined {
    if (!this.holds(runId, epoch)) return undefined;
    const run = this.run(runId) as ModelRun;
    if (run.cancel !== null) return this.#endByCancel(run, run.cancel);
    if (cause === "fault") {
      if (run.strikes + 1 >= run.max) return this.#giveUp(run);
      run.strikes++;
      this.#suspect(run, this.#crashes++, 1);
      return this.#again(run, run.strikes);
    }
    const failures = (run.stored === run.epoch ? 0 : run.restarts) + 1;
    if (failures > 10) return this.#giveUp(run);
    run.restarts = failures;
    return this.#again(run, failures);
  }

  evict(runId: string, epoch: number): string | undefined {
    if (!this.holds(runId, epoch)) return undefined;
    const run = this.run(runId) as ModelRun;
    return this.#endByCancel(run, run.cancel ?? "interrupt");
  }

  /** Every lost run with what became of it; the order of a sweep means nothing. */
  sweep(cancelGrace: number | undefined): string[] {
    for (const thread of this.threads.values()) {
      const { writer, writerSince } = thread;
      const isGone = writer === undefined ? writerSince <= this.now - 60_000 : !this.isThere(writer);
      if (thread.holder === "writer" && isGone) this.#free(thread, 1);
    }
    const dead = new Set(this.#held().flatMap(({ worker }) => (this.isThere(worker) ? [] : worker)));
    const swept = [...dead].sort().flatMap((worker) => this.#die(worker));
    const since = cancelGrace === undefined ? Number.NEGATIVE_INFINITY : this.now - cancelGrace;
    for (const { run } of this.#held()) {
      if (run.cancel !== null && run.cancelAt <= since) swept.push(`${run.id} ${this.#endByCancel(run, run.cancel)}`);
    }
    return swept.sort();
  }

  /** The process is dead: all that it executed is suspected; if all of it was before, the others of its crash are not. */
  #die(worker: string): string[] {
    const runs = this.#held()
      .filter((held) => held.worker === worker)
      .map(({ run }) => run)
      .sort((a, b) => a.order - b.order);
    const crash = this.#crashes++;
    const suspects = runs.filter((run) => run.cancel === null);
    const known = new Set(runs.map((run) => run.group?.crash));
    const swept = runs.map((run) => {
      if (run.cancel !== null) return `${run.id} ${this.#endByCancel(run, run.cancel)}`;
      if (runs.length === 1) run.strikes++;
      else if (run.stored === run.epoch) run.strikes = 0;
      const counted = run.restarts + (run.group === undefined ? 1 : 0);
      if (runs.length === 1 && run.strikes >= run.max) {
        run.strikes--;
        return `${run.id} ${this.#giveUp(run)}`;
      }
      if (counted > 10) return `${run.id} ${this.#giveUp(run)}`;
      run.restarts = counted;
      this.#suspect(run, crash, suspects.indexOf(run) < suspects.length / 2 ? 1 : 2);
      return `${run.id} ${this.#again(run, runs.length === 1 ? run.strikes : 0)}`;
    });
    if (known.has(undefined)) return swept;
    for (const { runs: all } of this.threads.values()) {
      for (const run of all) {
        if (run.group === undefined || !known.has(run.group.crash)) continue;
        if (run.status !== "pending" && run.status !== "running") continue;
        Object.assign(run, { group: undefined, strikes: 0, restarts: 0 });
        swept.push(`${run.id} exonerated`);
      }
    }
    return swept;
  }

  #suspect(run: ModelRun, crash: number, half: number): void {
    run.group = { crash, half, until: this.now + 600_000 };
  }

  #isApart(group: ModelRun["group"]): boolean {
    return group !== undefined && group.until > this.now;
  }

  counts(): { pending: number; running: number; ready: number; quarantined: number } {
    const runs = [...this.threads.values()].flatMap((thread) => thread.runs);
    const of = (status: RunStatus) => runs.filter((run) => run.status === status).length;
    const quarantined = runs.filter((run) => run.group !== undefined).length;
    return { pending: of("pending"), running: of("running"), ready: this.#ready().length, quarantined };
  }

  cancel(runId: string, action: Action): string | undefined {
    const run = this.run(runId);
    if (run === undefined) return undefined;
    if (run.status === "running") {
      this.#ask(run, action);
      return "signalled";
    }
    if (run.status !== "pending") return undefined;
    const thread = this.#threadOf(run);
    this.#end(thread, run, action === "rollback" ? "removed" : "interrupted");
    this.#settle(thread);
    return action === "rollback" ? "removed" : "ended";
  }

  acquire(threadId: string, worker: string | undefined): number | "busy" | "no_thread" {
    const thread = this.threads.get(threadId);
    if (thread === undefined) return "no_thread";
    if (thread.holder !== undefined || this.#pending(thread).length > 0) return "busy";
    thread.holder = "writer";
    thread.writerSince = this.now;
    thread.writer = worker;
    return ++thread.epoch;
  }

  complete(
    threadId: string,
    epoch: number,
    change: { interrupted: boolean; unfinished: boolean } | undefined,
  ): boolean {
    const thread = this.threads.get(threadId);
    if (thread === undefined || thread.holder !== "writer" || thread.epoch !== epoch) return false;
    this.#free(thread, 0);
    if (change !== undefined) {
      Object.assign(thread, change, { failed: false });
      thread.resting = change.interrupted || change.unfinished ? "interrupted" : "idle";
    }
    return true;
  }

  #held(): { run: ModelRun; worker: string }[] {
    return [...this.threads.values()].flatMap(({ holder }) =>
      holder === undefined || holder === "writer" ? [] : [holder],
    );
  }

  #ready(): ModelRun[] {
    return [...this.threads.values()].flatMap((thread) => this.#claimable(thread) ?? []);
  }

  #threadOf(run: ModelRun): ModelThread {
    return this.threads.get(run.thread) as ModelThread;
  }

  #active(thread: ModelThread): ModelRun | undefined {
    return thread.holder === undefined || thread.holder === "writer" ? undefined : thread.holder.run;
  }

  #pending(thread: ModelThread): ModelRun[] {
    return thread.runs.filter((run) => run.status === "pending");
  }

  #isBusy(thread: ModelThread): boolean {
    return this.#active(thread) !== undefined || this.#pending(thread).length > 0;
  }

  /** Tried runs first, then by due time and creation: and only that one, however long it has to wait. */
  #claimable(thread: ModelThread): ModelRun | undefined {
    if (thread.holder !== undefined) return undefined;
    const next = this.#next(thread);
    if (next === undefined || this.#isApart(next.group)) return undefined;
    return Math.max(next.runAt, next.notBefore) <= this.now ? next : undefined;
  }

  #next(thread: ModelThread): ModelRun | undefined {
    return this.#pending(thread).sort(
      (a, b) => Number(b.attempt > 0) - Number(a.attempt > 0) || a.runAt - b.runAt || a.order - b.order,
    )[0];
  }

  #take(worker: string, run: ModelRun): string {
    const thread = this.#threadOf(run);
    thread.holder = { run, worker };
    run.epoch = ++thread.epoch;
    run.attempt++;
    run.status = "running";
    return run.id;
  }

  #ask(run: ModelRun, action: Action): void {
    if (run.cancel === null) run.cancelAt = this.now;
    if (run.cancel !== "rollback") run.cancel = action;
  }

  #keepState(thread: ModelThread, state: { interrupted: boolean; unfinished: boolean }): void {
    thread.interrupted = state.interrupted;
    thread.unfinished = state.unfinished;
  }

  #giveUp(run: ModelRun): string {
    const thread = this.#threadOf(run);
    this.#close(thread, run, "error");
    thread.epoch++;
    return "exhausted";
  }

  #again(run: ModelRun, count: number): string {
    this.#requeue(run, { attempt: run.attempt, wait: [0, 0, 1, 3, 7, 15, 31][count] ?? 60, bump: 1 });
    return "requeued";
  }

  #requeue(run: ModelRun, how: { attempt: number; wait: number; bump: number }): void {
    run.status = "pending";
    run.attempt = how.attempt;
    run.notBefore = this.now + how.wait * 1000;
    this.#free(this.#threadOf(run), how.bump);
  }

  #endByCancel(run: ModelRun, action: Action): string {
    const thread = this.#threadOf(run);
    if (action === "rollback") {
      this.#remove(thread, run, 1);
      return "removed";
    }
    this.#close(thread, run, "interrupted");
    thread.epoch++;
    return "interrupted";
  }

  /** A run ended: what it left decides the status, its failure first. */
  #close(thread: ModelThread, run: ModelRun, status: End): void {
    this.#end(thread, run, status);
    this.#free(thread, 0);
    thread.failed = status === "error" || status === "timeout";
    thread.resting = thread.failed ? "error" : thread.interrupted || thread.unfinished ? "interrupted" : "idle";
  }

  #remove(thread: ModelThread, run: ModelRun, bump: number): void {
    this.#end(thread, run, "removed");
    this.#free(thread, bump);
    this.#settle(thread);
  }

  #end(thread: ModelThread, run: ModelRun, status: End | "removed"): void {
    if (status === "removed") thread.runs = thread.runs.filter((other) => other !== run);
    else Object.assign(run, { status, group: undefined });
  }

  #free(thread: ModelThread, bump: number): void {
    thread.holder = undefined;
    thread.epoch += bump;
  }

  /** Runs went away without an end of their own: a pending interrupt first, then the last failure. */
  #settle(thread: ModelThread): void {
    if (thread.interrupted) thread.resting = "interrupted";
    else if (thread.failed) thread.resting = "error";
    else thread.resting = thread.unfinished ? "interrupted" : "idle";
  }
}
