import { newId } from "@fractal-agents/infra/ids";
import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { RunFeed } from "#core/streams/feed";
import type { NewThread } from "#core/threads/repository";
import type { Assistant } from "#schemas/assistants";
import type { Page } from "#schemas/common";
import type { RunCreate } from "#schemas/run-requests";
import { closeFeeds } from "./close-feeds.ts";
import { concludeSwept } from "./conclude.ts";
import type { CreateOptions } from "./create.ts";
import { newRun } from "./create.ts";
import { GOING, isGoing } from "./deletions.ts";
import { followRun } from "./ending.ts";
import { TenantClocks } from "./fairness.ts";
import type { RunEnvironment } from "./prepare.ts";
import { isOver, RunReader, StreamSuspended } from "./read.ts";
import { batchDigest, keyInBatch, mustRepeat } from "./replay.ts";
import type { CreateOutcome, NewRun, RunQuery, RunRecord } from "./repository.ts";
import type { Worker } from "./worker.ts";

const BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.";

export interface RunServiceDeps {
  env: RunEnvironment;
  worker: Worker;
  assistants: { resolve(scope: AuthScope, idOrGraph: string): Promise<Assistant> };
  /** Of threads that are made for a run. */
  threadTtl?: NewThread["ttl"];
  /** Attempts a run may use (FRACTAL_MAX_ATTEMPTS). */
  maxAttempts: number;
}

export interface CreateCall {
  /** Of the path; absent for a stateless run. */
  threadId?: string | undefined;
  /** Whether the answer is a stream, so that the whole log is kept. */
  streamed: boolean;
  /** Whether the caller reads or waits: a feed is opened before the run can start, so nothing is missed. */
  attached: boolean;
  /** Whether it is one of many that were asked for at once. */
  bulk?: boolean | undefined;
  /** Digest of the batch, where that has an idempotency key. */
  batch?: string | undefined;
  requestId: string;
  idempotencyKey?: string | undefined;
}

/** An accepted run; `feed` is there when the caller is attached, also when the run is over already. */
export interface Accepted {
  run: RunRecord;
  feed: RunFeed | undefined;
}

/** Runs as the API means them. A method that changes a run returns after its transaction has committed. */
export class RunService {
  readonly #deps: RunServiceDeps;
  readonly #clocks = new TenantClocks();
  readonly reader: RunReader;

  constructor(deps: RunServiceDeps) {
    this.#deps = deps;
    this.reader = new RunReader(deps.env);
  }

