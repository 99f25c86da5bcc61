import type { AuthScope } from "#core/identity/scope";
import { closeFeed } from "#core/streams/closing";
import type { RunEnvironment } from "./prepare.ts";

/**
 * Tells whoever reads runs that never got to run, or whose executor no longer counts, that they are over; whoever waits
 * for one gets the thread's stored values. Never rejects: what was decided about the runs is stored already.
 */
export async function closeFeeds(
  env: Pick<RunEnvironment, "hub" | "storage" | "logger">,
  scope: AuthScope,
  target: { thread_id: string; run_ids: readonly string[] },
): Promise<void> {
  const open = target.run_ids.filter((id) => env.hub.find(id) !== undefined);
  if (open.length === 0) return;
  let body = "{}";
  try {
    const thread = await env.storage.threads.find(scope, target.thread_id);
    body = JSON.stringify(thread?.values ?? {});
  } catch (error) {
    env.logger.error({ thread_id: target.thread_id, err: error }, "the values of a thread could not be read");
  }
  for (const id of open) closeFeed(env.hub, id, body);
}
