import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { dataOf, SdkSession } from "./sdk-session.ts";
import { SpawnedServer } from "./spawn-server.ts";

setDefaultTimeout(30_000);

const line = { name: "langgraph-sdk 1.15.0", Client };
const ask = (content: string) => ({ input: { messages: [{ role: "user", content }] } });
const QUESTION = "Send the report with my approval";
// biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
const messagesOf = (values: any): any[] => values.messages;

describe("the shipped agent's approval on the wire", () => {
  const session = new SdkSession(line, { project: "shipped" });

  async function asked(): Promise<string> {
    const id = await session.thread();
    await session.wait(id, "agent", ask(QUESTION));
    return id;
  }

  it("shows Agent Chat UI what it tests an interrupt for, in the stream, the state and the history", async () => {
    const id = await session.thread();
    const parts = await session.stream(id, "agent", {
      ...ask(QUESTION),
      streamMode: ["values", "messages-tuple", "custom"],
      streamSubgraphs: true,
      streamResumable: true,
      onDisconnect: "continue",
    });
    const [state] = await session.client.threads.getHistory(id, { limit: 10 });
    const seen = [
      dataOf(parts, "values").at(-1).__interrupt__[0],
      state?.tasks[0]?.interrupts[0],
      (await session.client.threads.getState(id)).tasks[0]?.interrupts[0],
    ];
    for (const { id: interruptId, value } of seen) {
      expect(interruptId).toBeString();
      const [request] = value.action_requests;
      expect(request).toMatchObject({ name: "request_approval", args: { action: QUESTION } });
      expect(value.review_configs).toEqual([
        { action_name: "request_approval", allowed_decisions: ["approve", "edit", "reject"] },
      ]);
      expect(value.actionRequests).toEqual(value.action_requests);
      expect(value.reviewConfigs[0]).toEqual({
        actionName: "request_approval",
        allowedDecisions: ["approve", "edit", "reject"],
      });
    }
  });

  it("shows agent-inbox its question in the search by graph, and leaves when the inbox ignores the thread", async () => {
    const id = await asked();
    const search = { offset: 0, limit: 100, status: "interrupted" as const, metadata: { graph_id: "agent" } };
    const found = (await session.client.threads.search(search)).find(({ thread_id }) => thread_id === id);
    const [[interrupt]] = Object.values(found?.interrupts ?? {}) as unknown as [
      [{ value: { action_requests: object[]; review_configs: object[] } }],
    ];
    expect(interrupt.value.action_requests[0]).toMatchObject({
      name: "request_approval",
      description: `Approval needed: ${QUESTION}`,
    });
    await session.client.threads.updateState(id, { values: null, asNode: "__end__" });
    expect(await session.client.threads.get(id)).toMatchObject({ status: "idle", interrupts: {} });
  });

  const args = { action: "Send it to Ada" };
  const APPROVED = [{ approved: true }, "You approved"] as const;
  const EDITED = [{ approved: true, ...args }, 'You approved "Send it to Ada"'] as const;
  const REFUSED = [{ approved: false, feedback: "too early" }, "too early"] as const;
  it.each([
    ["approve of Agent Chat UI", { decisions: [{ type: "approve" }] }, APPROVED],
    [
      "edit of Agent Chat UI",
      { decisions: [{ type: "edit", edited_action: { name: "request_approval", args } }] },
      EDITED,
    ],
    ["reject of Agent Chat UI", { decisions: [{ type: "reject", message: "too early" }] }, REFUSED],
    ["respond", { decisions: [{ type: "respond", message: "too early" }] }, REFUSED],
    ["accept of agent-inbox", [{ type: "accept", args: null }], APPROVED],
    ["edit of agent-inbox", [{ type: "edit", args: { action: "request_approval", args } }], EDITED],
    [
      "edit of agent-inbox as a decision",
      { decisions: [{ type: "edit", args: { action: "request_approval", args } }] },
      EDITED,
    ],
    ["response of agent-inbox", [{ type: "response", args: "too early" }], REFUSED],
    ["response of agent-inbox as a decision", { decisions: [{ type: "reject", args: "too early" }] }, REFUSED],
    ["ignore of agent-inbox", [{ type: "ignore", args: null }], [{ approved: false }, "You did not approve"]],
    ["approved of earlier releases", { approved: true }, APPROVED],
  ] as const)("takes the %s", async (_, resume, [decision, outcome]) => {
    const id = await asked();
    await session.stream(id, "agent", { command: { resume }, streamMode: "events" });
    const thread = await session.client.threads.get(id);
    expect([thread.status, thread.interrupts]).toEqual(["idle", {}]);
    const messages = messagesOf(thread.values);
    expect(JSON.parse(messages[2].content)).toEqual(decision);
    expect(messages.at(-1).content).toContain(outcome);
  });
});

describe("a thread with an open tool call, on a server whose model is as strict as the providers", () => {
  let mock: MockLlm;
  let server: SpawnedServer;
  let client: Client;
  const CALL = 'call request_approval {"action":"Send it"}';

  beforeAll(async () => {
    mock = await startMockLlm({ response: "fine" });
    const env = {
      OPENAI_API_KEY: "k",
      OPENAI_BASE_URL: `${mock.url}/v1`,
      ANTHROPIC_API_KEY: "k",
      ANTHROPIC_BASE_URL: mock.url,
      GOOGLE_API_KEY: "k",
      GOOGLE_GEMINI_BASE_URL: mock.url,
    };
    server = await SpawnedServer.start({ project: "shipped", env });
    client = new Client({ apiUrl: server.url });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await mock?.close();
  });

  const models = ["openai:gpt-4o", "anthropic:claude-3-5-haiku-latest", "google:gemini-2.0-flash"];
  it.each(models)("answers what is typed instead of a decision, and everything after it (%s)", async (model_name) => {
    mock.reset();
    const config = { configurable: { model_name } };
    const { thread_id: id } = await client.threads.create();
    await client.runs.wait(id, "agent", { ...ask(CALL), config });
    for (const text of ["never mind", "and now?"]) {
      expect(messagesOf(await client.runs.wait(id, "agent", { ...ask(text), config })).at(-1).content).toBe("fine");
    }
    const messages = messagesOf((await client.threads.getState(id)).values);
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "human", "ai", "human", "ai"]);
    expect(JSON.parse(messages[2].content)).toMatchObject({ approved: false });
    expect(mock.stats()).toMatchObject({ requests: 3, refused: 0 });
  });

  it("answers after a kill, an update that ends the thread, and a deleted answer", async () => {
    mock.reset();
    const { thread_id: id } = await client.threads.create();
    const say = async (text: string) => messagesOf(await client.runs.wait(id, "agent", ask(text)));
    await say(CALL);
    await server.kill();
    await server.start();
    client = new Client({ apiUrl: server.url });
    expect((await say("after the kill")).at(-1).content).toBe("fine");
    await say(CALL);
    await client.threads.updateState(id, { values: null, asNode: "__end__" });
    const messages = await say("after the end");
    expect(messages.at(-1).content).toBe("fine");
    const values = { messages: [{ type: "remove", id: messages[2].id, content: "" }] };
    await client.threads.updateState(id, { values });
    expect((await say("after the edit")).at(-1).content).toBe("fine");
    expect(mock.stats().refused).toBe(0);
  });
});
