import { describe, expect, it, setDefaultTimeout, spyOn } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { StreamOrchestrator } from "@langchain/langgraph-sdk/ui";
import { SdkSession } from "./sdk-session.ts";
import { eventually } from "./spawn-server.ts";

setDefaultTimeout(30_000);

/** What `useStream` keeps in sessionStorage, so that a reloaded page finds its run again. */
class TabStorage {
  readonly #items = new Map<string, string>();
  getItem = (key: string): string | null => this.#items.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.#items.set(key, value);
  removeItem = (key: string): void => void this.#items.delete(key);
}

interface Options {
  storage?: TabStorage;
  threadId?: string;
  [option: string]: unknown;
}

// The engine below the `useStream` of React, Vue, Svelte and Angular: the client's own code, without a page around it.
describe("useStream of langgraph-sdk 1.15.0 against the server", () => {
  const session = new SdkSession({ name: "langgraph-sdk 1.15.0", Client });

  function open(graph: string, { storage, threadId, ...options }: Options = {}) {
    const created: { run_id: string; thread_id: string }[] = [];
    const errors: unknown[] = [];
    const scope = globalThis as { window?: unknown };
    // It asks for the tab's storage only where there is a window.
    if (storage !== undefined) scope.window = {};
    const stream = new StreamOrchestrator(
      {
        assistantId: graph,
        fetchStateHistory: true,
        onCreated: (run: { run_id: string; thread_id: string }) => created.push(run),
        onError: (error: unknown) => errors.push(error),
        ...(storage !== undefined && { reconnectOnMount: () => storage }),
        ...options,
      } as never,
      { getClient: () => session.client, getAssistantId: () => graph, getMessagesKey: () => "messages" } as never,
    );
    delete scope.window;
    if (threadId !== undefined) stream.initThreadId(threadId);
    const texts = () => stream.messages.map(({ content }) => content);
    return { stream, created, errors, texts };
  }

  const ask = (content: string, more: object = {}) => ({ messages: [{ type: "human", content }], n: 3, ...more });
  const read = <T>(what: () => T, met: (value: T) => boolean) => eventually(async () => what(), met);

  it("makes the thread with the first message, streams the answer, and reads the history", async () => {
    const { stream, created, errors, texts } = open("tokens");
    stream.trackStreamMode("messages-tuple");
    const growing = new Set<string>();
    stream.subscribe(() => growing.add(String(texts().at(-1))));
    await stream.submit(ask("hello") as never);
    expect(errors).toEqual([]);
    expect(created).toEqual([{ run_id: expect.any(String), thread_id: stream.threadId as string }]);
    expect([...growing]).toEqual(expect.arrayContaining(["t1 ", "t1 t2 ", "t1 t2 t3"]));
    expect(texts()).toEqual(["hello", "t1 t2 t3"]);
    expect(stream.historyData.data).toHaveLength(3);
    await stream.submit(ask("again") as never);
    expect(texts()).toEqual(["hello", "t1 t2 t3", "again", "t1 t2 t3"]);
    expect(new Set(stream.messages.map(({ id }) => id)).size).toBe(4);
  });

  it("shows a thread that was there before the page", async () => {
    const threadId = await session.thread();
    await session.wait(threadId, "tokens", { input: ask("before") });
    const { stream, texts } = open("tokens", { threadId });
    await read(texts, ({ length }) => length === 2);
    expect(texts()).toEqual(["before", "t1 t2 t3"]);
    expect(stream.isLoading).toBe(false);
  });

  it("shows a question and goes on with the answer", async () => {
    const { stream } = open("interrupting");
    await stream.submit({} as never);
    expect(stream.interrupt).toMatchObject({ value: "name?" });
    await stream.submit(null as never, { command: { resume: "Ada" } });
    expect(stream.interrupt).toMatchObject({ value: "age?" });
    await stream.submit(null as never, { command: { resume: 36 } });
    expect(stream.interrupt).toBeUndefined();
    expect(stream.values).toMatchObject({ greeting: "Ada is 36" });
  });

  it("shows a breakpoint", async () => {
    const { stream } = open("breakpoints");
    await stream.submit({} as never, { interruptBefore: ["b"] });
    expect(stream.interrupt).toEqual({ when: "breakpoint" } as never);
    await stream.submit(null as never);
    expect([stream.interrupt, stream.values]).toEqual([undefined, { path: ["a", "b", "c"] }] as never);
  });

  it("shows why a run failed, also after a reload", async () => {
    const { stream, errors } = open("failing");
    // The hook prints what it hands on.
    const printed = spyOn(console, "error").mockImplementation(() => undefined);
    await stream.submit({} as never);
    printed.mockRestore();
    expect(String(errors[0])).toContain("the card was declined");
    expect(String(stream.error)).toContain("the card was declined");
    const { stream: reloaded } = open("failing", { threadId: stream.threadId as string });
    await read(
      () => reloaded.error,
      (error) => error !== undefined,
    );
    expect(reloaded.error).toBe("the card was declined");
  });

  it("stops: the run ends on the server, and what it had done is shown", async () => {
    const { stream, created, errors } = open("slow");
    const submitted = stream.submit({ ms: 60_000 } as never);
    await read(
      () => stream.values,
      (values) => (values as { started?: boolean }).started === true,
    );
    await stream.stop();
    await submitted;
    const [run] = created;
    await session.reaches(run?.thread_id as string, run?.run_id as string, "interrupted");
    expect(errors).toEqual([]);
    expect(stream.isLoading).toBe(false);
    await read(
      () => stream.values,
      (values) => (values as { started?: boolean }).started === true,
    );
  });

  it("queues what is sent during a run, and shows each answer in turn", async () => {
    const { stream, texts } = open("tokens");
    stream.trackStreamMode("messages-tuple");
    const first = stream.submit(ask("one", { delay_ms: 60 }) as never);
    await read(
      () => stream.isLoading && texts().length > 1,
      (streaming) => streaming,
    );
    await stream.submit(ask("two", { delay_ms: 0 }) as never);
    await stream.submit(ask("three") as never);
    expect(stream.queueSize).toBe(2);
    await first;
    await read(texts, ({ length }) => length === 6 && !stream.isLoading);
    expect(texts()).toEqual(["one", "t1 t2 t3", "two", "t1 t2 t3", "three", "t1 t2 t3"]);
  });

  it("finds its run again after a reload in the middle, and shows every word once", async () => {
    const storage = new TabStorage();
    const closed = open("tokens", { storage });
    closed.stream.trackStreamMode("messages-tuple");
    void closed.stream.submit(ask("long", { n: 25, delay_ms: 20 }) as never);
    await read(
      () => closed.texts().length,
      (length) => length > 1,
    );
    const threadId = closed.stream.threadId as string;
    expect(storage.getItem(`lg:stream:${threadId}`)).toBe(closed.created[0]?.run_id as string);
    const reloaded = open("tokens", { storage, threadId });
    reloaded.stream.trackStreamMode("messages-tuple");
    expect(reloaded.stream.tryReconnect()).toBe(true);
    const answer = Array.from({ length: 25 }, (_, i) => `t${i + 1}`).join(" ");
    await read(reloaded.texts, (texts) => texts.at(-1) === answer && !reloaded.stream.isLoading);
    expect(reloaded.texts()).toEqual(["long", answer]);
    expect(storage.getItem(`lg:stream:${threadId}`)).toBeNull();
    expect(await session.client.runs.list(threadId)).toHaveLength(1);
  });

  it("asks again from an earlier message, as a branch of its own", async () => {
    const { stream, texts } = open("tokens");
    await stream.submit(ask("first") as never);
    const [question] = stream.messages;
    const parent = stream.getMessagesMetadata(question as never)?.firstSeenState?.parent_checkpoint;
    expect(typeof parent?.checkpoint_id).toBe("string");
    await stream.submit(ask("edited") as never, { checkpoint: parent as never });
    expect(texts()).toEqual(["edited", "t1 t2 t3"]);
    const branches = stream.getMessagesMetadata(stream.messages[0] as never)?.branchOptions;
    expect(branches).toHaveLength(2);
    stream.setBranch(branches?.[0] as string);
    await read(texts, ([head]) => head === "first");
  });
});

