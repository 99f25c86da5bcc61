import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { EventId } from "#core/streams/events";
import { START } from "#core/streams/events";
import type { RunFeed } from "#core/streams/feed";
import type { RunEnd } from "#core/streams/follower";
import { isGoing, RUN_DELETED, THREAD_DELETED } from "./deletions.ts";
import { whyGone } from "./gone.ts";
import { LoggedResult, resultBody } from "./outcome.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { RunFailure, RunRecord } from "./repository.ts";

/** Rows of the log at once; each may hold a whole state. */
const RESULT_ROWS = 100;

type Reading = Pick<RunEnvironment, "storage">;

/** A run, and the timeline's number when it was there. */
export interface Known {
  run: RunRecord;
  since: number;
}

/** JSON text of a thread's values; "{}" when it has none or is hidden. */
export async function storedValues({ storage }: Reading, scope: AuthScope, threadId: string): Promise<string> {
  const thread = await storage.threads.find(scope, threadId);
  return thread?.values == null ? "{}" : JSON.stringify(thread.values);
}

/** JSON text of the wait body of a run that is over. */
export async function resultOf(env: Reading, scope: AuthScope, run: RunRecord): Promise<string> {
  const { thread_id, run_id } = run;
  const result = new LoggedResult();
  let after: EventId | undefined;
  for (;;) {
    const rows = await env.storage.events.read(scope, {
      thread_id,
      run_id,
      after,
      modes: ["values"],
      limit: RESULT_ROWS,
    });
    for (const row of rows) result.add(row);
    after = rows[rows.length - 1];
    if (rows.length < RESULT_ROWS) break;
  }
  return result.body(run.error) ?? (await storedValues(env, scope, thread_id));
}

/** The run as its readers are to see it: one that was stopped because its thread is deleted has failed for them. */
export async function asEnded({ storage }: Reading, scope: AuthScope, run: RunRecord): Promise<RunRecord> {
  if (run.status !== "interrupted" || run.error !== null || run.stateless) return run;
  const thread = await storage.threads.find(scope, run.thread_id);
  // Between the two looks the deletion may have been completed: without its thread a run has no result.
  return thread === undefined || isGoing(thread) ? { ...run, error: THREAD_DELETED } : run;
}

/**
 * How a run ended that the database does not have any more: it was deleted, or rolled back, which leaves the thread as it
 * is. Rejects with RuntimeError unavailable when the database has lost it, or nobody can say: then it is no end at all.
 */
export async function endOfGone(
  env: Pick<RunEnvironment, "storage" | "deletions">,
  scope: AuthScope,
  { run, since }: Known,
): Promise<RunEnd> {
  const { deletions, storage } = env;
  const { run_id, thread_id, stateless } = run;
  if (deletions.has(run_id)) return failed(RUN_DELETED);
  const lost = await whyGone(env, run, since);
  if (lost !== undefined) throw lost;
  const thread = await storage.threads.find(scope, thread_id);
  // A thread that is younger than its run was made after the run's own had been deleted.
  if (thread !== undefined && !isGoing(thread) && thread.created_at <= run.created_at) {
    return { body: thread.values === null ? "{}" : JSON.stringify(thread.values), error: null };
  }
  if (stateless) return { body: "{}", error: null };
  if (thread !== undefined || deletions.has(thread_id)) return failed(THREAD_DELETED);
  throw new RuntimeError("unavailable", `Run ${run_id} is no longer in the database`);
}

function failed(error: RunFailure): RunEnd {
  return { body: resultBody({ values: undefined, interrupts: undefined, error }), error };
}

/** What a run that is over leaves to its readers; undefined when nobody can say. */
async function endOf(env: RunEnvironment, scope: AuthScope, { run, since }: Known): Promise<RunEnd | undefined> {
  const now = await env.storage.runs.find(scope, run.run_id);
  if (now === undefined) return endOfGone(env, scope, { run, since }).catch(unlessLost);
  const ended = await asEnded(env, scope, now);
  return { body: await resultOf(env, scope, ended), error: ended.error };
}

/** Of a run that was lost nothing can be said. */
function unlessLost(error: unknown): undefined {
  if (!(error instanceof RuntimeError) || error.code !== "unavailable") throw error;
}

/**
 * Fills the feed of a run that other processes may execute, where there are others. Resolves when the feed has come to
 * where the log was: a feed that was there from the run's beginning gets all of it, another one the present attempt.
 */
export async function followRun(env: RunEnvironment, run: RunRecord, feed: RunFeed): Promise<void> {
  if (!env.storage.shared) return;
  const scope: AuthScope = { tenant: run.tenant, owner: run.owner, permissions: [], filters: undefined };
  const { thread_id, run_id, epoch } = run;
  const since = env.storage.timeline.number;
  await env.follower.follow(feed, {
    thread_id,
    run_id,
    after: feed.whole || epoch === 0 ? START : { epoch, n: -1 },
    stored: (after, limit) => env.storage.events.read(scope, { thread_id, run_id, after, limit }),
    ended: () => endOf(env, scope, { run, since }),
  });
}
