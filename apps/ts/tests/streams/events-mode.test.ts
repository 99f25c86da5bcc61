import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer } from "../runs/server.ts";
import { dataOf } from "../runs/sse-client.ts";

interface GraphEvent {
  event: string;
  name: string;
  run_id: string;
  parent_ids: string[];
  tags: string[];
  // biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
  data: any;
}

describe("stream mode events", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const question = { messages: [{ role: "user", content: "weather in Paris", id: "q" }] };

  async function stream(body: object) {
    const { runs } = await server.thread();
    const events = await server.stream(runs, { stream_mode: "events", ...body });
    const graphEvents: GraphEvent[] = dataOf(events, "events");
    return { events, graphEvents, runId: events[0]?.data.run_id as string };
  }

  it("gives langchain's own, without the graph's internal chunks", async () => {
    const body = { assistant_id: "tokens", input: { messages: [], n: 3 }, stream_mode: ["events", "values"] };
    const { events, graphEvents, runId } = await stream(body);
    const kinds = new Set(graphEvents.map(({ event }) => event));
    for (const kind of ["on_chain_start", "on_chat_model_stream", "on_chat_model_end", "on_chain_end"]) {
      expect(kinds).toContain(kind);
    }
    expect(graphEvents.filter(({ event, run_id }) => event === "on_chain_stream" && run_id === runId)).toEqual([]);
    expect(graphEvents.every(({ tags }) => !tags.includes("langsmith:hidden"))).toBe(true);
    expect(dataOf(events, "values")).toHaveLength(2);
    expect(dataOf(events, "values").at(-1).messages[0].content).toBe("t1 t2 t3");
  });

  it("calls the root by the graph's id, or by the name that the request gives it", async () => {
    const body = { assistant_id: "counter", input: { steps: 1 } };
    const rootsOf = async (more: object) => {
      const { graphEvents, runId } = await stream({ ...body, ...more });
      return graphEvents.filter(({ run_id }) => run_id === runId).map(({ event, name }) => [event, name]);
    };
    const named = (name: string) => [
      ["on_chain_start", name],
      ["on_chain_end", name],
    ];
    expect(await rootsOf({})).toEqual(named("counter"));
    expect(await rootsOf({ config: { run_name: "mine" } })).toEqual(named("mine"));
  });

  it("names the callers of each event, the root first", async () => {
    const { graphEvents, runId } = await stream({ assistant_id: "tool_agent", input: question });
    for (const { run_id, parent_ids } of graphEvents) {
      if (run_id === runId) expect(parent_ids).toEqual([]);
      else expect(parent_ids[0]).toBe(runId);
    }
    const nameOf = (id: string | undefined) => graphEvents.find(({ run_id }) => run_id === id)?.name;
    const callers = (prefix: string) =>
      graphEvents.filter(({ event }) => event.startsWith(prefix)).map(({ parent_ids }) => parent_ids.map(nameOf));
    expect(callers("on_chat_model").length).toBeGreaterThan(5);
    for (const path of callers("on_chat_model")) expect(path).toEqual(["tool_agent", "model"]);
    expect(callers("on_tool")).toEqual([
      ["tool_agent", "tools"],
      ["tool_agent", "tools"],
    ]);
    const nested = await stream({ assistant_id: "subgraphs", input: {} });
    expect(nested.graphEvents.find(({ name }) => name === "approve")?.parent_ids).toHaveLength(5);
  });

  it("types the pieces of a streamed message AIMessageChunk and gives them the id of the message", async () => {
    for (const assistant_id of ["late_name", "early_name"]) {
      const { events, graphEvents } = await stream({
        assistant_id,
        input: question,
        stream_mode: ["events", "values"],
      });
      const { id } = dataOf(events, "values").at(-1).messages.at(-1);
      const pieces = graphEvents.filter(({ event }) => event === "on_chat_model_stream").map(({ data }) => data.chunk);
      expect(pieces.map(({ content }) => content)).toEqual(["one ", "two ", "three ", "four"]);
      expect(new Set(pieces.map((piece) => `${piece.type} ${piece.id}`))).toEqual(new Set([`AIMessageChunk ${id}`]));
      const whole = graphEvents.find(({ event }) => event === "on_chat_model_end")?.data.output;
      expect(whole).toMatchObject({ type: "ai", id, content: "one two three four" });
    }
  });

  it("leaves checkpoints as they are without it, subgraphs and values beside it", async () => {
    const body = { assistant_id: "subgraphs", input: {}, stream_subgraphs: true };
    const checkpoints = async (stream_mode: string[]) => {
      const { events } = await stream({ ...body, stream_mode });
      return events.filter(({ event }) => event.startsWith("checkpoints"));
    };
    const beside = await checkpoints(["events", "values", "checkpoints"]);
    expect(beside.map(({ data }) => data.next)).toEqual(
      (await checkpoints(["values", "checkpoints"])).map(({ data }) => data.next),
    );
    for (const { data } of beside) expect(data.checkpoint).toMatchObject({ checkpoint_id: expect.any(String) });
  });
});
