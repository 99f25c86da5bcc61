import { describe, expect, it } from "bun:test";
import { closeFeed } from "./closing.ts";
import type { RunEvent } from "./events.ts";
import { RunFeed } from "./feed.ts";
import { FeedHub } from "./hub.ts";

const event = (n: number | null, epoch = 1): RunEvent => ({
  epoch,
  n,
  runId: "r",
  ns: "",
  mode: "custom",
  at: 0,
  data: '"0123456789"',
});

describe("the ring of a run", () => {
  const small = { events: 4, bytes: 10_000 };

  it("lets go of the older half once the log holds it, and not before", () => {
    const feed = new RunFeed("r", true, small);
    for (let n = 0; n < 6; n++) feed.append(event(n));
    expect([feed.start, feed.end, feed.whole]).toEqual([0, 6, true]);
    feed.markDurable({ epoch: 1, n: 1 });
    feed.append(event(6));
    expect([feed.start, feed.end, feed.whole]).toEqual([2, 7, false]);
    expect(feed.firstId).toEqual({ epoch: 1, n: 2 });
    expect(feed.lastId).toEqual({ epoch: 1, n: 6 });
  });

  it("is bounded by size too, and lets go of live-only events without a log", () => {
    const feed = new RunFeed("r", false, { events: 100, bytes: 40 });
    for (let i = 0; i < 50; i++) feed.append(event(null));
    expect(feed.end - feed.start).toBeLessThanOrEqual(4);
    expect([feed.firstId, feed.lastId]).toEqual([undefined, undefined]);
  });

  it("is smaller where there are many, so that all of them together keep within bounds", () => {
    const hub = new FeedHub(1_000);
    const alone = hub.open("alone");
    const say = (feed: RunFeed, events: number) => {
      for (let i = 0; i < events; i++) feed.append(event(null));
    };
    say(alone, 60);
    expect(alone.end - alone.start).toBe(60);
    for (let i = 0; i < 9; i++) say(hub.open(`${i}`), 60);
    say(alone, 60);
    expect(alone.end - alone.start).toBeLessThanOrEqual(100 / event(null).data.length);
  });

  it("finds the place after an id, or says that it cannot know", () => {
    const feed = new RunFeed("r", true, small);
    for (const n of [0, 1, 2]) feed.append(event(n));
    expect(feed.positionAfter({ epoch: 1, n: 0 })).toBe(1);
    expect(feed.positionAfter({ epoch: 1, n: 2 })).toBe(3);
    expect(feed.positionAfter({ epoch: 0, n: 5 })).toBeUndefined();
    feed.append(event(0, 2));
    expect(feed.positionAfter({ epoch: 1, n: 2 })).toBe(3);
  });

  it("hears nothing after its end: an evicted run spoke on behind the end of its stream", () => {
    const feed = new RunFeed("r");
    feed.append(event(0));
    feed.finish({ body: "{}" });
    feed.append(event(1));
    expect([feed.end, feed.state, feed.result?.body]).toEqual([1, "ended", "{}"]);
    feed.reopen();
    expect(feed.state).toBe("ended");
  });

  it("wakes everybody once per turn, and nobody who has left", async () => {
    const feed = new RunFeed("r");
    const woken: string[] = [];
    feed.onChange(() => woken.push("a"));
    const forget = feed.onChange(() => woken.push("b"));
    forget();
    feed.append(event(0));
    feed.append(event(1));
    expect(woken).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toEqual(["a"]);
    feed.suspend();
    expect([woken, feed.state]).toEqual([["a"], "suspended"]);
    feed.reopen();
    expect(feed.state).toBe("open");
  });
});

describe("the feeds of a process", () => {
  it("are one a run, until they are dropped", () => {
    const hub = new FeedHub();
    const feed = hub.open("r", true);
    expect(hub.open("r")).toBe(feed);
    expect([hub.size, hub.find("other")]).toEqual([1, undefined]);
    closeFeed(hub, "r", { body: '{"a":1}' });
    closeFeed(hub, "r", { body: "{}" });
    expect([hub.size, feed.state, feed.result?.body]).toEqual([0, "ended", '{"a":1}']);
    expect(feed.slice(0).map(({ mode, n }) => [mode, n])).toEqual([["end", null]]);
  });

  it("tell a thread's watchers of each attempt, until they stop watching", () => {
    const hub = new FeedHub();
    const told: string[] = [];
    const stop = hub.watchThread("t", (feed) => told.push(feed.runId));
    hub.announce("t", hub.open("r1"));
    hub.announce("other", hub.open("r2"));
    stop();
    hub.announce("t", hub.open("r3"));
    expect(told).toEqual(["r1"]);
    hub.suspendAll();
    expect(hub.find("r3")?.state).toBe("suspended");
  });
});
