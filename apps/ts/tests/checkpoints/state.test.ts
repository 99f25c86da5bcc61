import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import {
  Annotation,
  Command,
  DeltaChannel,
  interrupt,
  MessagesAnnotation,
  messagesDeltaReducer,
  START,
  StateGraph,
} from "@langchain/langgraph";
import { RuntimeError } from "#core/errors";
import { ANONYMOUS } from "#core/identity/scope";
import { Platform } from "./platform.ts";

const chat = new StateGraph(MessagesAnnotation)
  .addNode("answer", (state) => ({
    messages: [new AIMessage({ content: `answer ${state.messages.length}`, id: `a${state.messages.length}` })],
  }))
  .addEdge(START, "answer")
  .compile();

const Log = Annotation.Root({ log: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }) });
const ask = new StateGraph(Log)
  .addNode("ask", () => ({ log: [`got ${interrupt({ question: "name?" }) as string}`] }))
  .addEdge(START, "ask")
  .compile();
const outer = new StateGraph(Log)
  .addNode("before", () => ({ log: ["before"] }))
  .addNode("child", ask)
  .addEdge(START, "before")
  .addEdge("before", "child")
  .compile();

// biome-ignore lint/suspicious/noExplicitAny: Annotation has no type for a channel of one's own
const differences = (() => new DeltaChannel(messagesDeltaReducer as any)) as any;
const delta = new StateGraph(Annotation.Root({ messages: differences }))
  .addNode("answer", () => ({ messages: [new AIMessage("answer")] }))
  .addEdge(START, "answer")
  .compile();

const say = (content: string) => ({ messages: [new HumanMessage({ content, id: content })] });

