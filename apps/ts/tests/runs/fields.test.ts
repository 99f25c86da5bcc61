import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { RunServer } from "./server.ts";
import { dataOf } from "./sse-client.ts";

const SECRET = "sk-do-not-tell-anybody";

describe("the fields of a run", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** What the graph `seen` was called with. */
  async function seen(body: object, threadId?: string) {
    const path = threadId === undefined ? (await server.thread()).runs : `/threads/${threadId}/runs`;
    const reply = await server.post(`${path}/wait`, { assistant_id: "seen", input: {}, ...body });
    expect(reply.status).toBe(200);
    return reply.body;
  }

  async function assistant(body: object): Promise<string> {
    return (await server.post("/assistants", { graph_id: "seen", ...body })).body.assistant_id;
  }

  it("takes an empty checkpoint id for none, wherever it is named", async () => {
    const none = { checkpoint_id: "", checkpoint_ns: "", checkpoint_map: {} };
    for (const body of [{ checkpoint_id: "" }, { checkpoint: none }, { config: { configurable: none } }]) {
      expect((await seen(body)).configurable).not.toHaveProperty("checkpoint_id", "");
    }
    const { id } = await server.thread();
    expect((await server.get(`/threads/${id}/history?before=`)).status).toBe(200);
    expect((await server.post(`/threads/${id}/history`, { before: "" })).status).toBe(200);
  });

  it("takes an empty stream_mode for the default, and one state for a history without a limit", async () => {
    const { runs, id } = await server.thread();
    const events = await server.stream(runs, { assistant_id: "breakpoints", input: {}, stream_mode: [] });
    expect(events.map(({ event }) => event)).toEqual(["metadata", "values", "values", "values", "end"]);
    expect((await server.post(`/threads/${id}/history`, {})).body).toHaveLength(1);
    expect((await server.get(`/threads/${id}/history`)).body).toHaveLength(5);
    expect((await server.post("/threads/search", { ids: [] })).body[0].thread_id).toBe(id);
    expect((await server.get(`/threads/${id}?include=unknown&include=ttl`)).status).toBe(200);
  });

  it("gives its metadata to the thread that it makes, and not to one that is there", async () => {
    const made = crypto.randomUUID();
    const mine = { mark: crypto.randomUUID() };
    await seen({ if_not_exists: "create", metadata: mine }, made);
    await seen({ metadata: { mark: "another" } }, made);
    const { body } = await server.post("/threads/search", { metadata: mine });
    expect(body.map((thread: { thread_id: string }) => thread.thread_id)).toEqual([made]);
  });

  describe("config and context", () => {
    it("lays the run's configurable over the assistant's, key by key", async () => {
      const id = await assistant({ config: { configurable: { a: 1, b: 1 }, tags: ["x"], recursion_limit: 7 } });
      const got = await seen({ assistant_id: id, config: { configurable: { b: 2, c: 2 }, tags: ["y"] } });
      expect(got.configurable).toMatchObject({ a: 1, b: 2, c: 2 });
      expect(got.tags).toEqual(["x", "y"]);
      expect(got.recursion_limit).toBe(7);
      const over = await seen({ assistant_id: id, config: { recursion_limit: 9 } });
      expect([over.recursion_limit, over.configurable.b]).toEqual([9, 1]);
    });

    it("mirrors the one of configurable and context that was given into the other", async () => {
      expect((await seen({ context: { mood: "good" } })).configurable).toMatchObject({ mood: "good" });
      expect((await seen({ config: { configurable: { mood: "bad" } } })).context).toEqual({ mood: "bad" });
      const none = await seen({});
      expect(none.context).toBeNull();
    });

    it("lays the run's context over the assistant's", async () => {
      const id = await assistant({ context: { a: 1, b: 1 } });
      expect((await seen({ assistant_id: id, context: { b: 2 } })).context).toEqual({ a: 1, b: 2 });
    });

    it("refuses a run whose configurable and context contradict each other", async () => {
      const { runs } = await server.thread();
      const body = { assistant_id: "seen", config: { configurable: { a: 1 } }, context: { a: 2 } };
      const reply = await server.post(`${runs}/wait`, body);
      expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining("context")]);
    });

    it("keeps the graph's own recursion limit when none was sent", async () => {
      expect((await seen({})).recursion_limit).toBe(25);
    });

    it("ends a run that goes past its recursion limit as an error", async () => {
      const { runs, id } = await server.thread();
      const body = { assistant_id: "counter", input: { steps: 50 }, config: { recursion_limit: 5 } };
      expect((await server.post(`${runs}/wait`, body)).body.__error__.error).toBe("GraphRecursionError");
      expect((await server.get(`/threads/${id}`)).body.status).toBe("error");
      const enough = { ...body, config: { recursion_limit: 60 } };
      expect((await server.post(`${(await server.thread()).runs}/wait`, enough)).body.count).toBe(50);
    });
  });

  describe("keys that the server sets in configurable", () => {
    it("win over those of the request", async () => {
      const thread = await server.thread();
      const forged = {
        thread_id: "other",
        run_id: "other",
        graph_id: "other",
        assistant_id: "other",
        user_id: "ada",
        langgraph_request_id: "other",
        langgraph_auth_user: { identity: "root" },
        langgraph_auth_user_id: "root",
        langgraph_auth_permissions: ["*"],
        cron_id: "other",
        __pregel_checkpointer: "other",
        mine: "kept",
      };
      const { configurable } = await seen({ config: { configurable: forged } }, thread.id);
      const [run] = (await server.get(thread.runs)).body;
      expect(configurable).toMatchObject({
        thread_id: thread.id,
        run_id: run.run_id,
        graph_id: "seen",
        assistant_id: run.assistant_id,
        user_id: "ada",
        mine: "kept",
      });
      expect(JSON.stringify(configurable)).not.toMatch(/root|other|"\*"/);
    });

    it("are taken out of assistants and run rows, on write and on read, and user_id is not", async () => {
      const forged = {
        langgraph_auth_user: { identity: "forged" },
        langgraph_auth_user_id: "forged",
        langgraph_auth_permissions: ["forged"],
        langgraph_request_id: "forged",
        __pregel_checkpointer: "forged",
      };
      const place = { thread_id: "forged", run_id: "forged", graph_id: "forged" };
      const mine = { user_id: "ada", mine: 1 };
      const asConfig = { config: { configurable: { ...forged, ...place, ...mine } } };
      const withFork = { config: { configurable: { ...asConfig.config.configurable, checkpoint_id: "forged" } } };
      for (const given of [withFork, { context: { ...forged, ...mine } }]) {
        const { body: made } = await server.post("/assistants", { graph_id: "seen", ...given });
        const path = `/assistants/${made.assistant_id}`;
        const patched = await server.call("PATCH", path, { body: given });
        const versions = await server.post(`${path}/versions`, {});
        for (const row of [made, patched.body, (await server.get(path)).body, ...versions.body]) {
          expect([row.config, row.context]).toEqual([{ configurable: mine }, mine]);
        }
        const { runs } = await server.thread();
        const { body: run } = await server.post(runs, { assistant_id: made.assistant_id, input: {}, ...asConfig });
        await server.reached(run, "success");
        for (const row of [run, (await server.get(runs)).body[0]]) {
          expect(row.kwargs.config.configurable).toMatchObject({ ...mine, run_id: run.run_id, graph_id: "seen" });
          expect(JSON.stringify(row)).not.toContain("forged");
        }
      }
      // What an older release stored is not shown either.
      const old = await server.storage.assistants.insert(ANONYMOUS, {
        assistant_id: crypto.randomUUID(),
        graph_id: "seen",
        name: "old",
        description: null,
        config: { configurable: { ...forged, ...mine } },
        context: {},
        metadata: { old: true },
      });
      expect(old).toBeTruthy();
      const { body } = await server.post("/assistants/search", { metadata: { old: true } });
      expect(body.map(({ config, context }: Record<string, unknown>) => [config, context])).toEqual([
        [{ configurable: mine }, mine],
      ]);
    });

    it("hold the request's id, which the answer carries too", async () => {
      const { runs } = await server.thread();
      const reply = await server.call("POST", `${runs}/wait`, {
        body: { assistant_id: "seen", input: {} },
        headers: { "X-Request-ID": "request-77" },
      });
      expect(reply.headers.get("x-request-id")).toBe("request-77");
      expect(reply.body.configurable.langgraph_request_id).toBe("request-77");
    });

    it("are told to the graph as metadata", async () => {
      const thread = await server.thread();
      const { metadata } = await seen({}, thread.id);
      expect(metadata).toMatchObject({ run_attempt: 1, thread_id: thread.id, graph_id: "seen" });
      for (const key of ["langgraph_version", "langgraph_host", "langgraph_plan"]) {
        expect(metadata[key]).toBeString();
      }
    });

    it("carry the tracer's project and example", async () => {
      const tracer = { project_name: "p", example_id: "e" };
      const { configurable } = await seen({ langsmith_tracer: tracer });
      expect(configurable).toMatchObject({ langsmith_project: "p", langsmith_example_id: "e" });
    });
  });

  describe("metadata", () => {
    it("is assistant below thread below config below run, the server's keys above all", async () => {
      const id = await assistant({ metadata: { a: "assistant", t: "assistant", c: "assistant", r: "assistant" } });
      const thread = await server.thread({ metadata: { t: "thread", c: "thread", r: "thread" } });
      const { body: run } = await server.post(thread.runs, {
        assistant_id: id,
        config: { metadata: { c: "config", r: "config" } },
        metadata: { r: "run", assistant_id: "forged" },
      });
      expect(run.metadata).toMatchObject({ a: "assistant", t: "thread", c: "config", r: "run", assistant_id: id });
      expect(run.metadata.created_by).toBeUndefined();
      expect((await server.run(run)).metadata).toEqual(run.metadata);
    });

    it("reaches the graph", async () => {
      expect((await seen({ metadata: { ticket: "T-1" } })).metadata.ticket).toBe("T-1");
    });

    it("names graph and assistant on the thread from its first run on", async () => {
      const thread = await server.thread({ metadata: { mine: 1 } });
      await server.post(thread.runs, { assistant_id: "seen" });
      const { metadata } = (await server.get(`/threads/${thread.id}`)).body;
      expect(metadata).toMatchObject({ mine: 1, graph_id: "seen", assistant_id: expect.any(String) });
    });
  });

  describe("secrets", () => {
    const configurable = {
      openai_api_key: SECRET,
      apiKeys: { OPENAI_API_KEY: SECRET },
      openaiApiKey: SECRET,
      "x-supabase-access-token": SECRET,
      servers: [{ url: "u", authorization: SECRET, max_tokens: 5 }],
      model: "m",
    };

    it("never come back in kwargs, under configurable or its mirror, context", async () => {
      const thread = await server.thread();
      const created = await server.post(thread.runs, {
        assistant_id: "counter",
        input: { steps: 1 },
        config: { configurable },
      });
      const { config, context, input } = created.body.kwargs;
      const shown = { servers: [{ url: "u", max_tokens: 5 }], model: "m" };
      expect(config.configurable).toMatchObject(shown);
      expect(context).toMatchObject(shown);
      expect(input).toEqual({ steps: 1 });
      const listed = await server.get(thread.runs);
      const got = await server.get(`${thread.runs}/${created.body.run_id}`);
      for (const reply of [created, listed, got]) expect(reply.text).not.toContain(SECRET);
    });

    it("never show in any event, nor in the state and its history", async () => {
      const thread = await server.thread();
      const stream_mode = ["values", "updates", "messages-tuple", "debug", "checkpoints", "tasks", "custom", "tools"];
      const body = {
        input: { messages: [{ role: "user", content: "hi" }], n: 2 },
        config: { configurable },
        stream_mode,
      };
      const events = await server.stream(thread.runs, { assistant_id: "tokens", ...body });
      expect(dataOf(events, "checkpoints").length).toBeGreaterThan(0);
      expect(JSON.stringify(events)).not.toContain(SECRET);
      for (const path of ["state", "history?limit=100", ""]) {
        expect((await server.get(`/threads/${thread.id}/${path}`)).text).not.toContain(SECRET);
      }
    });

    it("reach the graph", async () => {
      expect((await seen({ config: { configurable } })).configurable.openai_api_key).toBe(SECRET);
    });
  });

  describe("checkpoint", () => {
    it.each([
      ["checkpoint_id", { checkpoint_id: "1ef00000-0000-6000-8000-000000000000" }],
      ["checkpoint", { checkpoint: { checkpoint_id: "1ef00000-0000-6000-8000-000000000000" } }],
      ["one that is no id at all", { checkpoint_id: "yesterday" }],
    ])("that is not there fails the run, and the thread keeps its state: %s", async (_, fork) => {
      const { id, runs } = await server.thread();
      const wait = (more: object) => server.post(`${runs}/wait`, { assistant_id: "counter", input: {}, ...more });
      const { body: before } = await wait({ input: { steps: 3 } });
      const message = expect.stringMatching(/^Checkpoint \S+ not found on thread /);
      expect((await wait(fork)).body.__error__).toMatchObject({ message });
      expect((await server.get(`/threads/${id}`)).body.values).toEqual(before);
      expect((await server.get(`/threads/${id}/state`)).body.values).toEqual(before);
    });
  });

  it("ignores unknown fields and feedback_keys, and takes null for absent", async () => {
    const got = await seen({
      no_such_field: { deep: [1] },
      feedback_keys: ["thumbs"],
      config: null,
      context: null,
      metadata: null,
      command: null,
      checkpoint: null,
      checkpoint_id: null,
      stream_mode: null,
      webhook: null,
      interrupt_before: null,
      multitask_strategy: null,
      durability: null,
      after_seconds: null,
      strict_resume: null,
    });
    expect(got.metadata.run_attempt).toBe(1);
    expect(got.__feedback__).toBeUndefined();
  });
});
