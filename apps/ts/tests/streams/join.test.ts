import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, runPath, until } from "../runs/server.ts";
import { SseReader, shapeOf } from "../runs/sse-client.ts";

describe("joining a stream", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** A streamed run that is over, with its events. */
  async function over(body: object, path?: string) {
    const where = path ?? (await server.thread()).runs;
    const events = await server.stream(where, body);
    const { run_id, thread_id } = events[0]?.data ?? {};
    return { events, run: { run_id, thread_id } };
  }

  const all = ["values", "updates", "custom", "tasks", "checkpoints", "debug", "messages-tuple"];

  describe("after the end", () => {
    it("replays everything after the id, whichever it was", async () => {
      const { events, run } = await over({ assistant_id: "counter", input: { steps: 3 }, stream_mode: all });
      for (const [i, { id }] of events.entries()) {
        const rest = await server.join(run, { from: id as string });
        if (i < events.length - 1) expect(rest).toEqual(events.slice(i + 1));
      }
    });

    it("says once more that it is over to a reader that has seen everything", async () => {
      const { events, run } = await over({ assistant_id: "counter", input: { steps: 1 } });
      const last = events.at(-1)?.id as string;
      expect(await server.join(run, { from: last })).toEqual([{ event: "end", data: null }]);
    });

    it("takes -1, -, 0 and 0-0 for the beginning, and a well-formed id from before the run too", async () => {
      const { events, run } = await over({ assistant_id: "tokens", input: { messages: [], n: 5 }, stream_mode: all });
      for (const from of ["-1", "-", "0", "0-0", "0-7", "0-99999", "0-99999999999"]) {
        expect(await server.join(run, { from })).toEqual(events);
      }
    });

    it("refuses an id that is none", async () => {
      const { run } = await over({ assistant_id: "counter", input: { steps: 1 } });
      for (const from of ["x", "1", "1-", "-2", "1-2-3", "1.5-0", "1-x", "99999999999999999999-0"]) {
        const reply = await server.call("GET", `${runPath(run)}/stream`, { headers: { "Last-Event-ID": from } });
        expect([from, reply.status]).toEqual([from, 422]);
      }
    });

    it("takes an id that no event has for the beginning", async () => {
      const { events, run } = await over({ assistant_id: "counter", input: { steps: 1 } });
      const far = ["1-2147483648", "1-99999999999", "0-99999999999", "999999999999999-999999999999999"];
      for (const from of ["999-0", "1-4", "1-999", ...far]) expect(await server.join(run, { from })).toEqual(events);
    });

    it("gives a reader without an id the final state", async () => {
      const { run } = await over({ assistant_id: "counter", input: { steps: 2 }, stream_mode: "updates" });
      const events = await server.join(run);
      expect(shapeOf(events)).toEqual(["metadata", "values", "end"]);
      expect(events[1]?.data.count).toBe(2);
      const failed = await over({ assistant_id: "failing", input: {} });
      expect(shapeOf(await server.join(failed.run))).toEqual(["metadata", "error"]);
    });

    it("does the same for stateless runs, under both paths", async () => {
      const { events, run } = await over(
        { assistant_id: "counter", input: { steps: 3 }, stream_mode: all.slice(0, 3) },
        "/runs",
      );
      expect(await server.join(run, { from: "-1" })).toEqual(events);
      const byId = await server.call("GET", `/runs/${run.run_id}/stream`, { headers: { "Last-Event-ID": "-1" } });
      expect(byId.text).toContain("event: end");
    });

    it("shows an interrupt in values and in updates only, and to who asks afterwards", async () => {
      for (const stream_mode of [["values"], ["updates"], ["custom"], ["messages-tuple"], ["updates", "values"]]) {
        const { events, run } = await over({ assistant_id: "asking", input: {}, stream_mode });
        const replayed = await server.join(run, { from: "-1" });
        expect(replayed).toEqual(events);
        const shows = replayed.filter(({ data }) => data?.__interrupt__ !== undefined).map(({ event }) => event);
        expect(new Set(shows)).toEqual(new Set(stream_mode.filter((mode) => mode === "values" || mode === "updates")));
        const whole = { log: ["before", "work"], __interrupt__: [{ value: "one?" }, { value: "two?" }] };
        expect((await server.get(`${runPath(run)}/join`)).body).toMatchObject(whole);
        if (!stream_mode.includes("values")) continue;
        expect(replayed.findLast(({ event }) => event === "values")?.data).toMatchObject(whole);
      }
    });

    it("answers from the final state when the log is past its time", async () => {
      const { run } = await over({ assistant_id: "counter", input: { steps: 2 } });
      while ((await server.storage.retention.sweep({ eventHours: -1, batch: 1000 })) > 0);
      const events = await server.join(run, { from: "-1" });
      expect(shapeOf(events)).toEqual(["metadata", "values", "end"]);
      expect(events[1]?.data).toMatchObject({ count: 2 });
      expect((await server.get(`${runPath(run)}/join`)).body).toMatchObject({ count: 2 });
    });
  });

  describe("while the log goes", () => {
    it("answers from the final state from the first piece on, never from what is left of the log", async () => {
      const sweep = (batch: number) => server.storage.retention.sweep({ eventHours: -1, batch });
      while ((await sweep(1000)) > 0);
      const thread = await server.thread();
      const log = () => server.storage.events.read(ANONYMOUS, { thread_id: thread.id, limit: 1000 });
      const streaming = server.stream(thread.runs, { assistant_id: "gate", input: { name: "log" }, stream_mode: all });
      await arrival("log");
      // A first piece is stored, so that there are several.
      await until(async () => (await log()).length > 0);
      open("log");
      const events = await streaming;
      const { run_id } = events[0]?.data ?? {};
      const join = (from: string) => server.join({ thread_id: thread.id, run_id }, { from });
      expect(await join("-1")).toEqual(events);
      expect(await sweep(1)).toBe(1);
      const left = await log();
      expect(left.length).toBeGreaterThan(0);
      expect(left.length).toBeLessThan(events.length);
      for (const from of ["-1", events[0]?.id, events.at(-2)?.id] as string[]) {
        expect(shapeOf(await join(from))).toEqual(["metadata", "values", "end"]);
      }
    });
  });

  describe("in the middle", () => {
    /** A streamed run that stands at its gate. */
    async function running(name: string, more: object = {}) {
      const thread = await server.thread();
      const answer = await server.open("POST", `${thread.runs}/stream`, {
        body: { assistant_id: "gate", input: { name, n: 120 }, stream_mode: ["custom", "values", "updates"], ...more },
      });
      await arrival(name);
      const reader = new SseReader(answer);
      await reader.readUntil(({ events }) => events.length >= 4);
      return { reader, run: reader.events[0]?.data as { run_id: string; thread_id: string } };
    }

    const attached = (run: { run_id: string }, readers: number) =>
      until(() => server.hub.find(run.run_id)?.readers === readers);

    it("continues after the id, live, to the end", async () => {
      const { reader, run } = await running("middle");
      const ids = reader.events.map(({ id }) => id as string);
      const joined = [...ids, "-1"].map((from) => server.join(run, { from }));
      await attached(run, 1 + joined.length);
      open("middle");
      const events = await reader.rest();
      const got = await Promise.all(joined);
      expect(got.at(-1)).toEqual(events);
      for (const [i, each] of got.slice(0, -1).entries()) expect(each).toEqual(events.slice(i + 1));
    });

    it("gives a reader without an id only what comes from now on", async () => {
      const { reader, run } = await running("from-now");
      const joined = server.join(run);
      await attached(run, 2);
      const seen = reader.events.length;
      open("from-now");
      expect(await joined).toEqual((await reader.rest()).slice(seen));
    });

    it("gives what comes to a reader that left and came back, each event once", async () => {
      const { reader, run } = await running("comes-back");
      const before = reader.events;
      await reader.leave();
      open("comes-back");
      const after = await server.join(run, { from: before.at(-1)?.id as string });
      const whole = await server.join(run, { from: "-1" });
      expect([...before, ...after]).toEqual(whole);
      expect(whole.filter(({ event }) => event === "custom").map(({ data }) => data.i)).toEqual([...Array(120).keys()]);
    });

    it("takes an id that no event has for the beginning: such a reader got nothing, not even the end", async () => {
      const { reader, run } = await running("unknown-id");
      const joined = ["999-0", "1-500", "1-99999999999", "0-99999999999"].map((from) => server.join(run, { from }));
      await attached(run, 5);
      open("unknown-id");
      const events = await reader.rest();
      for (const each of await Promise.all(joined)) expect(each).toEqual(events);
    });

    it("gives live events alone to a reader of a run whose log is not kept, then its end", async () => {
      const thread = await server.thread();
      const { body: run } = await server.post(thread.runs, {
        assistant_id: "gate",
        input: { name: "unlogged", n: 3 },
        stream_mode: "custom",
      });
      await arrival("unlogged");
      const joined = server.join(run, { from: "-1" });
      await attached(run, 1);
      open("unlogged");
      expect(shapeOf(await joined)).toEqual(["metadata", "custom", "end"]);
      expect(shapeOf(await server.join(run, { from: "-1" }))).toEqual(["metadata", "end"]);
    });
  });

  describe("filters", () => {
    const modesOf = async (run: { run_id: string; thread_id: string }, query: string) =>
      shapeOf(await server.join(run, { from: "-1", query })).filter((mode, i, modes) => modes.indexOf(mode) === i);

    it("gives the modes asked for, and always metadata and end", async () => {
      const { run } = await over({ assistant_id: "counter", input: { steps: 1 }, stream_mode: all });
      expect(await modesOf(run, "?stream_mode=updates")).toEqual(["metadata", "updates", "end"]);
      for (const query of [
        "?stream_mode=updates&stream_mode=tasks",
        '?stream_mode=["updates","tasks"]',
        "?stream_mode=updates,tasks",
      ]) {
        expect((await modesOf(run, query)).sort()).toEqual(["end", "metadata", "tasks", "updates"]);
      }
      const failed = await over({ assistant_id: "failing", input: {}, stream_mode: ["values", "updates"] });
      expect(await modesOf(failed.run, "?stream_mode=custom")).toEqual(["metadata", "error"]);
    });

    it("takes both names of messages for every messages event", async () => {
      for (const stream_mode of ["messages-tuple", "messages"]) {
        const body = { assistant_id: "tokens", input: { messages: [], n: 3 }, stream_mode: [stream_mode, "values"] };
        const { events, run } = await over(body);
        const wanted = events.filter(({ event }) => !event.startsWith("values"));
        expect(wanted.length).toBeGreaterThan(4);
        for (const asked of ["messages", "messages-tuple"]) {
          expect(await server.join(run, { from: "-1", query: `?stream_mode=${asked}` })).toEqual(wanted);
        }
      }
    });

    it("gives the namespaces asked for, none of their children", async () => {
      const body = { assistant_id: "subgraphs", input: {}, stream_mode: "updates", stream_subgraphs: true };
      const { events, run } = await over(body);
      const names = [...new Set(events.map(({ event }) => event))].filter((name) => name.startsWith("updates"));
      expect(names.length).toBeGreaterThan(1);
      const root = await server.join(run, { from: "-1", query: "?namespace=" });
      expect(root).toEqual(events.filter(({ event }) => !event.includes("|")));
      const child = names.find((name) => name.split("|").length === 2) as string;
      const query = `?namespace=${encodeURIComponent(child.slice("updates|".length))}`;
      const inChild = await server.join(run, { from: "-1", query });
      expect([...new Set(inChild.map(({ event }) => event))]).toEqual(["metadata", child, "end"]);
    });
  });
});

it("a HEAD request of a stream leaves no reader behind", async () => {
  await using server = await RunServer.start();
  const thread = await server.thread();
  const { body: run } = await server.post(thread.runs, { assistant_id: "gate", input: { name: "head" } });
  await arrival("head");
  for (const path of [`${thread.runs}/${run.run_id}/stream`, `${thread.runs}/${run.run_id}/join`]) {
    const answer = await server.open("HEAD", path);
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
  }
  expect(server.hub.find(run.run_id)?.readers).toBe(0);
  expect((await server.get("/metrics")).text).toMatch(/^fractal_streams_open 0$/m);
  open("head");
});