describe("StateService", () => {
  let platform: Platform;

  beforeEach(async () => {
    platform = await Platform.open({
      chat: { graph: chat },
      outer: { graph: outer },
      mine: { graph: outer, isolation: "assistant" },
      delta: { graph: delta },
    });
  });

  afterEach(async () => {
    await platform[Symbol.asyncDispose]();
  });

  const failure = async (promise: Promise<unknown>): Promise<string> => {
    const error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof RuntimeError ? `${error.code}: ${error.message}` : `not a RuntimeError: ${String(error)}`;
  };

  it("gives an empty state to a thread that never ran, and 404 to a missing one", async () => {
    const threadId = await platform.thread();
    const state = await platform.state.get(ANONYMOUS, threadId);
    expect(state).toMatchObject({
      values: {},
      next: [],
      tasks: [],
      interrupts: [],
      checkpoint: null,
      checkpoint_id: null,
      parent_checkpoint_id: null,
      metadata: null,
      created_at: null,
    });
    expect(await platform.history(threadId, { limit: 10 })).toEqual([]);
    const known = await platform.thread({ graph_id: "chat" });
    expect((await platform.state.get(ANONYMOUS, known)).checkpoint).toBeNull();
    expect(await failure(platform.state.get(ANONYMOUS, "00000000-0000-4000-8000-000000000000"))).toStartWith(
      "not_found: Thread",
    );
  });

  it("shows messages as dicts, with the checkpoint and its parent", async () => {
    const threadId = await platform.thread();
    await platform.run(threadId, say("hi"), "chat");
    const state = await platform.state.get(ANONYMOUS, threadId);
    const { messages } = state.values as { messages: Record<string, unknown>[] };
    expect(messages.map(({ type, content }) => [type, content])).toEqual([
      ["human", "hi"],
      ["ai", "answer 1"],
    ]);
    expect(state.next).toEqual([]);
    expect(state.checkpoint).toMatchObject({ thread_id: threadId, checkpoint_ns: "", checkpoint_map: null });
    expect(state.parent_checkpoint?.checkpoint_id).not.toBe(state.checkpoint?.checkpoint_id);
    expect([state.checkpoint_id, state.parent_checkpoint_id]).toEqual([
      state.checkpoint?.checkpoint_id as string,
      state.parent_checkpoint?.checkpoint_id as string,
    ]);
    expect(state.metadata).toMatchObject({ source: "loop", step: 1, parents: {} });
    expect("checkpoint_ns" in (state.metadata ?? {})).toBe(false);
    const there = await platform.state.get(ANONYMOUS, threadId, { checkpoint: state.parent_checkpoint ?? {} });
    expect(there.next).toEqual(["answer"]);
    const thread = await platform.storage.threads.find(ANONYMOUS, threadId);
    expect(thread?.values).toEqual(state.values);
    expect(thread?.status).toBe("idle");
  });

  it("lists the history newest first, by limit, before and metadata", async () => {
    const threadId = await platform.thread();
    for (const text of ["one", "two"]) await platform.run(threadId, say(text), "chat");
    const all = await platform.history(threadId, { limit: 100 });
    expect(all.map((state) => state.metadata?.step)).toEqual([4, 3, 2, 1, 0, -1]);
    expect(all[0]).toEqual(await platform.state.get(ANONYMOUS, threadId));
    const two = await platform.history(threadId, {
      limit: 2,
      before: all[1]?.checkpoint?.checkpoint_id ?? "",
    });
    expect(two).toEqual(all.slice(2, 4));
    const inputs = await platform.history(threadId, { limit: 10, metadata: { source: "input" } });
    expect(inputs.map((state) => state.metadata?.step)).toEqual([2, -1]);
  });

  it("shows what waits in a subgraph, and resumes to the end", async () => {
    const threadId = await platform.thread();
    await platform.run(threadId, { log: ["in"] }, "outer");
    const state = await platform.state.get(ANONYMOUS, threadId, { subgraphs: true });
    expect(state.next).toEqual(["child"]);
    expect(state.interrupts).toMatchObject([{ value: { question: "name?" } }]);
    const [task] = state.tasks;
    expect(task?.checkpoint?.checkpoint_ns).toStartWith("child:");
    expect(task?.state).toMatchObject({ next: ["ask"], interrupts: [{ value: { question: "name?" } }] });
    const flat = await platform.state.get(ANONYMOUS, threadId);
    expect(flat.tasks[0]?.state).toBeNull();
    const inner = await platform.state.get(ANONYMOUS, threadId, { checkpoint: flat.tasks[0]?.checkpoint ?? {} });
    expect(inner.next).toEqual(["ask"]);
    const thread = await platform.storage.threads.find(ANONYMOUS, threadId);
    expect(thread?.status).toBe("interrupted");
    expect(thread?.interrupts).toEqual({ [task?.id ?? ""]: task?.interrupts ?? [] });
    await platform.run(threadId, new Command({ resume: "Ada" }), "outer");
    expect((await platform.state.get(ANONYMOUS, threadId)).values).toMatchObject({
      log: expect.arrayContaining(["got Ada"]),
    });
  });

  it("keeps the scopes of isolated assistants apart, and finds a checkpoint in any of them", async () => {
    const threadId = await platform.thread();
    const [a, b] = [await platform.makeAssistant("mine"), await platform.makeAssistant("mine")];
    await platform.run(threadId, { log: ["a"] }, a.assistant_id);
    await platform.run(threadId, { log: ["b"] }, b.assistant_id);
    const log = (state: { values: unknown }) => (state.values as { log: string[] }).log;
    expect(log(await platform.state.get(ANONYMOUS, threadId))).toEqual(["b", "before"]);
    const ofA = await platform.state.get(ANONYMOUS, threadId, { assistant_id: a.assistant_id });
    expect(log(ofA)).toEqual(["a", "before"]);
    expect(JSON.stringify(ofA)).not.toContain("assistant:");
    const byId = await platform.state.get(ANONYMOUS, threadId, {
      checkpoint: { checkpoint_id: ofA.checkpoint?.checkpoint_id },
    });
    expect(byId.checkpoint).toEqual(ofA.checkpoint);
    const history = await platform.history(threadId, { limit: 10, assistant_id: a.assistant_id });
    expect(history.every((state) => log(state)[0] !== "b")).toBe(true);
    // Both wait; the thread knows of both.
    const thread = await platform.storage.threads.find(ANONYMOUS, threadId);
    expect(Object.keys(thread?.interrupts ?? {}).length).toBe(2);
    await platform.run(threadId, new Command({ resume: "A" }), a.assistant_id);
    expect((await platform.storage.threads.find(ANONYMOUS, threadId))?.status).toBe("interrupted");
    await platform.run(threadId, new Command({ resume: "B" }), b.assistant_id);
    expect((await platform.storage.threads.find(ANONYMOUS, threadId))?.status).toBe("idle");
    expect(log(await platform.state.get(ANONYMOUS, threadId, { assistant_id: a.assistant_id })).at(-1)).toBe("got A");
  });

  it("reads a copied thread as the original, differences included, and they part from there", async () => {
    const threadId = await platform.thread();
    for (const text of ["one", "two"]) await platform.run(threadId, say(text), "delta");
    const copy = await platform.storage.threads.copy(ANONYMOUS, threadId, "00000000-0000-4000-8000-00000000c0c0");
    if (typeof copy === "string") throw new Error(copy);
    const original = await platform.state.get(ANONYMOUS, threadId);
    expect((original.values as { messages: unknown[] }).messages.length).toBe(4);
    expect((await platform.state.get(ANONYMOUS, copy.thread_id)).values).toEqual(original.values);
    await platform.run(copy.thread_id, say("three"), "delta");
    const copied = (await platform.state.get(ANONYMOUS, copy.thread_id)).values as { messages: { content: string }[] };
    expect(copied.messages.map(({ content }) => content)).toEqual([
      "one",
      "answer",
      "two",
      "answer",
      "three",
      "answer",
    ]);
    expect((await platform.state.get(ANONYMOUS, threadId)).values).toEqual(original.values);
  });

  it("writes state as a node, and the thread follows", async () => {
    const threadId = await platform.thread({ graph_id: "outer" });
    const made = await platform.state.update(ANONYMOUS, threadId, {
      values: { log: ["set"] },
      as_node: "before",
      checkpoint_id: undefined,
      checkpoint: undefined,
    });
    expect(made.checkpoint).toEqual(made.configurable);
    expect(made.checkpoint.checkpoint_id).toBe(made.checkpoint_id);
    const state = await platform.state.get(ANONYMOUS, threadId);
    expect(state.values).toEqual({ log: ["set"] });
    expect(state.next).toEqual(["child"]);
    const thread = await platform.storage.threads.find(ANONYMOUS, threadId);
    expect(thread).toMatchObject({ status: "interrupted", values: { log: ["set"] } });
    expect(JSON.parse(platform.updates[0]?.data ?? "")).toEqual({ state, thread_id: threadId });
    const logged = await platform.storage.events.read(ANONYMOUS, { thread_id: threadId, limit: 10 });
    expect(logged.map((row) => [row.mode, row.run_id])).toEqual([["state_update", null]]);
  });

  it("forks by a write at an earlier checkpoint", async () => {
    const threadId = await platform.thread();
    await platform.run(threadId, say("hi"), "chat");
    const before = (await platform.history(threadId, { limit: 10 })).find((state) => state.next[0] === "answer");
    const values = { messages: [{ role: "user", content: "changed", id: "hi" }] };
    const update = { values, as_node: undefined, checkpoint: before?.checkpoint as never, checkpoint_id: undefined };
    await platform.state.update(ANONYMOUS, threadId, update);
    const state = await platform.state.get(ANONYMOUS, threadId);
    expect((state.values as { messages: { content: string }[] }).messages.map(({ content }) => content)).toEqual([
      "changed",
    ]);
    expect(state.parent_checkpoint?.checkpoint_id).toBe(before?.checkpoint?.checkpoint_id as string);
  });

  it("refuses a write while a run is under way, and frees the lane after a refused one", async () => {
    const update = { values: { log: ["x"] }, as_node: "before", checkpoint: undefined, checkpoint_id: undefined };
    const threadId = await platform.thread({ graph_id: "outer" });
    expect(await failure(platform.state.update(ANONYMOUS, threadId, { ...update, as_node: "nowhere" }))).toStartWith(
      "bad_request: ",
    );
    await platform.state.update(ANONYMOUS, threadId, update);
    await platform.claim(threadId, await platform.assistant("outer"));
    expect(await failure(platform.state.update(ANONYMOUS, threadId, update))).toBe(
      "conflict: Thread is busy with a running job. Cannot update state.",
    );
    expect(await failure(platform.state.update(ANONYMOUS, await platform.thread(), update))).toStartWith(
      "bad_request: ",
    );
  });

  it("names a checkpoint, a graph and an assistant that are not there", async () => {
    const threadId = await platform.thread();
    await platform.run(threadId, say("hi"), "chat");
    const gone = "1f000000-0000-6000-8000-000000000001";
    expect(await failure(platform.state.get(ANONYMOUS, threadId, { checkpoint: { checkpoint_id: gone } }))).toBe(
      `not_found: Checkpoint ${gone} not found on thread ${threadId}`,
    );
    expect(await failure(platform.state.get(ANONYMOUS, threadId, { assistant_id: gone }))).toStartWith(
      "not_found: No assistant",
    );
    platform.withdraw("chat");
    expect(await failure(platform.state.get(ANONYMOUS, threadId))).toBe('not_found: Graph "chat" not found');
  });

  it("applies supersteps in order, commands too", async () => {
    const threadId = await platform.thread({ graph_id: "outer" });
    await platform.state.bulkUpdate(ANONYMOUS, threadId, [
      { updates: [{ values: { log: ["start"] }, as_node: "__start__", command: null }] },
      { updates: [{ values: null, command: { update: { log: ["cmd"] } }, as_node: "before" }] },
    ]);
    const state = await platform.state.get(ANONYMOUS, threadId);
    expect(state.values).toEqual({ log: ["start", "cmd"] });
    expect(state.next).toEqual(["child"]);
  });
});
