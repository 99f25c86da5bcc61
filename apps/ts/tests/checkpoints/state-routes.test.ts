import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { HumanMessage } from "@langchain/core/messages";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ANONYMOUS } from "#core/identity/scope";
import { onError } from "#routes/http";
import { Router } from "#routes/router";
import { stateRoutes } from "#routes/state";
import { Platform } from "./platform.ts";

const graph = new StateGraph(MessagesAnnotation)
  .addNode("answer", () => ({ messages: [new HumanMessage({ content: "done", id: "d" })] }))
  .addEdge(START, "answer")
  .compile();

describe("State routes", () => {
  let platform: Platform;
  let server: ReturnType<typeof Bun.serve>;
  let threadId: string;

  beforeAll(async () => {
    platform = await Platform.open({ chat: { graph } });
    const logger = createLogger({ level: "silent", json: true, write: () => undefined });
    const app = new Router({ strict: false });
    app.onError(onError(logger));
    app.use("*", async (c, next) => {
      c.set("scope", ANONYMOUS);
      c.set("bodyLimit", 1_000_000);
      await next();
    });
    app.route("/", stateRoutes(platform.state, { logger }));
    server = Bun.serve({ port: 0, fetch: app.fetch });
    threadId = await platform.thread();
    await platform.run(threadId, { messages: [new HumanMessage({ content: "hi", id: "h" })] }, "chat");
  });

  afterAll(async () => {
    await server.stop(true);
    await platform[Symbol.asyncDispose]();
  });

  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  async function call(path: string, body?: unknown): Promise<{ status: number; body: any; type: string | null }> {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(new URL(`/threads/${threadId}${path}`, server.url), init);
    return { status: response.status, body: await response.json(), type: response.headers.get("Content-Type") };
  }

  it("gives state and history as JSON with flat messages", async () => {
    const { status, body, type } = await call("/state?subgraphs=1");
    expect([status, type]).toEqual([200, "application/json"]);
    expect(
      body.values.messages.map((message: { type: string; content: string }) => [message.type, message.content]),
    ).toEqual([
      ["human", "hi"],
      ["human", "done"],
    ]);
    expect((await call(`/state/${body.checkpoint.checkpoint_id}`)).body).toEqual(body);
    expect((await call("/state/checkpoint", { checkpoint: body.checkpoint, subgraphs: null })).body).toEqual(body);
    const history = (await call("/history")).body;
    expect(history.length).toBe(3);
    expect(history[0]).toEqual(body);
    for (const before of [
      history[0].checkpoint.checkpoint_id,
      history[0].checkpoint,
      { configurable: history[0].checkpoint },
    ]) {
      expect((await call("/history", { limit: 1, before })).body).toEqual([history[1]]);
    }
    expect(
      (await call("/history", { limit: 5, metadata: { source: "input" }, checkpoint: { checkpoint_ns: "" } })).body,
    ).toEqual([history[2]]);
  });

  it("writes state and answers with the checkpoint under all its names", async () => {
    const values = { messages: [{ type: "human", content: "more", id: "m" }] };
    const { status, body } = await call("/state", { values, as_node: "answer", checkpoint: null });
    expect(status).toBe(200);
    expect(body).toEqual({
      checkpoint: body.configurable,
      configurable: body.configurable,
      checkpoint_id: expect.any(String),
    });
    expect((await call("/state")).body.checkpoint).toEqual(body.checkpoint);
  });

  it("says what is wrong with a request", async () => {
    const wrong: [string, unknown, number, string][] = [
      ["/state/nonsense", undefined, 422, "checkpoint_id: must be a UUID"],
      ["/state?subgraphs=maybe", undefined, 422, "subgraphs: must be true or false"],
      ["/history?limit=0", undefined, 422, "limit: "],
      ["/history", { limit: 1001 }, 422, "limit: "],
      ["/history", { before: "nonsense" }, 422, "before"],
      ["/state", { values: "text" }, 422, "values"],
      ["/state", { values: {}, as_node: "nowhere" }, 400, "nowhere"],
      ["/state", { values: {}, checkpoint_id: "1f000000-0000-6000-8000-000000000001" }, 404, "not found"],
      ["/state/checkpoint", {}, 422, "checkpoint"],
      ["/state?assistant_id=nobody", undefined, 404, "nobody"],
    ];
    for (const [path, sent, status, text] of wrong) {
      const answer = await call(path, sent);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.body.detail).toContain(text);
    }
  });
});
