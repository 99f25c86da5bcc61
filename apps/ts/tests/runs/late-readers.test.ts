import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { Deletions } from "#core/runs/deletions";
import { Hints } from "#core/runs/hints";
import type { RunEnvironment } from "#core/runs/prepare";
import { RunReader } from "#core/runs/read";
import type { RunRecord } from "#core/runs/repository";
import { START } from "#core/streams/events";
import { RunServer } from "./server.ts";

/** Readers that looked a run up while it ran, and come to read it when it is over. */
describe("readers that come too late", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** A run that is over, as its row looked while it ran; and a reader whose look-ups take a turn of the event loop. */
  async function ended(): Promise<{ reader: RunReader; stale: RunRecord; lookUps: () => number }> {
    const thread = await server.thread();
    await server.stream(thread.runs, { assistant_id: "counter", input: { steps: 2 } });
    const [{ run_id }] = (await server.get(thread.runs)).body;
    const row = await server.storage.runs.find(ANONYMOUS, run_id);
    if (row === undefined) throw new Error("no run");
    const { storage, hub } = server;
    let lookUps = 0;
    const runs = Object.create(storage.runs, {
      find: {
        value: async (...asked: Parameters<typeof storage.runs.find>) => {
          lookUps++;
          await new Promise((resolve) => setImmediate(resolve));
          return storage.runs.find(...asked);
        },
      },
    });
    const deletions = new Deletions(storage.signals, new Hints(storage.signals, { shared: false, always: false }));
    const env = { hub, deletions, storage: { ...storage, runs, threads: storage.threads, events: storage.events } };
    return {
      reader: new RunReader(env as unknown as RunEnvironment),
      stale: { ...row, status: "running" },
      lookUps: () => lookUps,
    };
  }

  it("all find it over: one that met the feed of another waited for ever", async () => {
    const { reader, stale, lookUps } = await ended();
    const { signal } = new AbortController();
    const first = reader.result(ANONYMOUS, { run: stale }, signal);
    // The first has made a feed and is about to find out that it is too late.
    await Promise.resolve();
    const second = reader.result(ANONYMOUS, { run: stale }, signal);
    const third = (async () => {
      let text = "";
      const frames = reader.frames(ANONYMOUS, { run: stale }, { from: START, endEvent: true, signal });
      for await (const batch of frames) text += Buffer.concat(batch).toString();
      return text;
    })();
    expect(JSON.parse(await first)).toMatchObject({ count: 2 });
    expect(await second).toBe(await first);
    expect(await third).toContain("event: end");
    expect(lookUps()).toBe(1);
    expect(server.hub.size).toBe(0);
  });

  it("leave no feed behind when the run is gone altogether", async () => {
    const { reader, stale } = await ended();
    await server.storage.runs.remove(ANONYMOUS, stale.run_id);
    const { signal } = new AbortController();
    // As after a rollback: what the thread holds.
    expect(JSON.parse(await reader.result(ANONYMOUS, { run: stale }, signal))).toMatchObject({ count: 2 });
    const frames = reader.frames(ANONYMOUS, { run: stale }, { from: START, endEvent: true, signal });
    const told = await Array.fromAsync(frames);
    expect(Buffer.concat(told.flat()).toString()).toBe("event: end\ndata: null\n\n");
    expect(server.hub.size).toBe(0);
  });

  it("of a run that waits for its turn get a feed that its execution then speaks into", async () => {
    const thread = await server.thread();
    const body = { assistant_id: "counter", input: { steps: 1 }, after_seconds: 0.1 };
    const { body: run } = await server.post(thread.runs, body);
    const readers = Array.from({ length: 5 }, () => server.join(run));
    for (const events of await Promise.all(readers)) {
      expect(events.map(({ event }) => event)).toEqual(["metadata", "values", "values", "end"]);
    }
    expect(server.hub.size).toBe(0);
  });
});
