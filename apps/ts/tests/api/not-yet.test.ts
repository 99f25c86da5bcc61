import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { Client } from "@langchain/langgraph-sdk";
import { Api } from "./api.ts";

const ID = "11111111-1111-4111-8111-111111111111";

/** What clients of LangGraph Platform ask for and this server does not have. */
const OPERATIONS: [sentence: string, ...operations: string[]][] = [
  [
    "crons are not supported yet",
    "POST /runs/crons",
    `POST /threads/${ID}/runs/crons`,
    "POST /runs/crons/search",
    "POST /runs/crons/count",
    `GET /runs/crons/${ID}`,
    `PATCH /runs/crons/${ID}`,
    `DELETE /runs/crons/${ID}`,
  ],
  ["streams of a whole thread are not supported yet", `GET /threads/${ID}/stream`],
  [
    "the second stream protocol is not supported yet",
    `POST /threads/${ID}/commands`,
    `POST /threads/${ID}/stream/events`,
    `GET /threads/${ID}/stream/events`,
  ],
  ["the storage report of a thread is not supported yet", `GET /threads/${ID}/storage`],
  ["PATCH of a thread's state is not supported yet", `PATCH /threads/${ID}/state`],
  ["MCP is not supported yet", "GET /mcp", "POST /mcp", "POST /mcp/", "DELETE /mcp"],
  [
    "A2A is not supported yet",
    `POST /a2a/${ID}`,
    `GET /a2a/${ID}`,
    `GET /a2a/${ID}/.well-known/agent-card.json`,
    "GET /.well-known/agent-card.json",
  ],
  ["generative UI is not supported yet", "POST /ui/agent", "GET /ui/agent/entrypoint.js"],
];

describe("Operations that are not there yet", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it.each(OPERATIONS)("501 and a sentence: %s", async (sentence, ...operations) => {
    for (const operation of operations) {
      const [method = "", path = ""] = operation.split(" ");
      const answer = await api.call(method, path, method === "GET" ? {} : { body: {} });
      expect([operation, answer.status, answer.body.detail]).toEqual([operation, 501, sentence]);
    }
  });

  it("reaches the caller of the SDK as it is", async () => {
    const client = new Client({ apiUrl: api.url, callerOptions: { maxRetries: 0 } });
    await expect(client.crons.search()).rejects.toThrow("crons are not supported yet");
  });

  it("404 and 405 stay what they are for what no client asks", async () => {
    expect((await api.call("PUT", `/runs/crons/${ID}`)).status).toBe(404);
    expect((await api.call("GET", "/mcp/tools")).status).toBe(404);
    expect((await api.call("DELETE", `/threads/${ID}/state`)).status).toBe(405);
  });

  it("404 where the operator has switched the part off", async () => {
    await using bare = await Api.start({ LANGGRAPH_HTTP: '{"disable_runs": true, "disable_mcp": true}' });
    for (const path of ["/mcp", "/runs/crons", `/threads/${ID}/commands`]) {
      expect([path, (await bare.call("POST", path, { body: {} })).status]).toEqual([path, 404]);
    }
    expect((await bare.call("POST", `/a2a/${ID}`, { body: {} })).status).toBe(501);
  });
});
