import { newId } from "@fractal-agents/infra/ids";
import { createSaver } from "#core/checkpoints/saver";
import { bindGraph } from "#core/graphs/bind";
import type { AuthScope } from "#core/identity/scope";
import { readRunState } from "#core/threads/run-state";
import { closeFeeds } from "./close-feeds.ts";
import type { RunKwargs } from "./create.ts";
import { type RunEnvironment, scopeOfRun } from "./prepare.ts";
import type { RunRecord, SweptRun } from "./repository.ts";

/**
 * What is still owed when the queue ended a run in place of its executor, because its attempts are used up or its cancel
 * was not carried out: the thread's values follow its newest checkpoint, and whoever reads the run is told. Never
 * rejects: the end itself is stored. If the process dies here, only the thread's cached values are behind, until its next
 * run or state write.
 */
export async function concludeSwept(env: RunEnvironment, { run, result }: SweptRun): Promise<void> {
  if (result === "requeued" || result === "exonerated") return;
  const { run_id, thread_id } = run;
  // After a rollback the thread is what was kept of it before the run.
  if (result !== "removed") {
    try {
      await refreshThread(env, run);
    } catch (error) {
      env.logger.error({ run_id, thread_id, err: error }, "the values of a thread could not be brought up to date");
    }
  }
  const error = result === "exhausted" ? run.error : null;
  await closeFeeds(env, scopeOf(run), { thread_id, run_ids: [run_id], error });
}

/** Takes the lane as a state write would; a thread at which something is at work is brought up to date by that. */
async function refreshThread(env: RunEnvironment, run: RunRecord): Promise<void> {
  const { config, context, transient } = run.kwargs as unknown as RunKwargs;
  if (transient) return;
  const { graphs, commits } = env;
  const { checkpoints, lanes } = env.storage;
  const scope = scopeOf(run);
  const checkpointScope = scopeOfRun(env, run);
  if (!(await changedState(env, run, checkpointScope))) return;
  const shared = await graphs.build(run.graph_id, { accessContext: "threads.read", config, context });
  const { serde } = graphs.toolkit(run.graph_id);
  const saver = createSaver({ repository: checkpoints, commits, scope, checkpointScope, serde });
  const graph = bindGraph(shared, { checkpointer: saver });
  const fence = await lanes.acquire(scope, run.thread_id, { writer_id: newId(), worker_id: env.workerId() });
  if (typeof fence === "string") return;
  try {
    const state = await readRunState(graph, run.thread_id, { saver, logger: env.logger });
    await lanes.complete(fence, { scope: checkpointScope, state, metadata: {}, events: [], error: run.error });
  } catch (error) {
    await lanes.abandon(fence).catch((failure: unknown) => {
      env.logger.warn({ thread_id: run.thread_id, err: failure }, "lane not freed; trying again");
    });
    throw error;
  }
}

/** Whether the run has come far enough to put a checkpoint, or an interrupt on the one that it found. */
async function changedState({ storage }: RunEnvironment, run: RunRecord, checkpointScope: string): Promise<boolean> {
  const { thread_id, run_id } = run;
  const scope = scopeOf(run);
  const place = { thread_id, run_id, checkpoint_ns: checkpointScope };
  if ((await storage.checkpoints.newestOfRun(scope, place)) !== undefined) return true;
  const head = await storage.checkpoints.get(scope, { thread_id, checkpoint_ns: checkpointScope });
  if (head === undefined) return false;
  return storage.checkpoints.interruptsOfRun(scope, { ...place, checkpoint_id: head.row.checkpoint_id });
}

function scopeOf({ tenant, owner }: RunRecord): AuthScope {
  return { tenant, owner, permissions: [], filters: undefined };
}
