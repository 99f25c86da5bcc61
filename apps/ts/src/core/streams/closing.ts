import type { FeedHub } from "./hub.ts";

/**
 * Ends the stream of a run that never got to run, or whose executor no longer counts: `end` without an id (its epoch has
 * no log of its own), then whoever waits gets `body`, the JSON text of the wait answer.
 */
export function closeFeed(hub: FeedHub, runId: string, body: string): void {
  const feed = hub.find(runId);
  if (feed === undefined) return;
  feed.append({ epoch: 0, n: null, runId, ns: "", mode: "end", at: Date.now(), data: "null" });
  feed.finish({ body });
  hub.drop(runId);
}
