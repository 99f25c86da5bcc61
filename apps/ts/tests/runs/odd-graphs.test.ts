import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { RunServer, until } from "./server.ts";
import { dataOf } from "./sse-client.ts";

describe("graphs that do odd things", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Runs it on a thread and without one, waited for and streamed; the thread is free again after each. */
  async function run(what: string, graph = "odd", config: object = {}) {
    const thread = await server.thread();
    const body = { assistant_id: graph, input: { what }, config, stream_mode: ["values", "updates", "custom"] };
    const waited = await server.post(`${thread.runs}/wait`, body);
    const events = await server.stream(thread.runs, body);
    const stateless = await server.post("/runs/wait", body);
    await server.stream("/runs", body);
    expect((await server.get(`/threads/${thread.id}`)).body.status).not.toBe("busy");
    expect(await server.storage.runs.counts()).toMatchObject({ pending: 0, running: 0 });
    const { status } = (await server.get(thread.runs)).body[0];
    return { waited: waited.body, events, stateless: stateless.body, status };
  }

  const failed = (result: Awaited<ReturnType<typeof run>>) => {
    expect(result.status).toBe("error");
    const { __error__: error } = result.waited;
    expect(result.events.at(-1)).toMatchObject({ event: "error", data: error });
    expect(result.events.filter(({ event }) => event === "end")).toEqual([]);
    return error;
  };

  describe("values that JSON does not know", () => {
    it("leaves out functions and symbols", async () => {
      for (const what of ["function", "symbol"]) {
        const { waited, status } = await run(what);
        expect([waited.result, status]).toEqual([{ kept: 1 }, "success"]);
      }
    });

    it("writes maps, sets and dates", async () => {
      expect((await run("map")).waited.result).toEqual({ a: [1, 2] });
      expect((await run("date")).waited.result).toBe("1970-01-01T00:00:00.000Z");
    });

    it("cuts a cycle where it would begin again: a cyclic state held its thread for ever", async () => {
      const ring = { name: "ring", self: "[Circular]" };
      const { waited, stateless, events, status } = await run("cycle");
      expect([waited.result, stateless.result, status]).toEqual([ring, ring, "success"]);
      expect(dataOf(events, "updates")).toEqual([{ work: { result: ring } }]);
      expect(dataOf((await run("write:cycle")).events, "custom")).toEqual([ring]);
    });

    it("writes a bigint as text, and fails the run that wants to store one", async () => {
      const result = await run("bigint");
      expect(result.stateless.result).toBe("12345678901234567890");
      expect(failed(result).message).toContain("BigInt");
      expect(dataOf((await run("write:bigint")).events, "custom")).toEqual(["12345678901234567890"]);
    });

    it("fails a run that returns nothing but a function or a symbol, and its thread goes on: its state could not be read again", async () => {
      for (const what of ["onlyFunction", "onlySymbol"]) {
        const thread = await server.thread();
        const runOf = (what: string) => server.post(`${thread.runs}/wait`, { assistant_id: "odd", input: { what } });
        const { __error__: error } = (await runOf(what)).body;
        expect(error.message).toBe(
          'The value of channel "result" cannot be stored: it is a function, a symbol or the like',
        );
        expect((await server.get(`/threads/${thread.id}`)).body.status).toBe("error");
        const state = await server.get(`/threads/${thread.id}/state`);
        expect([state.status, state.body.values]).toEqual([200, { what }]);
        expect((await runOf("date")).body.result).toBe("1970-01-01T00:00:00.000Z");
        expect((await server.get(`/threads/${thread.id}/state`)).body.values.what).toBe("date");
      }
    });

    it("fails a run whose values refuse to be written: it held its thread for ever", async () => {
      const result = await run("unwritable");
      failed(result);
      expect(result.stateless.__error__.message).toBe("this value cannot be written as JSON");
      expect((await run("write:unwritable")).events.at(-1)).toMatchObject({ event: "error" });
    });

    it("keeps NUL on the wire and out of the values that others search", async () => {
      const thread = await server.thread();
      const body = await server.post(`${thread.runs}/wait`, { assistant_id: "odd", input: { what: "nul" } });
      expect(body.body.result).toBe("a\u0000b");
      expect((await server.get(`/threads/${thread.id}`)).body.values.result).toBe("a\ufffdb");
    });

    it("carries 20 MB in one value, on every way out", async () => {
      const thread = await server.thread();
      const body = { assistant_id: "odd", input: { what: "huge" } };
      const events = await server.stream(thread.runs, body);
      const length = 20 * 1024 * 1024;
      expect(dataOf(events, "values").at(-1).result).toHaveLength(length);
      const [run] = (await server.get(thread.runs)).body;
      const joined = await server.join(run, { from: "-1" });
      expect(joined.map(({ event, id }) => [event, id])).toEqual(events.map(({ event, id }) => [event, id]));
      expect((await server.get(`${thread.runs}/${run.run_id}/join`)).body.result).toHaveLength(length);
      expect((await server.get(`/threads/${thread.id}/state`)).body.values.result).toHaveLength(length);
    });
  });

  describe("things that are thrown", () => {
    it("become an error with a name and a message, whatever they are", async () => {
      const told = async (key: string) => failed(await run(`throw:${key}`));
      expect(await told("nameless")).toEqual({ error: "Error", message: "no name" });
      expect(await told("object")).toEqual({ error: "Error", message: '{"code":7}' });
      expect(await told("odd")).toEqual({ error: "Error", message: '{"name":5,"message":{"deep":true}}' });
      expect(await told("bare")).toEqual({ error: "Error", message: "{}" });
      // Also what langgraph cannot mark.
      expect(await told("string")).toEqual({ error: "Error", message: "just text" });
      expect(await told("number")).toEqual({ error: "Error", message: "42" });
      for (const key of ["null", "undefined"]) {
        expect(await told(key)).toEqual({ error: "Error", message: `The graph threw ${key}` });
      }
    });

    it("have no NUL in their texts, wherever they are read", async () => {
      const told = { error: "N\ufffd", message: "a\ufffdb" };
      const thread = await server.thread();
      const body = { assistant_id: "odd", input: { what: "throw:nul" } };
      expect((await server.post(`${thread.runs}/wait`, body)).body).toEqual({ __error__: told });
      const [run] = (await server.get(thread.runs)).body;
      expect((await server.get(`${thread.runs}/${run.run_id}/join`)).body).toEqual({ __error__: told });
      expect((await server.get(`/threads/${thread.id}`)).body.error).toEqual(told);
      const events = await server.stream(thread.runs, body);
      expect(events.at(-1)).toMatchObject({ event: "error", data: told });
    });

    it("are told in full and logged in part, in no time, however long they are: the server stood still", async () => {
      const thread = await server.thread();
      server.log.length = 0;
      const started = performance.now();
      const { body } = await server.post(`${thread.runs}/wait`, { assistant_id: "odd", input: { what: "throw:long" } });
      expect(performance.now() - started).toBeLessThan(5_000);
      expect(body.__error__.message).toHaveLength(300_000);
      expect(server.log.join("").length).toBeLessThan(100_000);
      expect(server.log.join("")).toContain("more characters]");
    });

    it("is not done again: the thread shows the error, the next run clears it", async () => {
      const thread = await server.thread();
      const fails = { assistant_id: "failing", input: { reason: "no money" } };
      const { body } = await server.post(`${thread.runs}/wait`, fails);
      expect(body).toEqual({ __error__: { error: "PaymentDeclined", message: "no money" } });
      const shown = (await server.get(`/threads/${thread.id}`)).body;
      expect(shown).toMatchObject({
        status: "error",
        error: { error: "PaymentDeclined", message: "no money" },
        values: { prepared: true },
      });
      const runs = (await server.get(thread.runs)).body;
      expect(runs).toHaveLength(1);
      await server.post(`${thread.runs}/wait`, { assistant_id: "breakpoints", input: {} });
      expect((await server.get(`/threads/${thread.id}`)).body).toMatchObject({ status: "idle", error: null });
    });
  });

  describe("factories", () => {
    it("that fail are the failure of their run", async () => {
      const told = async (fail: string) => failed(await run("date", "factory", { configurable: { fail } }));
      expect(await told("throw")).toEqual({ error: "TypeError", message: "the factory is out of order" });
      expect(await told("string")).toEqual({ error: "Error", message: "no graph today" });
      expect((await told("nothing")).message).toBeString();
      expect((await run("date", "factory")).status).toBe("success");
    });

    it("that fail leave the state of a thread in sight, also where every assistant has its own", async () => {
      const thread = await server.thread();
      const wait = (more: object) =>
        server.post(`${thread.runs}/wait`, { assistant_id: "factory_apart", input: { what: "date" }, ...more });
      const seen = async () => ({
        values: (await server.get(`/threads/${thread.id}`)).body.values,
        state: (await server.get(`/threads/${thread.id}/state`)).body.values,
      });
      expect((await wait({})).body).not.toHaveProperty("__error__");
      const before = await seen();
      expect(before.state).toHaveProperty("result");
      expect((await wait({ config: { configurable: { fail: "throw" } } })).body).toHaveProperty("__error__");
      expect(await seen()).toEqual(before);
    });
  });
});

