import { newId } from "@fractal-agents/infra/ids";
import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { RunFeed } from "#core/streams/feed";
import type { Assistant } from "#schemas/assistants";
import type { Page } from "#schemas/common";
import type { RunCreate } from "#schemas/run-requests";
import { closeFeeds } from "./close-feeds.ts";
import type { CreateOptions } from "./create.ts";
import { newRun } from "./create.ts";
import type { RunEnvironment } from "./prepare.ts";
import { RunReader } from "./read.ts";
import type { RunQuery, RunRecord } from "./repository.ts";
import type { Worker } from "./worker.ts";

const BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.";

export interface RunServiceDeps {
  env: RunEnvironment;
  worker: Worker;
  assistants: { resolve(scope: AuthScope, idOrGraph: string): Promise<Assistant> };
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
    const { env, worker, assistants, maxAttempts } = this.#deps;
    const assistant = await assistants.resolve(scope, request.assistant_id);
    const runId = newId();
    const options: CreateOptions = {
      runId,
      threadId: call.threadId,
      hiddenThreadId: newId(),
      streamed: call.streamed,
      idempotencyKey: call.idempotencyKey ?? null,
      requestId: call.requestId,
      maxAttempts,
    };
    const run = newRun(request, options, { assistant, thread: undefined, graphs: env.graphs });
    const feed = call.attached ? env.hub.open(runId, true) : undefined;
    try {
      const outcome = await this.#runs.create(scope, run);
      if (outcome.kind === "busy") throw new RuntimeError("conflict", BUSY);
      if (outcome.kind === "no_thread") throw new RuntimeError("not_found", "Thread or assistant not found.");
      if (outcome.kind === "replayed") {
        env.hub.drop(runId);
        return { run: outcome.run, feed: undefined };
      }
      const strategy = run.multitask_strategy === "rollback" ? "rollback" : "interrupt";
      for (const id of outcome.cancelled) worker.cancel(id, strategy);
      const { thread_id } = outcome.run;
      await closeFeeds(env, scope, { thread_id, run_ids: [...outcome.ended, ...outcome.removed] });
      await worker.start(outcome.run);
      return { run: outcome.run, feed };
    } catch (error) {
      env.hub.drop(runId);
      throw error;
    }
  }

  /** In order. All or none, as far as the requests themselves can be at fault. */
  async createBatch(scope: AuthScope, requests: readonly RunCreate[], requestId: string): Promise<RunRecord[]> {
    const { env, assistants, maxAttempts } = this.#deps;
    for (const request of requests) {
      const assistant = await assistants.resolve(scope, request.assistant_id);
      const trial = { runId: "", threadId: undefined, hiddenThreadId: "", streamed: false, idempotencyKey: null };
      newRun(request, { ...trial, requestId, maxAttempts }, { assistant, thread: undefined, graphs: env.graphs });
    }
    const runs: RunRecord[] = [];
    for (const request of requests) {
      const { run } = await this.create(scope, request, { streamed: false, attached: false, requestId });
      runs.push(run);
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

  /** Deletes a run that is over, with its checkpoints and log. */
  async remove(scope: AuthScope, threadId: string, runId: string): Promise<void> {
    const run = await this.get(scope, runId, threadId);
    if (run.status === "pending" || run.status === "running") {
      throw new RuntimeError("conflict", `Run ${runId} is ${run.status}; cancel it first`);
    }
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
    const { env, worker } = this.#deps;
    const outcome = await this.#runs.cancel(scope, target, how.action);
    if (outcome === undefined) throw new RuntimeError("not_found", `Run ${target.run_id} is not pending or running`);
    const { run, result } = outcome;
    if (result === "signalled") {
      worker.cancel(run.run_id, run.cancel_action ?? how.action);
      if (how.wait) await worker.ended(run.run_id);
    } else {
      await closeFeeds(env, scope, { thread_id: run.thread_id, run_ids: [run.run_id] });
      worker.look();
    }
    return run;
  }

  /** RuntimeError not_found when nothing matched. */
  async cancelMany(
    scope: AuthScope,
    which: { status: "pending" | "running" | "all" } | { thread_id: string; run_ids: string[] },
    action: "interrupt" | "rollback",
  ): Promise<void> {
    const targets =
      "run_ids" in which
        ? which.run_ids.map((run_id) => ({ thread_id: which.thread_id, run_id }))
        : (await this.#runs.inflight(scope, { status: which.status })).map(({ thread_id, run_id }) => ({
            thread_id,
            run_id,
          }));
    let matched = 0;
    for (const target of targets) {
      try {
        await this.cancel(scope, target, { action, wait: false });
        matched++;
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== "not_found") throw error;
      }
    }
    if (matched === 0) throw new RuntimeError("not_found", "No run matched");
  }

  /** Stops everything on a thread and returns when it has stopped (before the thread is deleted). */
  async cancelInflight(scope: AuthScope, threadId: string): Promise<void> {
    await this.#stopAll(scope, await this.#runs.inflight(scope, { thread_id: threadId, status: "all" }));
  }

  /** Stops every run of an assistant and returns when they have stopped (before the assistant is deleted). */
  async cancelOfAssistant(scope: AuthScope, assistantId: string): Promise<void> {
    const inflight = await this.#runs.inflight(scope, { status: "all" });
    await this.#stopAll(
      scope,
      inflight.filter((run) => run.assistant_id === assistantId),
    );
  }

  async #stopAll(scope: AuthScope, runs: readonly RunRecord[]): Promise<void> {
    for (const run of runs) {
      try {
        await this.cancel(scope, { run_id: run.run_id }, { action: "interrupt", wait: true });
      } catch (error) {
        // It ended by itself meanwhile.
        if (!(error instanceof RuntimeError) || error.code !== "not_found") throw error;
      }
    }
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