describe("requests of chat pages", () => {
  const session = new SdkSession({ name: "langgraph-sdk 1.15.0", Client });

  it("answers the whole visit of Agent Chat UI", async () => {
    const { client } = session;
    const info = await fetch(`${session.server.url}/info`, { headers: { "x-api-key": "lsv2-whatever" } });
    expect(info.ok).toBe(true);
    const { thread_id: id } = await client.threads.create({ metadata: {} });
    const parts = await session.stream(id, "tokens", {
      input: { messages: [{ id: crypto.randomUUID(), type: "human", content: [{ type: "text", text: "hi" }] }], n: 2 },
      streamMode: ["values", "messages-tuple", "custom"],
      streamSubgraphs: true,
      streamResumable: true,
      onDisconnect: "continue",
    });
    expect([...new Set(parts.map(({ event }) => event))]).toEqual(["metadata", "values", "messages", "end"]);
    const [found] = await client.threads.search({ metadata: { graph_id: "tokens" }, limit: 100 });
    expect(found?.thread_id).toBe(id);
    const { assistant_id } = await client.assistants.get("tokens");
    expect((await client.threads.search({ metadata: { assistant_id }, limit: 100 }))[0]?.thread_id).toBe(id);
    const history = await client.threads.getHistory<{ messages: { id: string }[] }>(id, { limit: 10 });
    expect(history[0]?.values.messages.map((message) => typeof message.id)).toEqual(["string", "string"]);
    expect(history[0]?.parent_checkpoint).toMatchObject({ checkpoint_id: history[1]?.checkpoint.checkpoint_id });
  });

  it("lets a page of another origin read what it needs", async () => {
    const origin = "http://localhost:5173";
    const preflight = await fetch(`${session.server.url}/threads/search`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key,x-auth-scheme,last-event-id",
      },
    });
    expect(preflight.ok).toBe(true);
    expect(preflight.headers.get("access-control-allow-headers")?.toLowerCase()).toMatch(/x-auth-scheme|\*/);
    const answer = await fetch(`${session.server.url}/runs/stream`, {
      method: "POST",
      headers: { origin, "content-type": "application/json" },
      body: JSON.stringify({ assistant_id: "counter", input: { steps: 1 } }),
    });
    await answer.text();
    const exposed = answer.headers.get("access-control-expose-headers")?.toLowerCase().split(/,\s*/) ?? [];
    expect(exposed).toEqual(expect.arrayContaining(["content-location", "location", "x-pagination-next"]));
  });

  it("tells only of the namespaces that a client names, from the first event on", async () => {
    const body = { input: {}, streamMode: ["updates"], streamSubgraphs: true, streamResumable: true };
    const id = await session.thread();
    const root = await session.stream(id, "subgraphs", { ...body, streamNamespaces: [""] });
    expect(root.map(({ event }) => event)).toEqual(["metadata", "updates", "updates", "end"]);
    const all = await session.stream(await session.thread(), "subgraphs", body);
    expect(all.length).toBeGreaterThan(root.length);
    const stateless = await session.stream(null, "subgraphs", { ...body, streamNamespaces: [""] });
    expect(stateless.filter(({ event }) => event.includes("|"))).toEqual([]);
  });
});
