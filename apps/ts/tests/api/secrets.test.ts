import { afterAll, beforeAll, beforeEach, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { type MockLlm, startMockLlm } from "../../../../benchmarks/mock-llm/server.ts";
import { Api } from "./api.ts";

const MASK = "********";
const CANARIES = ["canary-custom-key", "canary-provider-key", "canary-header", "canary-run-key", "canary-metadata"];
const [CUSTOM = "", PROVIDER = "", HEADER = "", OF_RUN = "", OF_METADATA = ""] = CANARIES;
const INPUT = { messages: [{ role: "user", content: "hi" }] };

describe("Secrets in an assistant's configuration", () => {
  let llm: MockLlm;
  let other: MockLlm;
  let api: Api;
  /** Everything that was answered. */
  let seen: string[] = [];

  beforeAll(async () => {
    llm = await startMockLlm({ response: "one two" });
    other = await startMockLlm({ response: "one two" });
    api = await Api.start({ FRACTAL_EGRESS_ALLOW: "127.0.0.1" });
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
    await Promise.all([llm.close(), other.close()]);
  });
  beforeEach(() => {
    seen = [];
    llm.reset();
    other.reset();
  });

  const call = async (method: string, path: string, body?: unknown) => {
    const reply = await api.call(method, path, { body });
    seen.push(reply.text);
    return reply;
  };
  const post = (path: string, body: unknown = {}) => call("POST", path, body);
  const configurable = (fields: object = {}) => ({
    base_url: `${llm.url}/v1`,
    custom_model_name: "m",
    custom_api_key: CUSTOM,
    apiKeys: { OPENAI_API_KEY: PROVIDER },
    servers: [{ url: "https://tools.example", headers: { Authorization: HEADER } }],
    ...fields,
  });
  const create = async (fields: object = { config: { configurable: configurable() } }) => {
    const { status, body } = await post("/assistants", { graph_id: "agent", ...fields });
    expect(status).toBe(200);
    return body;
  };
  const stored = (id: string) => api.storage.assistants.find(ANONYMOUS, id);
  const keyOf = (mock: MockLlm) => mock.received().map(({ headers }) => headers.authorization);

  it("are in no answer, no stream and no log line, and are used all the same", async () => {
    const { assistant_id, config } = await create();
    expect(config.configurable).toMatchObject({
      base_url: `${llm.url}/v1`,
      custom_api_key: MASK,
      apiKeys: { OPENAI_API_KEY: MASK },
      servers: [{ url: "https://tools.example", headers: { Authorization: MASK } }],
    });
    const of = `/assistants/${assistant_id}`;
    await call("GET", of);
    await call("PATCH", of, { name: "renamed", context: configurable() });
    for (const path of ["/assistants/search", `${of}/versions`]) await post(path);
    await post(`${of}/latest`, { version: 1 });
    await call("GET", `${of}/schemas`);
    const { thread_id } = (await post("/threads")).body;
    const thread = `/threads/${thread_id}`;
    const modes = "values updates messages-tuple custom events debug tasks checkpoints".split(" ");
    const run = { assistant_id, input: INPUT, config: { metadata: { api_key: OF_METADATA } } };
    for (const stream_mode of [modes, ["messages"]]) {
      const { text } = await post(`${thread}/runs/stream`, { ...run, stream_mode, stream_subgraphs: true });
      expect(text).toContain("event: end");
    }
    await post(`${thread}/runs/wait`, { ...run, config: { configurable: { custom_api_key: OF_RUN } } });
    const runs = (await call("GET", `${thread}/runs`)).body;
    expect(runs.length).toBe(3);
    for (const { run_id } of runs) await call("GET", `${thread}/runs/${run_id}`);
    for (const { run_id } of runs) await call("GET", `${thread}/runs/${run_id}/join`);
    for (const path of [thread, `${thread}/state?subgraphs=true`, `${thread}/history`, "/info", "/metrics"])
      await call("GET", path);
    await post("/threads/search");
    await post(`${thread}/copy`);
    await post("/runs/wait", { assistant_id, input: INPUT, config: { configurable: { temperature: "hot" } } });

    const shown = [...seen, ...api.log].filter((text) => CANARIES.some((canary) => text.includes(canary)));
    expect(shown).toEqual([]);
    expect(keyOf(llm)).toEqual([`Bearer ${CUSTOM}`, `Bearer ${CUSTOM}`, `Bearer ${OF_RUN}`]);
  });

  it("stay when their mask is sent back: in an update, under the other name, in a run, for an id that exists", async () => {
    const made = await create();
    const of = `/assistants/${made.assistant_id}`;
    const patched = await call("PATCH", of, {
      config: { configurable: { ...made.config.configurable, temperature: 0.1 } },
    });
    expect([patched.status, patched.body.version]).toEqual([200, 2]);
    expect((await stored(made.assistant_id))?.config.configurable).toEqual(configurable({ temperature: 0.1 }));
    await call("PATCH", of, { config: {}, context: made.config.configurable });
    expect((await stored(made.assistant_id))?.context).toEqual(configurable());
    await post("/runs/wait", {
      assistant_id: made.assistant_id,
      input: INPUT,
      config: { configurable: { custom_api_key: MASK, temperature: 0.2 } },
    });
    expect(keyOf(llm)).toEqual([`Bearer ${CUSTOM}`]);
    const again = await create({ ...made, if_exists: "do_nothing" });
    expect(again.version).toBe(3);
  });

  it("are not sent to another endpoint: not by an update, not by a run that names one", async () => {
    const made = await create();
    const base_url = `${other.url}/v1`;
    const moved = { configurable: { ...made.config.configurable, base_url } };
    for (const reply of [
      await call("PATCH", `/assistants/${made.assistant_id}`, { config: moved }),
      await post("/runs/wait", { assistant_id: made.assistant_id, input: INPUT, config: moved }),
      await post("/assistants", { graph_id: "agent", config: made.config }),
    ]) {
      expect(reply.status).toBe(422);
      expect(reply.body.detail).toContain(`config.configurable.custom_api_key`);
      expect(reply.body.detail).toContain("send the secret itself");
    }
    expect((await stored(made.assistant_id))?.version).toBe(1);
    for (const fields of [{ config: { configurable: { base_url } } }, { context: { base_url } }]) {
      await post("/runs/wait", { assistant_id: made.assistant_id, input: INPUT, ...fields });
    }
    expect([keyOf(llm), keyOf(other)]).toEqual([[], ["Bearer EMPTY", "Bearer EMPTY"]]);
  });
});

describe("An endpoint that a request names", () => {
  it("is not called inside the network, by a run or an assistant, unless LANGGRAPH_CONFIG names it", async () => {
    const llm = await startMockLlm({ response: "one two" });
    const named = await startMockLlm({ response: "three" });
    try {
      const seed = { agent: { configurable: { base_url: `${named.url}/v1`, custom_model_name: "m" } } };
      await using api = await Api.start({ LANGGRAPH_CONFIG: JSON.stringify(seed) });
      const configurable = { base_url: `${llm.url}/v1`, custom_model_name: "m" };
      const { assistant_id } = (await api.post("/assistants", { graph_id: "agent", config: { configurable } })).body;
      for (const request of [{ assistant_id }, { assistant_id: "agent", config: { configurable } }]) {
        const { body } = await api.post("/runs/wait", { ...request, input: INPUT });
        expect(body.__error__).toMatchObject({ error: "GraphConfigError" });
        expect(body.__error__.message).toStartWith(`configurable.base_url: ${llm.url} is not https`);
        expect(body.__error__.message).toContain("FRACTAL_EGRESS_ALLOW");
      }
      const { body } = await api.post("/runs/wait", { assistant_id: "agent", input: INPUT });
      expect(body.messages.at(-1).content).toBe("three");
      expect(llm.stats().requests).toBe(0);
    } finally {
      await Promise.all([llm.close(), named.close()]);
    }
  });
});
