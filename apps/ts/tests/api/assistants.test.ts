import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { type AssistantSeeds, SystemAssistants } from "#core/assistants/system";
import type { GraphRegistry } from "#core/graphs/registry";
import { Api } from "./api.ts";

const AGENT = "fe096781-5601-53d2-b2f6-0d3403f7e9ca";
const NOBODY = "11111111-1111-4111-8111-111111111111";

describe("Assistants", () => {
  let api: Api;
  beforeAll(async () => {
    const seeds = { agent: { recursion_limit: 7, context: { team: "blue" } } };
    api = await Api.start({ LANGGRAPH_CONFIG: JSON.stringify(seeds) });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const create = async (fields: object = {}) => (await api.post("/assistants", { graph_id: "agent", ...fields })).body;

  describe("of the server itself", () => {
    it("has one assistant per graph, with the well-known id, seeded from the configuration", async () => {
      const { status, body } = await api.get(`/assistants/${AGENT}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({
        assistant_id: AGENT,
        graph_id: "agent",
        name: "agent",
        description: expect.stringContaining("assistant"),
        metadata: { created_by: "system" },
        config: { recursion_limit: 7 },
        context: { team: "blue" },
        version: 1,
      });
      expect((await api.post("/assistants/search", { metadata: { created_by: "system" } })).body).toEqual([body]);
    });

    it("gets a new version at the next start only when its seed has changed", async () => {
      await using other = await Api.start();
      const graphs = { list: () => [{ id: "agent" }], systemAssistantId: () => AGENT } as unknown as GraphRegistry;
      const start = async (seeds: AssistantSeeds) => {
        const system = new SystemAssistants({ assistants: other.storage.assistants, graphs, seeds });
        await system.install();
        return system.find(AGENT);
      };
      expect(await start({})).toMatchObject({ version: 1, config: {} });
      expect(await start({ agent: { config: { tags: ["a"] } } })).toMatchObject({
        version: 2,
        config: { tags: ["a"] },
      });
      expect(await start({ agent: { config: { tags: ["a"] } } })).toMatchObject({ version: 2 });
      expect(await start({})).toMatchObject({ version: 2, config: { tags: ["a"] } });
    });

    it("answers to the graph's id and to any spelling of its own", async () => {
      const { body } = await api.get(`/assistants/${AGENT}`);
      expect((await api.get("/assistants/agent")).body).toEqual(body);
      expect((await api.get(`/assistants/${AGENT.toUpperCase()}`)).body).toEqual(body);
    });

    it("cannot be changed or deleted by a client", async () => {
      for (const reply of [
        await api.call("PATCH", "/assistants/agent", { body: { name: "mine" } }),
        await api.call("DELETE", `/assistants/${AGENT}`),
        await api.post("/assistants/agent/latest", { version: 1 }),
      ]) {
        expect(reply.status).toBe(403);
        expect(reply.body.detail).toContain("cannot be changed");
      }
      expect((await api.get("/assistants/agent")).body.name).toBe("agent");
    });
  });

  describe("created by clients", () => {
    it("gets defaults, and loses reserved metadata silently", async () => {
      const { status, body } = await api.post("/assistants", {
        graph_id: "agent",
        metadata: { created_by: "system", graph_id: "x", mine: 1 },
        unknown_field: true,
        name: null,
      });
      expect(status).toBe(200);
      expect(body).toMatchObject({ name: "Untitled", description: null, version: 1, metadata: { mine: 1 } });
      expect(body.metadata).toEqual({ mine: 1 });
      expect(body.config).toEqual({});
      expect(body.context).toEqual({});
    });

    it("refuses an unknown graph, a taken id and two different contexts", async () => {
      const unknown = await api.post("/assistants", { graph_id: "nope" });
      expect([unknown.status, unknown.body.detail]).toEqual([404, 'Graph "nope" not found. Graphs here: agent']);
      const { assistant_id } = await create();
      const taken = await api.post("/assistants", { graph_id: "agent", assistant_id });
      expect([taken.status, taken.body.detail]).toEqual([409, `Assistant ${assistant_id} already exists`]);
      const context = { config: { configurable: { a: 1 } }, context: { a: 2 } };
      expect((await api.post("/assistants", { graph_id: "agent", ...context })).status).toBe(400);
      const same = { config: { configurable: { a: 1 } }, context: { a: 1 } };
      expect((await api.post("/assistants", { graph_id: "agent", ...same })).status).toBe(200);
    });

    it("gives back what exists under if_exists=do_nothing", async () => {
      const first = await create({ name: "first" });
      const again = await create({ assistant_id: first.assistant_id, name: "second", if_exists: "do_nothing" });
      expect(again).toEqual(first);
    });

    it("answers 404 in the words that clients look for", async () => {
      for (const id of [NOBODY, "no-such-graph"]) {
        const { status, body } = await api.get(`/assistants/${id}`);
        expect(status).toBe(404);
        expect(body.detail).toBe(
          `No assistant found for "${id}". Make sure the assistant ID is for a valid assistant or a valid graph ID.`,
        );
      }
    });
  });

  describe("versions", () => {
    it("makes a new version of every change and restores all of an older one", async () => {
      const { assistant_id: id } = await create({ name: "one", context: { a: 1 }, metadata: { keep: 1 } });
      const patched = await api.call("PATCH", `/assistants/${id}`, {
        body: { name: "two", context: { b: 2 }, metadata: { more: 2 }, description: "changed" },
      });
      expect(patched.body).toMatchObject({
        version: 2,
        name: "two",
        context: { b: 2 },
        metadata: { keep: 1, more: 2 },
        description: "changed",
      });
      const versions = (await api.post(`/assistants/${id}/versions`)).body;
      expect(versions.map((one: { version: number; name: string }) => [one.version, one.name])).toEqual([
        [2, "two"],
        [1, "one"],
      ]);
      const restored = (await api.post(`/assistants/${id}/latest`, { version: 1 })).body;
      expect(restored).toMatchObject({ version: 1, name: "one", context: { a: 1 }, description: null });
      expect((await api.get(`/assistants/${id}`)).body).toEqual(restored);
      expect((await api.call("POST", `/assistants/${id}/latest?version=2`)).body).toMatchObject({ version: 2 });
    });

    it("says which version is missing, and that one must be named", async () => {
      const { assistant_id: id } = await create();
      const missing = await api.post(`/assistants/${id}/latest`, { version: 9 });
      expect([missing.status, missing.body.detail]).toEqual([404, `Assistant ${id} has no version 9`]);
      expect((await api.post(`/assistants/${id}/latest`)).status).toBe(422);
      expect((await api.post(`/assistants/${NOBODY}/versions`)).status).toBe(404);
    });
  });

  describe("search and count", () => {
    it("filters, sorts, selects, and pages with the headers that clients read", async () => {
      for (const name of ["Alpha bird", "beta BIRD", "gamma bird"])
        await create({ name, metadata: { kind: { is: name } } });
      const query = { name: "bird", sort_by: "name", sort_order: "asc", select: ["name", "version"] };
      const first = await api.post("/assistants/search", { ...query, limit: 2 });
      expect(first.body).toEqual([
        { name: "Alpha bird", version: 1 },
        { name: "beta BIRD", version: 1 },
      ]);
      expect(first.headers.get("X-Pagination-Next")).toBe("2");
      expect(first.headers.get("X-Pagination-Total")).toBe("3");
      const last = await api.post("/assistants/search", { ...query, limit: 2, offset: 2 });
      expect(last.body).toEqual([{ name: "gamma bird", version: 1 }]);
      expect([last.headers.get("X-Pagination-Next"), last.headers.get("X-Pagination-Total")]).toEqual([null, "3"]);
      expect((await api.post("/assistants/count", { name: "BIRD" })).body).toBe(3);
      expect((await api.post("/assistants/count", { metadata: { kind: { is: "beta BIRD" } } })).body).toBe(1);
      expect((await api.post("/assistants/count", { graph_id: "other" })).body).toBe(0);
    });

    it.each([
      [{ limit: 0 }, "limit"],
      [{ limit: 1001 }, "limit"],
      [{ offset: -1 }, "offset"],
      [{ select: ["secret"] }, "select[0]"],
      [{ sort_by: "mood" }, "sort_by"],
      [{ metadata: [1] }, "metadata"],
    ])("refuses %j naming the field", async (query, field) => {
      const { status, body } = await api.post("/assistants/search", query);
      expect([status, body.detail.startsWith(`${field}: `)]).toEqual([422, true]);
    });
  });

  it("deletes an assistant, and its threads only when asked to", async () => {
    const { assistant_id: id } = await create();
    const kept = (await api.post("/threads", { metadata: { assistant_id: id } })).body.thread_id;
    const gone = await api.call("DELETE", `/assistants/${id}`);
    expect([gone.status, gone.text]).toEqual([204, ""]);
    expect((await api.get(`/assistants/${id}`)).status).toBe(404);
    expect((await api.get(`/threads/${kept}`)).status).toBe(200);
    const other = (await create()).assistant_id;
    const thread = (await api.post("/threads", { metadata: { assistant_id: other } })).body.thread_id;
    expect((await api.call("DELETE", `/assistants/${other}?delete_threads=true`)).status).toBe(204);
    expect((await api.get(`/threads/${thread}`)).status).toBe(404);
  });

  it("mirrors context and config.configurable into each other, whichever was written last", async () => {
    const { body: made } = await api.post("/assistants", { graph_id: "agent", context: { k: 1 } });
    const path = `/assistants/${made.assistant_id}`;
    const both = ({ config, context }: { config: object; context: object }) => [config, context];
    expect(both(made)).toEqual([{ configurable: { k: 1 } }, { k: 1 }]);
    const steps: [patch: object, config: object, context: object][] = [
      [{ config: { tags: ["x"] } }, { tags: ["x"], configurable: { k: 1 } }, { k: 1 }],
      [{ config: { configurable: { q: 2 } } }, { configurable: { q: 2 } }, { q: 2 }],
      [{ name: "another" }, { configurable: { q: 2 } }, { q: 2 }],
      [{ context: { w: 3 } }, { configurable: { w: 3 } }, { w: 3 }],
      [{ config: { configurable: { a: 1 } }, context: { a: 1 } }, { configurable: { a: 1 } }, { a: 1 }],
      [{ context: {} }, { configurable: {} }, {}],
    ];
    for (const [patch, config, context] of steps) {
      const { body } = await api.call("PATCH", path, { body: patch });
      expect([patch, ...both(body)]).toEqual([patch, config, context]);
      expect(both((await api.get(path)).body)).toEqual([config, context]);
    }
    const contradiction = { config: { configurable: { a: 1 } }, context: { a: 2 } };
    expect((await api.call("PATCH", path, { body: contradiction })).status).toBe(400);
  });

  it("shows the graph, its schemas and its subgraphs", async () => {
    const drawing = (await api.get("/assistants/agent/graph?xray=1")).body;
    expect(drawing.nodes.length).toBeGreaterThan(1);
    expect(drawing.edges.length).toBeGreaterThan(0);
    const schemas = (await api.get(`/assistants/${AGENT}/schemas`)).body;
    expect(schemas.graph_id).toBe("agent");
    expect(schemas.input_schema.properties.messages).toBeDefined();
    expect(schemas.config_schema.properties.model_name).toBeDefined();
    expect((await api.get("/assistants/agent/subgraphs?recurse=true")).body).toEqual({});
    expect((await api.get("/assistants/agent/subgraphs/nope%7Cdeeper")).body).toEqual({});
    expect((await api.get("/assistants/agent/graph?xray=maybe")).body.detail).toBe(
      "xray: must be true, false or a depth",
    );
    expect((await api.get(`/assistants/${NOBODY}/schemas`)).status).toBe(404);
  });
});
