import type { RunFailure } from "#core/runs/repository";
import type { FeedHub } from "./hub.ts";

/**
 * Ends the stream of a run that never got to run, or whose executor no longer counts: `end`, or the `error` it was given
 * up with, without an id (its epoch has no log of its own), then whoever waits gets `body`, the JSON text of the wait
 * answer.
 */
export function closeFeed(hub: FeedHub, runId: string, last: { body: string; error?: RunFailure | null }): void {
  const feed = hub.find(runId);
  if (feed === undefined) return;
  const { body, error = null } = last;
  const [mode, data] = error === null ? ["end", "null"] : ["error", JSON.stringify(error)];
  feed.append({ epoch: 0, n: null, runId, ns: "", mode, at: Date.now(), data });
  feed.finish({ body });
  hub.drop(runId);
}