describe("items that graphs put into the store", () => {
  let server: RunServer;
  beforeAll(async () => {
    const storeTtl = { minutes: 0.02, refreshOnRead: true };
    server = await RunServer.start({}, undefined, { config: { storeTtl } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const put = async (key: string) =>
    (await server.post("/runs/wait", { assistant_id: "odd", input: { what: `put:${key}` } })).body;

  it("live as long as the project says: they lived for ever", async () => {
    expect(await put("plain")).not.toHaveProperty("__error__");
    await until(async () => (await server.get("/store/items?namespace=odd&key=k&refresh_ttl=false")).body === null);
  });

  it("fail their run with a reason when their key cannot be stored", async () => {
    const told = async (key: string) => (await put(key)).__error__.message;
    expect(await told("nul")).toBe("The key of an item cannot contain NUL");
    expect(await told("long")).toBe("The key of an item has 1025 bytes, the most is 1024");
  });
});

describe("the shipped agent", () => {
  let server: RunServer;
  beforeAll(async () => {
    server = await RunServer.start({ NODE_ENV: "production" }, "shipped");
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const input = { messages: [{ role: "user", content: "hi" }] };

  async function refusal(configurable: object) {
    const thread = await server.thread();
    const body = { assistant_id: "agent", input, config: { configurable } };
    const waited = (await server.post(`${thread.runs}/wait`, body)).body.__error__;
    expect((await server.stream(thread.runs, body)).at(-1)).toMatchObject({ event: "error", data: waited });
    const [run] = (await server.get(thread.runs)).body;
    expect(run.status).toBe("error");
    expect((await server.get(`/threads/${thread.id}`)).body).toMatchObject({ status: "error", error: waited });
    return waited;
  }

  it("ends a run that its configuration or the installation does not allow as an error that says why", async () => {
    const unavailable = await refusal({});
    expect(unavailable.error).toBe("GraphConfigError");
    expect(unavailable.message).toContain("MODEL_NAME");
    const invalid = await refusal({ model_name: "fake:nonsense" });
    expect(invalid).toEqual({ error: "GraphConfigError", message: expect.stringContaining("nonsense") });
    expect((await refusal({ temperature: "hot" })).error).toBe("GraphConfigError");
  });
});
