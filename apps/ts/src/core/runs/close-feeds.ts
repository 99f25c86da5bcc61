import type { AuthScope } from "#core/identity/scope";
import { closeFeed } from "#core/streams/closing";
import { isGoing, THREAD_DELETED } from "./deletions.ts";
import { resultBody } from "./outcome.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { RunFailure } from "./repository.ts";

/**
 * Tells whoever reads runs that never got to run, or whose executor no longer counts, that they are over; whoever waits
 * for one gets the error it was given up with, or that its thread is deleted, else the thread's stored values. Never
 * rejects: what was decided about the runs is stored already.
 */
export async function closeFeeds(
  env: Pick<RunEnvironment, "hub" | "storage" | "logger" | "follower" | "hints">,
  scope: AuthScope,
  target: { thread_id: string; run_ids: readonly string[]; error?: RunFailure | null },
): Promise<void> {
  for (const id of target.run_ids) env.hints.log(id);
  // A feed that is filled from the log gets what is left of it before its end.
  const open = target.run_ids.filter((id) => env.hub.find(id) !== undefined && !env.follower.look(id));
  if (open.length === 0) return;
  let { error = null } = target;
  let body = "{}";
  try {
    const thread = await env.storage.threads.find(scope, target.thread_id);
    body = JSON.stringify(thread?.values ?? {});
    if (isGoing(thread)) error ??= THREAD_DELETED;
  } catch (problem) {
    env.logger.error({ thread_id: target.thread_id, err: problem }, "the values of a thread could not be read");
    // An empty body would look like the thread's values. The waiters retry and read the outcome from the database.
    if (error === null) return suspend(env.hub, open);
  }
  if (error !== null) body = resultBody({ values: undefined, interrupts: undefined, error });
  for (const id of open) closeFeed(env.hub, id, { body, error });
}

function suspend(hub: RunEnvironment["hub"], runIds: readonly string[]): void {
  for (const id of runIds) {
    hub.find(id)?.suspend();
    hub.drop(id);
  }
}
