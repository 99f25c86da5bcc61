import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, runPath, until } from "../runs/server.ts";
import { eventsOf, framesOf, SseReader, shapeOf } from "../runs/sse-client.ts";

describe("the wire format of a run's stream", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const body = { assistant_id: "counter", input: { steps: 3 }, stream_mode: ["values", "updates"] };

  it("is one frame an event: name, one line of JSON, id, empty line", async () => {
    const thread = await server.thread();
    const reply = await server.post(`${thread.runs}/stream`, body);
    for (const frame of framesOf(reply.text)) {
      expect(frame).toMatch(/^event: [a-z]+\ndata: [^\n\r]+\nid: \d+-\d+$/);
    }
    expect(reply.text.endsWith("\n\n")).toBe(true);
    expect(reply.headers.get("content-type")).toContain("text/event-stream");
    expect(reply.headers.get("cache-control")).toBe("no-store");
    expect(reply.headers.get("x-accel-buffering")).toBe("no");
  });

  it("keeps line breaks and separators of values inside the JSON line", async () => {
    const text = "a\nb\r\nc\u2028d\u2029e\n\nevent: error\ndata: {}";
    const events = await server.stream("/runs", { assistant_id: "seen", input: { input: text } });
    expect(shapeOf(events)).toEqual(["metadata", "values", "end"]);
    expect(events[1]?.data.input).toBe(text);
  });

  it("numbers events within an epoch from 0 without holes, and later epochs higher", async () => {
    const thread = await server.thread();
    let before = 0;
    for (let i = 0; i < 3; i++) {
      const ids = (await server.stream(thread.runs, body)).map(({ id }) => (id ?? "none").split("-").map(Number));
      const epoch = ids[0]?.[0] as number;
      expect(epoch).toBeGreaterThan(before);
      before = epoch;
      expect(ids).toEqual(ids.map((_, n) => [epoch, n]));
    }
  });

  it("begins with metadata: run, attempt and thread", async () => {
    const thread = await server.thread();
    const [first, ...rest] = await server.stream(thread.runs, body);
    const [run] = (await server.get(thread.runs)).body;
    expect(first).toMatchObject({
      event: "metadata",
      data: { run_id: run.run_id, attempt: 1, thread_id: thread.id },
    });
    expect(shapeOf(rest)).toEqual(["values", "updates", "values", "updates", "values", "updates", "values", "end"]);
  });

  it("closes with end and null; after an error the error is last", async () => {
    const thread = await server.thread();
    expect((await server.stream(thread.runs, body)).at(-1)).toMatchObject({ event: "end", data: null });
    const failed = await server.stream(thread.runs, { assistant_id: "failing", input: {}, stream_mode: "updates" });
    expect(shapeOf(failed)).toEqual(["metadata", "updates", "error"]);
    expect(failed.at(-1)?.data).toEqual({ error: "PaymentDeclined", message: "the card was declined" });
  });

  it("closes without end where that is switched off, live and replayed", async () => {
    await using quiet = await RunServer.start({ FRACTAL_STREAM_END_EVENT: "false" });
    const thread = await quiet.thread();
    const events = await quiet.stream(thread.runs, body);
    expect(events.at(-1)?.event).toBe("values");
    const [run] = (await quiet.get(thread.runs)).body;
    expect(await quiet.join(run, { from: "-1" })).toEqual(events);
    expect((await quiet.join(run)).map(({ event }) => event)).toEqual(["metadata", "values"]);
  });

  it("names run and way back in its headers; nothing follows the run's id", async () => {
    const thread = await server.thread();
    const reply = await server.post(`${thread.runs}/stream`, body);
    const [run] = (await server.get(thread.runs)).body;
    expect(reply.headers.get("content-location")).toBe(runPath(run));
    expect(reply.headers.get("location")).toBe(`${runPath(run)}/stream`);
    const stateless = await server.post("/runs/stream", body);
    const { run_id } = eventsOf(stateless.text)[0]?.data ?? {};
    expect(stateless.headers.get("content-location")).toBe(`/runs/${run_id}`);
    expect(stateless.headers.get("location")).toBe(`/runs/${run_id}/stream`);
    const join = await server.get(`${runPath(run)}/stream`);
    expect(join.headers.get("content-location")).toBe(runPath(run));
  });

  it("gives ids to logged runs only: live events of others have none", async () => {
    for (const [stream_resumable, logged] of [
      [true, true],
      [false, false],
    ]) {
      const thread = await server.thread();
      const name = `ids-${stream_resumable}`;
      const { body: run } = await server.post(thread.runs, {
        assistant_id: "gate",
        input: { name, n: 2 },
        stream_resumable,
        stream_mode: ["custom", "values"],
      });
      await arrival(name);
      const answer = await server.open("GET", `${runPath(run)}/stream`);
      await until(() => server.hub.find(run.run_id)?.readers === 1);
      open(name);
      const events = await new SseReader(answer).rest();
      expect(shapeOf(events)).toEqual(["custom", "values", "end"]);
      for (const event of events.slice(0, -1)) expect(event.id !== undefined).toBe(logged as boolean);
    }
  });

  it("sends the headers while the run is queued, and everything from its metadata on when it runs", async () => {
    const thread = await server.thread();
    await server.post(thread.runs, { assistant_id: "gate", input: { name: "queue-ahead" } });
    await arrival("queue-ahead");
    const answer = await server.open("POST", `${thread.runs}/stream`, { body });
    expect(answer.status).toBe(200);
    const path = answer.headers.get("content-location") as string;
    expect((await server.get(path)).body.status).toBe("pending");
    const joined = server.call("GET", `${path}/stream`);
    await until(() => server.hub.find(path.split("/")[4] as string)?.readers === 2);
    open("queue-ahead");
    const events = await new SseReader(answer).rest();
    expect(shapeOf(events).slice(0, 2)).toEqual(["metadata", "values"]);
    expect(eventsOf((await joined).text)).toEqual(events);
  });

  it("breaks the stream off without end when the server drains, and the run goes on afterwards", async () => {
    const draining = await RunServer.start();
    const thread = await draining.thread();
    const answer = await draining.open("POST", `${thread.runs}/stream`, {
      body: { assistant_id: "gate", input: { name: "drained" }, on_disconnect: "cancel" },
    });
    const reader = new SseReader(answer);
    await arrival("drained");
    await reader.readUntil(({ events }) => events.length === 3);
    const { storage } = draining;
    const drained = draining.worker.drain("test", 0);
    const events = await reader.untilBroken();
    expect(shapeOf(events)).toEqual(["metadata", "values"]);
    await drained;
    expect(await storage.runs.counts()).toMatchObject({ pending: 1, running: 0 });
    await draining[Symbol.asyncDispose]();
  });
});
