import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer, type Thread } from "../runs/server.ts";
import { dataOf, type SseEvent, shapeOf } from "../runs/sse-client.ts";

describe("stream modes", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function stream(body: object, thread?: Thread) {
    const { runs } = thread ?? (await server.thread());
    const events = await server.stream(runs, body);
    expect(events[0]?.event).toBe("metadata");
    return events.slice(1, -1);
  }

  const question = { messages: [{ role: "user", content: "weather in Paris", id: "q" }] };

  describe("values and updates", () => {
    it("give the state after each step, the input first, and what each node returned", async () => {
      const events = await stream({
        assistant_id: "breakpoints",
        input: { path: ["in"] },
        stream_mode: ["updates", "values"],
      });
      expect(events.map(({ event, data }) => [event, data])).toEqual([
        ["values", { path: ["in"] }],
        ["updates", { a: { path: ["a"] } }],
        ["values", { path: ["in", "a"] }],
        ["updates", { b: { path: ["b"] } }],
        ["values", { path: ["in", "a", "b"] }],
        ["updates", { c: { path: ["c"] } }],
        ["values", { path: ["in", "a", "b", "c"] }],
      ]);
    });

    it("is values when nothing was asked for, and a single name does for a list", async () => {
      expect(shapeOf(await stream({ assistant_id: "counter", input: { steps: 1 } }))).toEqual(["values"]);
      const one = { assistant_id: "counter", input: { steps: 1 }, stream_mode: "updates" };
      expect(shapeOf(await stream(one))).toEqual(["updates"]);
    });
  });

  describe("messages-tuple", () => {
    const body = { assistant_id: "tool_agent", input: question, stream_mode: ["messages-tuple", "values"] };

    it("gives each piece with its metadata, ids that are those of the state", async () => {
      const events = await stream(body);
      const pieces: [{ type: string; id: string; content: string }, Record<string, unknown>][] = dataOf(
        events,
        "messages",
      );
      const spoken = pieces.filter(([{ type }]) => type === "AIMessageChunk");
      const { messages } = dataOf(events, "values").at(-1);
      const whole = spoken.filter(([{ id }]) => id === messages.at(-1).id).map(([{ content }]) => content);
      expect(whole).toEqual(["The ", "tool ", "says: ", "sunny ", "in ", "Paris"]);
      expect(whole.join("")).toBe(messages.at(-1).content);
      for (const [, metadata] of spoken) {
        expect(metadata).toMatchObject({
          langgraph_node: "model",
          langgraph_step: expect.any(Number),
          langgraph_checkpoint_ns: expect.stringMatching(/^model:/),
          tags: expect.any(Array),
        });
      }
      expect(pieces.filter(([{ type }]) => type === "tool").map(([{ content }]) => content)).toEqual([
        "sunny in Paris",
      ]);
    });

    it("gives all pieces of a message the id that it has in the state, however late its provider names it", async () => {
      for (const assistant_id of ["late_name", "early_name"]) {
        const events = await stream({ ...body, assistant_id });
        const { id, content } = dataOf(events, "values").at(-1).messages.at(-1);
        expect(content).toBe("one two three four");
        expect(dataOf(events, "messages").map(([piece]) => piece.id)).toEqual([id, id, id, id]);
      }
    });

    it("keeps two pieces apart that a node returns", async () => {
      const events = await stream({ ...body, assistant_id: "pieces" });
      const told = dataOf(events, "messages").map(([{ id, content }]) => [id, content]);
      expect(told).toEqual([
        ["a", "first"],
        ["b", "second"],
      ]);
    });

    it("passes over calls that are tagged nostream", async () => {
      const events = await stream({ assistant_id: "discreet", input: { messages: [] }, stream_mode: "messages-tuple" });
      expect(dataOf(events, "messages").map(([{ content }]) => content)).toEqual(["for ", "you"]);
    });
  });

  describe("messages, the older form", () => {
    const of = (events: SseEvent[], name: string, id: string) =>
      dataOf(events, `messages/${name}`)
        .flat()
        .filter((message) => message.id === id)
        .map((message) => message.content);

    it("gives metadata once, what has come so far, and the whole message when its step ends", async () => {
      const events = await stream({ assistant_id: "tool_agent", input: question, stream_mode: "messages" });
      expect(shapeOf(events)).toEqual([
        "messages/metadata",
        "messages/partial",
        "messages/complete",
        "messages/metadata",
        "messages/complete",
        "messages/metadata",
        "messages/partial",
        "messages/complete",
      ]);
      const complete = dataOf(events, "messages/complete").flat();
      expect(complete.map(({ type }) => type)).toEqual(["ai", "tool", "ai"]);
      expect(complete[0].tool_calls).toEqual([
        { name: "weather", args: { city: "Paris" }, id: "call-1", type: "tool_call" },
      ]);
      const { id } = complete[2];
      expect(of(events, "partial", id)).toEqual([
        "The ",
        "The tool ",
        "The tool says: ",
        "The tool says: sunny ",
        "The tool says: sunny in ",
        "The tool says: sunny in Paris",
      ]);
      const metadata = dataOf(events, "messages/metadata");
      expect(metadata).toHaveLength(3);
      expect(metadata[2]).toEqual({ [id]: { metadata: expect.objectContaining({ langgraph_node: "model" }) } });
    });

    it("gives one whole message whose provider names it in a late piece, under the id of the state", async () => {
      for (const assistant_id of ["late_name", "early_name"]) {
        const events = await stream({ assistant_id, input: question, stream_mode: ["messages", "values"] });
        const { id, content } = dataOf(events, "values").at(-1).messages.at(-1);
        expect(dataOf(events, "messages/complete").flat()).toMatchObject([{ id, content }]);
        expect(of(events, "partial", id)).toEqual(["one ", "one two ", "one two three ", "one two three four"]);
        expect(dataOf(events, "messages/metadata").flatMap(Object.keys)).toEqual([id]);
      }
      const events = await stream({ assistant_id: "pieces", input: question, stream_mode: "messages" });
      expect(dataOf(events, "messages/complete").flat()).toMatchObject([{ id: "a" }, { id: "b" }]);
    });

    it("keeps two that are spoken at once apart, whichever is done first", async () => {
      for (const stream_mode of [["messages"], ["messages", "updates"], ["messages", "updates", "values"]]) {
        const events = await stream({ assistant_id: "choir", input: { messages: [] }, stream_mode });
        const complete = dataOf(events, "messages/complete").flat();
        expect(complete.map(({ content }) => content).sort()).toEqual(["1 2 3 4 5 6 7 8", "a b"]);
        const long = complete.find(({ content }) => content.startsWith("1"));
        expect(of(events, "partial", long.id)).toHaveLength(8);
        expect(of(events, "partial", long.id).at(-1)).toBe("1 2 3 4 5 6 7 8");
      }
    });

    it("gives way to tuples where both are asked for", async () => {
      const body = {
        assistant_id: "tokens",
        input: { messages: [], n: 3 },
        stream_mode: ["messages", "messages-tuple"],
      };
      expect(shapeOf(await stream(body))).toEqual(["messages"]);
    });
  });

  it("custom gives what the node wrote, at once and in order", async () => {
    const events = await stream({ assistant_id: "custom_writer", input: { n: 3 }, stream_mode: ["custom", "values"] });
    expect(shapeOf(events)).toEqual(["values", "custom", "values"]);
    expect(dataOf(events, "custom")).toEqual([1, 2, 3].map((progress) => ({ progress, of: 3 })));
  });

  it("tasks give the start and the end of each", async () => {
    const events = await stream({ assistant_id: "counter", input: { steps: 1 }, stream_mode: "tasks" });
    const [start, end] = dataOf(events, "tasks");
    expect(start).toMatchObject({ name: "step", input: { steps: 1 }, triggers: ["branch:to:step"], interrupts: [] });
    expect(end).toMatchObject({ id: start.id, name: "step", result: { count: 1, log: ["step-1"] }, interrupts: [] });
  });

  it("tasks and debug give the error of a task as the error event does, in a subgraph too", async () => {
    const body = { assistant_id: "failing_child", input: {}, stream_mode: ["tasks", "debug"], stream_subgraphs: true };
    const events = await server.stream("/runs", body);
    const error = { error: "RangeError", message: "out of range" };
    expect(events.at(-1)).toMatchObject({ event: "error", data: error });
    const told = events.filter(({ data }) => data?.error || data?.payload?.error).slice(0, -1);
    expect(told.map(({ event }) => event.split(":")[0])).toEqual(["tasks|child", "debug|child", "tasks", "debug"]);
    for (const { data } of told) expect(data.error ?? data.payload.error).toEqual(error);
  });

  it("tools tell of their calls", async () => {
    const events = await stream({ assistant_id: "tool_agent", input: question, stream_mode: "tools" });
    expect(dataOf(events, "tools").map(({ event, name }) => [event, name])).toEqual([
      ["on_tool_start", "weather"],
      ["on_tool_end", "weather"],
    ]);
  });

  describe("checkpoints and debug", () => {
    const keysOf = (value: unknown): string[] => {
      if (typeof value !== "object" || value === null) return [];
      return Object.entries(value).flatMap(([key, inner]) => [
        ...(Array.isArray(value) ? [] : [key]),
        ...keysOf(inner),
      ]);
    };
    const config = { configurable: { plain: 1, api_key: "sk-hidden" } };

    it("name checkpoints as clients ask for them again, each with its parent", async () => {
      const thread = await server.thread();
      const body = { assistant_id: "breakpoints", input: {}, config, stream_mode: ["checkpoints", "debug"] };
      const events = await stream(body, thread);
      const checkpoints = dataOf(events, "checkpoints");
      const debugged = dataOf(events, "debug").filter(({ type }) => type === "checkpoint");
      expect(debugged.map(({ payload }) => payload)).toEqual(checkpoints);
      let parent: unknown = null;
      for (const { checkpoint, parent_checkpoint, ...rest } of checkpoints) {
        expect(checkpoint).toEqual({
          thread_id: thread.id,
          checkpoint_ns: "",
          checkpoint_id: expect.any(String),
          checkpoint_map: null,
        });
        expect(parent_checkpoint).toEqual(parent);
        parent = checkpoint;
        expect(rest).toMatchObject({
          values: expect.any(Object),
          metadata: { source: expect.any(String), step: expect.any(Number) },
          next: expect.any(Array),
          tasks: expect.any(Array),
          config: { configurable: { plain: 1 } },
        });
        const state = await server.get(`/threads/${thread.id}/state/${checkpoint.checkpoint_id}`);
        expect(state.body.next).toEqual(rest.next);
      }
    });

    it("hold no machinery and no secrets", async () => {
      for (const graph of ["tokens", "breakpoints", "subgraphs"]) {
        const body = { assistant_id: graph, input: { messages: [], n: 1 }, config, stream_subgraphs: true };
        const events = await stream({ ...body, stream_mode: ["checkpoints", "debug", "messages-tuple"] });
        const told = [...dataOf(events, "checkpoints"), ...dataOf(events, "debug")];
        expect(told.length).toBeGreaterThan(5);
        const machinery = keysOf(told).filter(
          (key) => key.startsWith("__") || ["callbacks", "signal", "store"].includes(key),
        );
        expect(machinery).toEqual([]);
        expect(JSON.stringify(events)).not.toContain("sk-hidden");
      }
    });

    it("say where the state of a subgraph's task is found; debug has no state beside it", async () => {
      const body = { assistant_id: "subgraphs", input: {}, stream_mode: ["checkpoints", "debug"] };
      for (const stream_subgraphs of [false, true]) {
        const thread = await server.thread();
        const events = await stream({ ...body, stream_subgraphs }, thread);
        const tasksOf = (mode: string) =>
          events
            .filter(({ event }) => event.split("|")[0] === mode)
            .flatMap(({ data }) => (data.payload ?? data).tasks ?? [])
            .filter(({ name }) => name.endsWith("child"));
        const [child] = tasksOf("debug");
        const checkpoint = { thread_id: thread.id, checkpoint_ns: `child:${child.id}` };
        expect(child.checkpoint).toEqual(checkpoint);
        expect(tasksOf("checkpoints")[0]).toMatchObject({ checkpoint, state: { configurable: checkpoint } });
        const debugged = tasksOf("debug");
        expect(debugged.map(({ name }) => name)).toEqual(stream_subgraphs ? ["child", "grandchild"] : ["child"]);
        expect(debugged.filter((task) => "state" in task)).toEqual([]);
        if (!stream_subgraphs) continue;
        const [, grandchild] = debugged;
        const deeper = `${checkpoint.checkpoint_ns}|grandchild:${grandchild.id}`;
        expect(grandchild.checkpoint).toEqual({ thread_id: thread.id, checkpoint_ns: deeper });
      }
    });

    it("debug tells tasks, their results and the steps", async () => {
      const events = await stream({ assistant_id: "counter", input: { steps: 1 }, stream_mode: "debug" });
      expect(dataOf(events, "debug").map(({ type, step }) => [type, step])).toEqual([
        ["checkpoint", -1],
        ["checkpoint", 0],
        ["task", 1],
        ["task_result", 1],
        ["checkpoint", 1],
      ]);
    });
  });

  describe("subgraphs", () => {
    const body = { assistant_id: "subgraphs", input: {}, stream_mode: ["updates", "values"] };

    it("are silent unless asked for", async () => {
      const events = await stream(body);
      expect(events.filter(({ event }) => event.includes("|"))).toEqual([]);
      expect(dataOf(events, "values").at(-1).__interrupt__).toMatchObject([{ value: "approve?" }]);
    });

    it("speak under their namespace where asked for, and the root stays as it was", async () => {
      const events = await stream({ ...body, stream_subgraphs: true });
      const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
      const inside = events.filter(({ event }) => event.includes("|")).map(({ event }) => event);
      for (const name of inside) {
        expect(name).toMatch(new RegExp(`^(updates|values)\\|child:${uuid}(\\|grandchild:${uuid})?$`));
      }
      expect(new Set(inside.map((name) => name.split("|").length))).toEqual(new Set([2, 3]));
      const root = events.filter(({ event }) => !event.includes("|"));
      const silent = await stream(body);
      expect(root.map(({ event }) => event)).toEqual(silent.map(({ event }) => event));
    });

    it("do not take part in what wait answers", async () => {
      const { runs } = await server.thread();
      const plain = (await server.post(`${runs}/wait`, body)).body;
      expect(plain).toMatchObject({ trail: ["before"], __interrupt__: [{ value: "approve?" }] });
      const { runs: other } = await server.thread();
      expect((await server.post(`${other}/wait`, { ...body, stream_subgraphs: true })).body).toMatchObject({
        trail: ["before"],
        __interrupt__: [{ value: "approve?" }],
      });
    });
  });

  it("can be asked for all at once, in any order, and every one answers", async () => {
    const all = ["tools", "events", "values", "updates", "messages-tuple", "custom", "debug", "tasks", "checkpoints"];
    for (const stream_mode of [all, all.toReversed()]) {
      const events = await stream({ assistant_id: "tool_agent", input: question, stream_mode });
      const seen = new Set(events.map(({ event }) => event));
      expect(seen).toEqual(
        new Set(["tools", "events", "values", "updates", "messages", "debug", "tasks", "checkpoints"]),
      );
    }
  });
});
