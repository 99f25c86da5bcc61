import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, runPath, until } from "../runs/server.ts";
import { eventsOf, SseReader } from "../runs/sse-client.ts";
import { RawClient } from "./raw-client.ts";

describe("many readers of one run", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** A streamed run at its gate, which then writes n events of so many characters. */
  async function running(name: string, given: { n: number; size?: number; stream_resumable?: boolean }) {
    const { stream_resumable = true, ...input } = given;
    const thread = await server.thread();
    const body = { assistant_id: "gate", input: { name, ...input }, stream_mode: "custom", stream_resumable };
    const { body: run } = await server.post(thread.runs, body);
    await arrival(name);
    return run as { run_id: string; thread_id: string };
  }

  const attached = (run: { run_id: string }, readers: number) =>
    until(() => server.hub.find(run.run_id)?.readers === readers);

  const numbers = (events: { event: string; data: { i: number } }[]) =>
    events.filter(({ event }) => event === "custom").map(({ data }) => data.i);

  it("gives 100 of them, 5 of them slow, the same bytes", async () => {
    const run = await running("hundred", { n: 1500, size: 50 });
    const path = `${runPath(run)}/stream`;
    const readers = Array.from({ length: 100 }, async (_, i) => {
      const answer = await server.open("GET", path, { headers: { "Last-Event-ID": "-1" } });
      const reader = new SseReader(answer);
      if (i % 20 !== 0) await reader.rest();
      while (!reader.done) {
        await reader.readUntil(({ text }) => text.length >= 0);
        await new Promise((resolve) => setTimeout(resolve, 5));
        const { length } = reader.text;
        await reader.readUntil(({ text }) => text.length > length);
      }
      return reader.text.replace(/^\n/, "").replaceAll(": heartbeat\n\n", "");
    });
    await attached(run, 100);
    open("hundred");
    const texts = await Promise.all(readers);
    expect(new Set(texts).size).toBe(1);
    expect(numbers(eventsOf(texts[0] as string) as never)).toEqual([...Array(1500).keys()]);
  });

  it("is not held up by one that never reads, nor grows by it; that one finds everything when it wakes", async () => {
    // 20 MB in all: far more than sockets and ring hold.
    const [n, size] = [5_000, 4_000];
    const run = await running("never-reads", { n, size });
    const sleeper = await RawClient.open(server.url, `${runPath(run)}/stream`);
    await attached(run, 1);
    const feed = server.hub.find(run.run_id);
    const reader = server.join(run, { from: "-1" });
    await attached(run, 2);
    const before = process.memoryUsage().rss;
    open("never-reads");
    const events = await reader;
    expect(numbers(events)).toEqual([...Array(n).keys()]);
    await server.reached(run, "success");
    if (feed === undefined) throw new Error("no feed");
    // The ring lets go of what the log holds.
    expect(feed.end - feed.start).toBeLessThanOrEqual(2_500);
    expect(process.memoryUsage().rss - before).toBeLessThan(600 * 1024 * 1024);
    const text = await sleeper.readUntil("event: end");
    const ids = [...text.matchAll(/^id: (\d+-\d+)$/gm)].map(([, id]) => id);
    const sent = events.map(({ id }) => id);
    // It joined in the middle, so it lacks what was before it; nothing after that is missing or comes twice.
    expect(ids).toEqual(sent.slice(sent.length - ids.length));
    expect(ids.length).toBeGreaterThan(n);
    sleeper.vanish();
  });

  it("gives what has left the ring from the log, each event once, to a reader that comes late", async () => {
    const run = await running("late", { n: 6_000, size: 10 });
    const early = server.join(run, { from: "-1" });
    await attached(run, 1);
    open("late");
    // Joins while the run writes, at whatever point of it.
    const late = [];
    for (let i = 0; i < 20; i++) {
      late.push(server.join(run, { from: "-1" }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const events = await early;
    expect(numbers(events)).toEqual([...Array(6_000).keys()]);
    for (const each of await Promise.all(late)) {
      expect(each.length).toBe(events.length);
      expect(each).toEqual(events);
    }
  });

  it("keeps the ring of a run that is not logged in bounds too: it grew without an end", async () => {
    const run = await running("unlogged-ring", { n: 9_000, size: 10, stream_resumable: false });
    const answer = await server.open("GET", `${runPath(run)}/stream`);
    const reader = new SseReader(answer);
    await attached(run, 1);
    const feed = server.hub.find(run.run_id);
    open("unlogged-ring");
    await reader.rest();
    if (feed === undefined) throw new Error("no feed");
    expect(feed.end).toBeGreaterThan(9_000);
    expect(feed.end - feed.start).toBeLessThanOrEqual(2_500);
  });

  it("gives a reader the state that was too slow for events which no log holds: it had a hole and did not know", async () => {
    // 40 MB in all: far more than sockets and ring hold.
    const [n, size] = [10_000, 4_000];
    const run = await running("too-slow", { n, size, stream_resumable: false });
    const sleeper = await RawClient.open(server.url, `${runPath(run)}/stream`);
    await attached(run, 1);
    const reader = new SseReader(await server.open("GET", `${runPath(run)}/stream`));
    open("too-slow");
    await reader.rest();
    await server.reached(run, "success");
    const text = await sleeper.readUntil("event: end");
    const names = [...text.matchAll(/^event: (.+)$/gm)].map(([, name]) => name);
    const seen = [...text.matchAll(/^data: \{"i":(\d+)/gm)].map(([, i]) => Number(i));
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.length).toBeLessThan(n);
    expect(seen).toEqual([...seen.keys()]);
    expect(names.slice(seen.length)).toEqual(["values", "end"]);
    expect(text).toContain('"trail":["before","after"]');
    sleeper.vanish();
  });

  it("forgets the feed of a run when it is over, and every waiter", async () => {
    await until(() => server.hub.size === 0);
    const run = await running("forgotten", { n: 10 });
    const readers = Array.from({ length: 10 }, async () => {
      const reader = new SseReader(await server.open("GET", `${runPath(run)}/stream`));
      return reader;
    });
    const opened = await Promise.all(readers);
    await attached(run, 10);
    const feed = server.hub.find(run.run_id);
    await Promise.all(opened.slice(0, 5).map((reader) => reader.leave()));
    await attached(run, 5);
    open("forgotten");
    await Promise.all(opened.slice(5).map((reader) => reader.rest()));
    await until(() => feed?.readers === 0 && server.hub.size === 0);
  });
});
