import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { post } from "../cli/project.ts";
import { eventually, SpawnedServer } from "../e2e/spawn-server.ts";
import { SseReader } from "../runs/sse-client.ts";
import { type SdkEvent, streamWithSdk } from "./sdk-client.ts";

setDefaultTimeout(60_000);

const WORDS = "one two three four five six seven eight nine ten";
const ASK = { input: { messages: [{ role: "user", content: 'call calculator {"expression":"6 * 7"}' }] } };

interface Message {
  type: string;
  content: string;
}

/** The shipped agent under its supervisor, and a model that takes its time over every word. */
async function start(more: Record<string, string> = {}) {
  const mock: MockLlm = await startMockLlm({ response: WORDS, streamDelayMs: 30 });
  const env = { MODEL_NAME: "openai:gpt-4o", OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${mock.url}/v1`, ...more };
  const server = await SpawnedServer.start({ project: "shipped", env });
  const threadId = ((await (await post(`${server.url}/threads`, {})).json()) as { thread_id: string }).thread_id;
  return {
    mock,
    server,
    threadId,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await mock.close();
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
const getJson = async (url: string): Promise<any> => (await fetch(url)).json();
const isToken = ({ event, data }: SdkEvent) =>
  event === "messages" && data[0].type === "AIMessageChunk" && data[0].content !== "";
const answersOf = (values: { messages: Message[] }) => values.messages.map(({ type, content }) => [type, content]);
const DONE = [
  ["human", ASK.input.messages[0]?.content],
  ["ai", ""],
  ["tool", "6 * 7 = 42"],
  ["ai", WORDS],
];

describe("kill -9 while the shipped agent streams its answer", () => {
  it("of supervisor and server: after the restart only the unfinished model call is made again", async () => {
    await using up = await start();
    const { mock, server, threadId } = up;
    const runs = () => `${server.url}/threads/${threadId}/runs`;
    const body = { assistant_id: "agent", ...ASK, stream_mode: ["messages-tuple", "values"] };
    const before = new SseReader(await post(`${runs()}/stream`, body));
    const seen = await before.readUntil(({ events }) => events.filter(isToken).length >= 4);
    const runId: string = seen[0]?.data.run_id;
    await server.kill();
    expect(mock.stats().requests).toBe(2);
    await server.start();
    const headers = { "last-event-id": seen.at(-1)?.id as string };
    const rest = await new SseReader(await fetch(`${runs()}/${runId}/stream`, { headers })).rest();

    expect(rest.find(({ event }) => event === "metadata")?.data).toMatchObject({ run_id: runId, attempt: 2 });
    expect([rest.at(-1)?.event, rest.filter(({ event }) => event === "end").length]).toEqual(["end", 1]);
    const ids = [...seen, ...rest].flatMap(({ id }) => id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    // The new attempt tells the whole answer again.
    const tokens = rest.slice(rest.findIndex(({ event }) => event === "metadata")).filter(isToken);
    expect(tokens.map(({ data }) => data[0].content).join("")).toBe(WORDS);
    // Three model calls: the one that called the tool, the one that died, and its repetition.
    expect(mock.stats().requests).toBe(3);
    const thread = await getJson(`${server.url}/threads/${threadId}`);
    expect([thread.status, answersOf(thread.values)]).toEqual(["idle", DONE]);
  });

  it("of the server alone: the supervisor starts it again, and the SDK's stream goes on by itself", async () => {
    // On Postgres nobody could wait for this lease to run out: the next process is told that the one before is gone.
    await using up = await start({ FRACTAL_LEASE_SECONDS: "120" });
    const { mock, server, threadId } = up;
    const payload = { ...ASK, streamMode: ["messages-tuple", "values"], streamResumable: true };
    const seen: SdkEvent[] = [];
    for await (const event of streamWithSdk(server.url, { threadId, assistantId: "agent", payload })) {
      seen.push(event);
      if (seen.filter(isToken).length === 4 && isToken(event)) {
        server.killServer();
      }
    }
    const attempts = seen.filter(({ event }) => event === "metadata").map(({ data }) => data.attempt);
    expect(attempts).toEqual([1, 2]);
    expect(seen.filter(({ event }) => event === "end")).toHaveLength(1);
    expect(answersOf(seen.findLast(({ event }) => event === "values")?.data)).toEqual(DONE as never);
    expect(mock.stats().requests).toBe(3);
    const run = await eventually(
      () => getJson(`${server.url}/threads/${threadId}/runs`),
      ([first]) => first.status !== "running",
    );
    expect(run[0].status).toBe("success");
  });
});