  get #runs() {
    return this.#deps.env.storage.runs;
  }

  /** Accepts a run by its multitask strategy and starts it if its turn has come. */
  async create(scope: AuthScope, request: RunCreate, call: CreateCall): Promise<Accepted> {
    const { env, assistants, maxAttempts } = this.#deps;
    const assistant = await assistants.resolve(scope, request.assistant_id);
    const runId = newId();
    const options: CreateOptions = {
      runId,
      threadId: call.threadId,
      hiddenThreadId: newId(),
      streamed: call.streamed,
      idempotencyKey: call.idempotencyKey ?? null,
      batch: call.batch,
      requestId: call.requestId,
      maxAttempts,
    };
    const run: NewRun = {
      ...newRun(request, options, { assistant, thread: undefined, graphs: env.graphs }),
      priority: call.attached ? 1 : call.bulk === true ? -1 : 0,
      ahead_ms: this.#clocks.ahead(scope.tenant, env.hints.processes),
      ...(call.threadId !== undefined && { thread_ttl: this.#deps.threadTtl }),
    };
    const feed = call.attached ? env.hub.open(runId, true) : undefined;
    try {
      const outcome = await this.#insert(scope, run);
      if (outcome.kind === "busy") throw new RuntimeError("conflict", BUSY);
      if (outcome.kind === "no_thread") throw new RuntimeError("not_found", "Thread or assistant not found.");
      if (outcome.kind === "replayed") {
        mustRepeat(outcome.run, run);
        env.hub.drop(runId);
        return { run: outcome.run, feed: undefined };
      }
      await this.#refuseOnGoing(scope, outcome.run);
      if (feed?.executing === false) void followRun(env, outcome.run, feed);
      const strategy = run.multitask_strategy === "rollback" ? "rollback" : "interrupt";
      for (const id of outcome.cancelled) this.#signal(id, strategy);
      const { thread_id } = outcome.run;
      await closeFeeds(env, scope, { thread_id, run_ids: [...outcome.ended, ...outcome.removed] });
      // Whoever creates a run is told that it was accepted, also when it has begun with that.
      return { run: { ...outcome.run, status: "pending" }, feed };
    } catch (error) {
      env.hub.drop(runId);
      throw error;
    }
  }

  /** Stored and, where this process has a slot and it is the run's turn, begun; other processes are told if it has none. */
  async #insert(scope: AuthScope, run: NewRun): Promise<CreateOutcome> {
    const { env, worker } = this.#deps;
    const claim = worker.reserve();
    let begun: RunRecord | "unsure" | undefined;
    try {
      const outcome = await this.#runs.create(scope, run, claim);
      if (outcome.kind === "created" && outcome.claimed) begun = outcome.run;
      if (outcome.kind === "created" && claim === undefined) {
        // Only where others have slots does it wait for them: this process looks when one of its own is free.
        if (run.after_seconds <= 0) env.hints.wake();
      }
      return outcome;
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code === "unavailable") begun = "unsure";
      throw error;
    } finally {
      if (claim !== undefined) worker.take(claim, begun);
    }
  }

  /** A run that was stored after the runs of its thread were looked up to be stopped, because the thread is deleted. */
  async #refuseOnGoing(scope: AuthScope, { run_id, thread_id }: RunRecord): Promise<void> {
    const { deletions, storage } = this.#deps.env;
    if (!deletions.has(thread_id)) return;
    const thread = await storage.threads.find(scope, thread_id);
    // The id may be in use again.
    if (thread !== undefined && !isGoing(thread)) return;
    const { logger } = this.#deps.env;
    logger.info({ run_id, thread_id }, "run refused: its thread is being deleted");
    await this.#stopAll(scope, [{ run_id, status: "running" }]);
    throw new RuntimeError("not_found", "Thread or assistant not found.");
  }

  /** Tells whoever executes a run that it was asked to stop. */
  #signal(runId: string, action: "interrupt" | "rollback"): void {
    if (!this.#deps.worker.cancel(runId, action)) this.#deps.env.hints.cancel(runId, action);
  }

  /**
   * In order. All or none, as far as the requests themselves can be at fault. With an idempotency key every run has a key
   * of its own, so a repeat makes what a crash has left out and gives what is there.
   */
  async createBatch(
    scope: AuthScope,
    requests: readonly RunCreate[],
    { requestId, idempotencyKey: key }: Pick<CreateCall, "requestId" | "idempotencyKey">,
  ): Promise<RunRecord[]> {
    const { env, assistants, maxAttempts } = this.#deps;
    const trials: NewRun[] = [];
    for (const request of requests) {
      const assistant = await assistants.resolve(scope, request.assistant_id);
      const trial = { runId: "", threadId: undefined, hiddenThreadId: "", streamed: false, idempotencyKey: null };
      const options = { ...trial, requestId, maxAttempts };
      trials.push(newRun(request, options, { assistant, thread: undefined, graphs: env.graphs }));
    }
    const batch = key === undefined ? undefined : batchDigest(trials);
    const runs: RunRecord[] = [];
    for (const [index, request] of requests.entries()) {
      const idempotencyKey = key === undefined ? undefined : keyInBatch(key, index);
      const call = { streamed: false, attached: false, bulk: true, batch, requestId, idempotencyKey };
      runs.push((await this.create(scope, request, call)).run);
    }
    return runs;
  }

  /** RuntimeError not_found unless it exists, is visible and, when a thread is named, belongs to it. */
  async get(scope: AuthScope, runId: string, threadId?: string): Promise<RunRecord> {
    const run = await this.#runs.find(scope, runId);
    if (run === undefined || (threadId !== undefined && run.thread_id !== threadId.toLowerCase())) {
      throw new RuntimeError("not_found", `Run ${runId} not found`);
    }
    return run;
  }

  async list(scope: AuthScope, threadId: string, query: RunQuery): Promise<Page<RunRecord>> {
    if ((await this.#deps.env.storage.threads.find(scope, threadId)) === undefined) {
      throw new RuntimeError("not_found", `Thread ${threadId} not found`);
    }
    return this.#runs.list(scope, threadId, query);
  }

  /** Deletes a run with its checkpoints and log; one that waits or runs is stopped before. */
  async remove(scope: AuthScope, threadId: string, runId: string): Promise<void> {
    const run = await this.get(scope, runId, threadId);
    if (!isOver(run)) await this.#stopAll(scope, [run]);
    this.#deps.env.deletions.add(run.run_id);
    await this.#runs.remove(scope, runId);
  }

  /**
   * Asks a run to stop. Resolves once the request is durable; with `wait`, once the run is over. RuntimeError not_found
   * when it is not pending or running.
   */
  async cancel(
    scope: AuthScope,
    target: { thread_id?: string | undefined; run_id: string },
    how: { action: "interrupt" | "rollback"; wait: boolean },
  ): Promise<RunRecord> {
    const { worker, env } = this.#deps;
    const since = env.storage.timeline.number;
    const outcome = await this.#runs.cancel(scope, target, how.action);
    if (outcome === undefined) throw new RuntimeError("not_found", `Run ${target.run_id} is not pending or running`);
    const { run, result } = outcome;
    if (result === "signalled") {
      this.#signal(run.run_id, run.cancel_action ?? how.action);
      if (how.wait) await this.#over(scope, run, since);
    } else {
      await this.#conclude(scope, run, result);
      worker.look();
    }
    return run;
  }

  /**
   * What is owed for a run that was ended, or taken away, while it waited. An earlier attempt of it may have changed the
   * thread's state; or an earlier run, which was pushed aside by this one and had left that to it.
   */
  async #conclude(scope: AuthScope, run: RunRecord, result: "ended" | "removed"): Promise<void> {
    const { env } = this.#deps;
    if (result === "ended" && run.first_epoch > 0) return concludeSwept(env, { run, result: "interrupted" });
    await closeFeeds(env, scope, { thread_id: run.thread_id, run_ids: [run.run_id] });
    if (result === "ended") return;
    const { items } = await this.#runs.list(scope, run.thread_id, { limit: 1, offset: 0 });
    const [before] = items;
    if (before?.status === "interrupted" && before.first_epoch > 0)
      await concludeSwept(env, { run: before, result: "interrupted" });
  }

  /** Resolves when a run is over, wherever it is executed. RuntimeError unavailable when this process stops first. */
  async #over(scope: AuthScope, run: RunRecord, since: number): Promise<void> {
    const { env, worker } = this.#deps;
    await worker.ended(run.run_id);
    if (!env.storage.shared) return;
    const now = await this.#runs.find(scope, run.run_id);
    try {
      if (now !== undefined) {
        await this.reader.result(scope, { run: now }, new AbortController().signal);
        return;
      }
    } catch (error) {
      if (!(error instanceof StreamSuspended)) throw error;
      if ((await this.#runs.find(scope, run.run_id)) !== undefined)
        throw new RuntimeError("unavailable", "The server is stopping; the run was told to stop", { cause: error });
    }
    // One that was deleted meanwhile is over too, one that the database has lost is not.
    await this.reader.endOfGone(scope, { run, since });
  }

  /** RuntimeError not_found when nothing matched. */
  async cancelMany(
    scope: AuthScope,
    which: { status: "pending" | "running" | "all" } | { thread_id: string; run_ids: string[] },
    action: "interrupt" | "rollback",
  ): Promise<void> {
    const inflight =
      "run_ids" in which
        ? await this.#runs.inflight(scope, { thread_id: which.thread_id, status: "all" })
        : await this.#runs.inflight(scope, { status: which.status });
    const named = "run_ids" in which ? new Set(which.run_ids.map((id) => id.toLowerCase())) : undefined;
    const runs = inflight.filter(({ run_id }) => named?.has(run_id) !== false);
    const matched = await this.#stopAll(scope, runs, { action, wait: false });
    if (matched === 0) throw new RuntimeError("not_found", "No run matched");
  }

  /** Stops everything on a thread and returns when it has stopped (before the thread is deleted). */
  async cancelInflight(scope: AuthScope, threadId: string): Promise<void> {
    await this.#announceDeletion(scope, threadId);
    const runs = await this.#runs.inflight(scope, { thread_id: threadId, status: "all" });
    await this.#stopAll(scope, runs);
  }

  /**
   * Stops every run of an assistant and returns when they have stopped (before the assistant is deleted). With
   * `deleteThreads` the threads that are the assistant's own go too.
   */
  async cancelOfAssistant(scope: AuthScope, assistantId: string, deleteThreads: boolean): Promise<void> {
    const inflight = await this.#runs.inflight(scope, { status: "all" });
    const runs = inflight.filter((run) => run.assistant_id === assistantId);
    if (deleteThreads) {
      for (const threadId of new Set(runs.map(({ thread_id }) => thread_id))) {
        const thread = await this.#deps.env.storage.threads.find(scope, threadId);
        if (thread?.metadata.assistant_id === assistantId) await this.#announceDeletion(scope, threadId);
      }
    }
    await this.#stopAll(scope, runs);
  }

  /** Deletes the records of an assistant's runs that are over; threads and their state stay. */
  async removeOfAssistant(scope: AuthScope, assistantId: string): Promise<void> {
    await this.#runs.removeOfAssistant(scope, assistantId);
  }

  /**
   * Readers and waiters of what is stopped there get an error: a part of a result must not look like the whole. What is
   * created there from now on is refused.
   */
  async #announceDeletion(scope: AuthScope, threadId: string): Promise<void> {
    const { deletions, storage } = this.#deps.env;
    await storage.threads.patch(scope, threadId, { ttl: GOING });
    deletions.add(threadId.toLowerCase());
  }

  /** How many there were to stop: what ended by itself meanwhile is not counted. */
  async #stopAll(
    scope: AuthScope,
    runs: readonly Pick<RunRecord, "run_id" | "status">[],
    how: { action: "interrupt" | "rollback"; wait: boolean } = { action: "interrupt", wait: true },
  ): Promise<number> {
    // Those that wait first: the end of the one before them would start them.
    const waiting = runs.filter(({ status }) => status === "pending");
    let stopped = 0;
    for (const run of new Set([...waiting, ...runs])) {
      try {
        await this.cancel(scope, { run_id: run.run_id }, how);
        stopped++;
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== "not_found") throw error;
      }
    }
    return stopped;
  }

  /** Client of an attached call has gone and asked for its run to go with it. */
  async abandon(scope: AuthScope, runId: string): Promise<void> {
    // A server that stops cuts its clients off; that is not their wish.
    if (this.#deps.env.hub.find(runId)?.state === "suspended") return;
    try {
      await this.cancel(scope, { run_id: runId }, { action: "interrupt", wait: false });
    } catch (error) {
      if (error instanceof RuntimeError && error.code === "not_found") return;
      this.#deps.env.logger.error({ run_id: runId, err: error }, "could not cancel the run of a client that left");
    }
  }
}
