import { describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { Follower } from "#core/streams/follower";
import { FeedHub } from "#core/streams/hub";
import { ALICE, fenceOf } from "../contract/harness.ts";
import { redisAvailable } from "../servers/redis.ts";
import { Bed, say, says } from "./valkey-bed.ts";

/** Packs above 1 MiB are never streamed: only the database has them. */
const LARGE = JSON.stringify("x".repeat(1_100_000));

describe.skipIf(redisAvailable() !== undefined)("a run that moves to the process of its reader, with Valkey", () => {
  it("loses no event that only the database has", async () => {
    await using bed = await Bed.open();
    const run = await bed.start();
    const { thread_id, run_id } = run;
    const hub = new FeedHub();
    const feed = hub.open(run_id, true);
    const logger = createLogger({ level: "silent", json: true, write: () => undefined });
    const { events, signals } = bed.reader;
    const follower = new Follower({ events, signals, hub, logger });
    await bed.sayLive(run, says(fenceOf(run), 0, "0", "1"));
    await follower.follow(feed, {
      thread_id,
      run_id,
      after: { epoch: -1, n: -1 },
      stored: (after, limit) => events.read(ALICE, { thread_id, run_id, after, limit }),
      ended: async () => ({ body: "{}", error: null }),
    });
    expect(feed.lastId).toEqual({ epoch: run.epoch, n: 1 });
    // Valkey says that there is nothing new; the next attempt begins here.
    expect(await say(bed.executor, fenceOf(run), says(fenceOf(run), 2, LARGE))).toBe("written");
    await follower.handOver(run_id, run.epoch + 1);
    expect(feed.lastId).toEqual({ epoch: run.epoch, n: 2 });
    follower.close();
  });
});
