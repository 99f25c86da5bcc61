import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer, type Thread } from "../runs/server.ts";
import { dataOf, shapeOf } from "../runs/sse-client.ts";

const ONE = { value: "one?", id: expect.any(String) };
const TWO = { value: "two?", id: expect.any(String) };

describe("an interrupt in a stream", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function stream(body: object, thread?: Thread) {
    const { runs } = thread ?? (await server.thread());
    return (await server.stream(runs, body)).slice(1, -1);
  }

  it("comes with the whole state in values, and every later state of the run has all that were asked", async () => {
    const events = await stream({ assistant_id: "asking", input: { log: ["in"] } });
    expect(dataOf(events, "values")).toEqual([
      { log: ["in"] },
      { log: ["in", "before"] },
      { log: ["in", "before"], __interrupt__: [ONE] },
      { log: ["in", "before"], __interrupt__: [ONE, TWO] },
      { log: ["in", "before", "work"], __interrupt__: [ONE, TWO] },
    ]);
  });

  it("is alone in updates, as langgraph sends it, and stands beside the state where both were asked for", async () => {
    const events = await stream({ assistant_id: "asking", input: {}, stream_mode: ["updates", "values"] });
    const asked = dataOf(events, "updates").filter(({ __interrupt__ }) => __interrupt__ !== undefined);
    expect(asked).toEqual([{ __interrupt__: [ONE] }, { __interrupt__: [TWO] }]);
    expect(dataOf(events, "values").at(-1)).toEqual({ log: ["before", "work"], __interrupt__: [ONE, TWO] });
  });

  it("is not shown where neither values nor updates was asked for, to later readers neither", async () => {
    const modes = ["custom", "tasks", "messages-tuple", "messages", "tools", "debug", "checkpoints", "events"];
    for (const stream_mode of modes) {
      const events = await stream({ assistant_id: "asking", input: {}, stream_mode });
      expect(events.filter(({ event }) => event === "values" || event === "updates")).toEqual([]);
    }
    const updates = await stream({ assistant_id: "asking", input: {}, stream_mode: "updates" });
    expect(dataOf(updates, "values")).toEqual([]);
    const { runs, id } = await server.thread();
    const [metadata] = await server.stream(runs, {
      assistant_id: "asking",
      input: {},
      stream_mode: ["values", "custom"],
    });
    const path = `/threads/${id}/runs/${metadata?.data.run_id}/stream?stream_mode=custom`;
    const joined = await server.call("GET", path, { headers: { "Last-Event-ID": "-1" } });
    expect(joined.text).not.toContain("__interrupt__");
  });

  it("comes with the state of its subgraph too where subgraphs were asked for", async () => {
    const body = { assistant_id: "subgraphs", input: {}, stream_subgraphs: true };
    const events = await stream(body);
    const asked = [{ value: "approve?", id: expect.any(String) }];
    const last = (depth: number) =>
      events.findLast(({ event }) => event.startsWith("values") && event.split("|").length === depth + 1)?.data;
    expect(last(0)).toEqual({ trail: ["before"], __interrupt__: asked });
    expect(last(1)).toEqual({ trail: ["before", "child"], __interrupt__: asked });
    expect(last(2)).toEqual({ trail: ["before", "child"], __interrupt__: asked });
  });

  it("is answered once: the resumed run shows its own questions only", async () => {
    const thread = await server.thread();
    const [asked] = dataOf(await stream({ assistant_id: "interrupting", input: {} }, thread), "values").slice(-1);
    expect(asked.__interrupt__).toMatchObject([{ value: "name?" }]);
    const resumed = await stream({ assistant_id: "interrupting", command: { resume: "Ada" } }, thread);
    expect(dataOf(resumed, "values").at(-1).__interrupt__).toMatchObject([{ value: "age?" }]);
    const done = await stream({ assistant_id: "interrupting", command: { resume: 36 } }, thread);
    expect(dataOf(done, "values").at(-1)).toEqual({ name: "Ada", age: 36, greeting: "Ada is 36" });
  });

  it("is in what wait answers, with the whole state, on a thread and without one", async () => {
    const whole = { log: ["before", "work"], __interrupt__: [ONE, TWO] };
    const { runs } = await server.thread();
    for (const path of [runs, "/runs"]) {
      expect((await server.post(`${path}/wait`, { assistant_id: "asking", input: {} })).body).toEqual(whole);
    }
    const body = { assistant_id: "asking", input: {}, stream_mode: "values" };
    expect(dataOf(await server.stream("/runs", body), "values").at(-1)).toEqual(whole);
  });

  it("of a breakpoint is an empty list in updates, and nothing in values", async () => {
    for (const breakpoint of [{ interrupt_before: ["b"] }, { interrupt_after: ["a"] }]) {
      const body = { assistant_id: "breakpoints", input: { path: ["in"] }, ...breakpoint };
      const events = await stream({ ...body, stream_mode: ["values", "updates"] });
      expect(dataOf(events, "updates").at(-1)).toEqual({ __interrupt__: [] });
      expect(dataOf(events, "values")).toEqual([{ path: ["in"] }, { path: ["in", "a"] }]);
      expect(shapeOf(await stream({ ...body, stream_mode: "custom" }))).toEqual([]);
      const { runs } = await server.thread();
      expect((await server.post(`${runs}/wait`, body)).body).toEqual({ path: ["in", "a"] });
    }
  });
});
