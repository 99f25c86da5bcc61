import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { dataOf, names, type Part, SdkSession } from "./sdk-session.ts";
import { eventually, SpawnedServer } from "./spawn-server.ts";

setDefaultTimeout(30_000);

const line = { name: "langgraph-sdk 1.15.0", Client };
const ask = (content: string) => ({ input: { messages: [{ role: "user", content }] } });

interface Message {
  id: string;
  type: string;
  content: string;
  tool_calls?: { name: string; args: object }[];
  name?: string;
}

const textOf = (parts: readonly Part[]): string =>
  dataOf(parts, "messages")
    .filter(([{ type }]) => type === "AIMessageChunk")
    .map(([{ content }]) => content)
    .join("");
const messagesOf = (values: unknown): Message[] => (values as { messages: Message[] }).messages;

describe("the shipped agent without any key", () => {
  const session = new SdkSession(line, { project: "shipped" });

  it("says what it is, calls a tool and answers from its result", async () => {
    const id = await session.thread();
    const parts = await session.stream(id, "agent", {
      ...ask("What is 6 * 7?"),
      streamMode: ["messages-tuple", "values"],
    });
    const messages = messagesOf(dataOf(parts, "values").at(-1));
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai"]);
    expect(messages[1]?.tool_calls?.[0]).toMatchObject({ name: "calculator" });
    expect(messages[2]).toMatchObject({ name: "calculator", content: "6 * 7 = 42" });
    expect(messages[3]?.content).toContain("42");
    expect(textOf(parts)).toContain(messages[3]?.content as string);
    const again = await session.wait(id, "agent", ask("And hello"));
    expect(messagesOf(again)).toHaveLength(6);
  });

  it("stops for an approval, and goes on with the answer", async () => {
    const { client } = session;
    const id = await session.thread();
    const stopped = await session.wait(id, "agent", ask("Delete the file, with approval"));
    expect(stopped.__interrupt__).toHaveLength(1);
    expect((await client.threads.get(id)).status).toBe("interrupted");
    const done = await session.wait(id, "agent", { command: { resume: { approved: true } } });
    expect(messagesOf(done).map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai"]);
    expect((await client.threads.get(id)).status).toBe("idle");
  });

  it("streams its echo word by word when a caller chooses that model", async () => {
    const config = { configurable: { model_name: "fake:echo" } };
    const parts = await session.stream(null, "agent", {
      ...ask("one two three"),
      config,
      streamMode: "messages-tuple",
    });
    expect(textOf(parts)).toBe("echo: one two three");
    expect(dataOf(parts, "messages").length).toBeGreaterThanOrEqual(4);
  });

  it("keeps two assistants of one thread apart", async () => {
    const { client } = session;
    const id = await session.thread();
    const config = { configurable: { model_name: "fake:echo" } };
    const { assistant_id: echo } = await client.assistants.create({ graphId: "agent", config });
    await session.wait(id, "agent", ask("for the first"));
    expect(messagesOf(await session.wait(id, echo, ask("for the second"))).map(({ content }) => content)).toEqual([
      "for the second",
      "echo: for the second",
    ]);
  });

  it("says what is wrong with a configuration", async () => {
    const config = { configurable: { model_name: "nonesuch:model" } };
    await expect(session.wait(null, "agent", { ...ask("hi"), config })).rejects.toThrow(/nonesuch/);
  });
});

describe("the shipped agent with a model behind HTTP", () => {
  let mock: MockLlm;
  let server: SpawnedServer;
  let client: Client;

  beforeAll(async () => {
    mock = await startMockLlm({ response: "The model has spoken.", streamDelayMs: 2 });
    const env = {
      MODEL_NAME: "openai:gpt-4o",
      OPENAI_API_KEY: "sk-test",
      OPENAI_BASE_URL: `${mock.url}/v1`,
      // Of a second model, which a caller names.
      FRACTAL_EGRESS_ALLOW: "127.0.0.1",
    };
    server = await SpawnedServer.start({ project: "shipped", env });
    client = new Client({ apiUrl: server.url });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await mock?.close();
  });

  const collect = async (stream: AsyncIterable<unknown>): Promise<Part[]> => {
    const parts: Part[] = [];
    for await (const part of stream) parts.push(part as Part);
    return parts;
  };

  it("goes round the tool loop: a call, its result, an answer", async () => {
    mock.reset();
    const { thread_id: id } = await client.threads.create();
    const parts = await collect(
      client.runs.stream(id, "agent", {
        ...ask('call calculator {"expression":"6 * 7"}'),
        streamMode: ["updates", "messages-tuple", "values"],
      }),
    );
    expect([names(parts)[0], names(parts).at(-1)]).toEqual(["metadata", "end"]);
    const messages = messagesOf(dataOf(parts, "values").at(-1));
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai"]);
    expect(messages[2]?.content).toBe("6 * 7 = 42");
    expect(textOf(parts)).toBe("The model has spoken.");
    expect(mock.stats()).toMatchObject({ requests: 2, aborted: 0 });
    expect(mock.received().map(({ headers }) => headers.authorization)).toEqual(["Bearer sk-test", "Bearer sk-test"]);
    const { values } = await client.threads.getState(id);
    expect(messagesOf(values).map((message) => message.id)).toEqual(messages.map((message) => message.id));
  });

  it("asks for no tokens when the caller only waits", async () => {
    mock.reset();
    await client.runs.wait(null, "agent", ask("hello"));
    expect(mock.received().map(({ body }) => body.stream ?? false)).toEqual([false]);
  });

  /** A run whose model takes a minute for its answer. */
  const slowly = async (leave: (threadId: string, runId: string, gone: AbortController) => unknown) => {
    mock.reset();
    await using slow = await startSlow();
    const { thread_id: id } = await client.threads.create();
    const gone = new AbortController();
    const reading = collect(
      client.runs.stream(id, "agent", {
        ...ask("think"),
        config: { configurable: { model_name: "custom:", base_url: `${slow.mock.url}/v1`, custom_model_name: "slow" } },
        streamMode: "messages-tuple",
        onDisconnect: "cancel",
        signal: gone.signal,
      }),
    ).catch((error) => {
      if (!gone.signal.aborted) throw error;
    });
    await eventually(
      async () => slow.mock.stats().requests,
      (requests) => requests === 1,
    );
    const [run] = await client.runs.list(id);
    await leave(id, run?.run_id as string, gone);
    await eventually(
      async () => slow.mock.stats().aborted,
      (aborted) => aborted === 1,
    );
    await reading;
    await eventually(
      () => client.runs.get(id, run?.run_id as string),
      ({ status }) => status === "interrupted",
    );
  };

  async function startSlow() {
    const slow = await startMockLlm({ delayMs: 60_000 });
    return { mock: slow, [Symbol.asyncDispose]: () => slow.close() };
  }

  it("hangs up on the model when a run is cancelled", async () => {
    await slowly((threadId, runId) => client.runs.cancel(threadId, runId));
  });

  it("hangs up on the model when the client leaves and said so", async () => {
    await slowly((_thread, _run, gone) => gone.abort());
  });
});
