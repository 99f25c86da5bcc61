import type { AuthScope } from "#core/identity/scope";
import type { EventId } from "#core/streams/events";
import { START } from "#core/streams/events";
import type { RunFeed } from "#core/streams/feed";
import type { RunEnd } from "#core/streams/follower";
import { whyGone } from "./gone.ts";
import { LoggedResult } from "./outcome.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { RunRecord } from "./repository.ts";

/** Rows of the log at once; each may hold a whole state. */
const RESULT_ROWS = 100;

type Reading = Pick<RunEnvironment, "storage">;

/** A run, and the timeline's number when it was there. */
interface Known {
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

/** What a run that is over leaves to its readers; one that was rolled back leaves the thread as it is. */
async function endOf(env: Reading, scope: AuthScope, { run, since }: Known): Promise<RunEnd> {
  const now = await env.storage.runs.find(scope, run.run_id);
  if (now === undefined) {
    const problem = await whyGone(env, run, since);
    if (problem !== undefined) throw problem;
    return { body: await storedValues(env, scope, run.thread_id), error: null };
  }
  return { body: await resultOf(env, scope, now), error: now.error };
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
