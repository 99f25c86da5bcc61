import { expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { NO_SIGNALS } from "#core/signals";
import { START } from "./events.ts";
import { Follower } from "./follower.ts";
import { FeedHub } from "./hub.ts";
import type { RunNews } from "./repository.ts";

const answer = (run_id: string): RunNews => ({ run_id, over: false, rows: [], more: false });

it("a log that is out of reach for too long sends its readers elsewhere, one that comes back in time does not", async () => {
  const hub = new FeedHub();
  let failures = 3;
  const news = async (runs: readonly { run_id: string }[]) => {
    if (failures-- > 0) throw new Error("the database is away");
    return runs.map(({ run_id }) => answer(run_id));
  };
  const logger = createLogger({ level: "error", json: true, write: () => undefined });
  const pace = { hintedMs: 5, deafMs: 200 };
  const follower = new Follower({ events: { news }, signals: NO_SIGNALS, hub, logger }, pace);
  const feed = hub.open("r");
  feed.readers = 1;
  const target = { thread_id: "t", run_id: "r", after: START, stored: async () => [] };
  await follower.follow(feed, { ...target, ended: async () => ({ body: "{}", error: null }) });
  expect([feed.state, failures < 0]).toEqual(["open", true]);
  const began = performance.now();
  failures = Number.POSITIVE_INFINITY;
  const suspended = Promise.withResolvers<void>();
  feed.onChange(suspended.resolve);
  await suspended.promise;
  expect(performance.now() - began).toBeGreaterThanOrEqual(200);
  expect([feed.state, feed.followed, follower.size, hub.size]).toEqual(["suspended", false, 0, 0]);
  follower.close();
});
