import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { Api } from "./api.ts";

const NOBODY = "11111111-1111-4111-8111-111111111111";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

describe("Threads", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const create = async (fields: object = {}) => (await api.post("/threads", fields)).body;
  /** A thread with one message in its state, written by two supersteps. */
  const withState = (text = "hello") =>
    create({
      metadata: { graph_id: "agent" },
      supersteps: [
        { updates: [{ values: { messages: [{ type: "human", content: text, id: "h1" }] }, as_node: "__start__" }] },
        { updates: [{ values: { messages: [{ type: "ai", content: "hi", id: "a1" }] }, as_node: "model_request" }] },
      ],
    });

  describe("create", () => {
    it("makes an idle thread without values", async () => {
      const thread = await create({ metadata: { a: 1 } });
      expect(thread).toMatchObject({ status: "idle", values: null, metadata: { a: 1 }, interrupts: {}, config: {} });
      expect(thread.thread_id).toMatch(UUID);
      expect(thread.ttl).toBeUndefined();
    });

    it("takes the client's id in any spelling and refuses it twice, unless told to do nothing", async () => {
      const id = crypto.randomUUID();
      expect((await create({ thread_id: id.toUpperCase() })).thread_id).toBe(id);
      const again = await api.post("/threads", { thread_id: id });
      expect([again.status, again.body.detail]).toEqual([409, `Thread ${id} already exists`]);
      const same = await create({ thread_id: id, if_exists: "do_nothing", metadata: { other: 1 } });
      expect([same.thread_id, same.metadata]).toEqual([id, {}]);
    });

    it("replays supersteps into a state", async () => {
      const thread = await withState();
      expect(thread.values.messages.map((message: { content: string }) => message.content)).toEqual(["hello", "hi"]);
      const history = (await api.post(`/threads/${thread.thread_id}/history`, { limit: 10 })).body;
      expect(history.length).toBe(2);
    });

    it("leaves no thread behind when a superstep fails", async () => {
      const id = crypto.randomUUID();
      const updates = [{ values: { messages: [] }, as_node: "no_such_node" }];
      const body = { thread_id: id, metadata: { graph_id: "agent" }, supersteps: [{ updates }] };
      const failed = await api.post("/threads", body);
      expect(failed.status).toBeGreaterThanOrEqual(400);
      expect(failed.status).toBeLessThan(500);
      expect((await api.get(`/threads/${id}`)).status).toBe(404);
    });

    it("refuses supersteps without a graph", async () => {
      const { status, body } = await api.post("/threads", { supersteps: [{ updates: [{ as_node: "x" }] }] });
      expect([status, body.detail]).toEqual([400, "supersteps need metadata.graph_id, to know whose state they write"]);
    });

    it("takes a time to live as minutes or with a strategy, and shows it only where asked", async () => {
      const { thread_id } = await create({ ttl: 5 });
      const { ttl } = (await api.get(`/threads/${thread_id}?include=ttl`)).body;
      expect(ttl).toMatchObject({ strategy: "delete", ttl_minutes: 5 });
      expect(new Date(ttl.expires_at).getTime()).toBeGreaterThan(Date.now() + 4 * 60_000);
      expect((await api.get(`/threads/${thread_id}`)).body.ttl).toBeUndefined();
      const other = await create({ ttl: { strategy: "keep_latest", ttl: 1.5 } });
      expect((await api.get(`/threads/${other.thread_id}?include=ttl`)).body.ttl.strategy).toBe("keep_latest");
      for (const wrong of [0, -1, "5", { ttl: "x" }, { strategy: "burn", ttl: 1 }, 1e12]) {
        expect((await api.post("/threads", { ttl: wrong })).status).toBe(422);
      }
    });
  });

  describe("get, patch, delete", () => {
    it("refuses what is no UUID and does not find what is not there", async () => {
      const bad = await api.get("/threads/nope");
      expect([bad.status, bad.body.detail]).toEqual([422, "thread_id: must be a UUID"]);
      expect((await api.get(`/threads/${NOBODY}`)).body).toEqual({ detail: `Thread ${NOBODY} not found` });
      expect((await api.call("PATCH", `/threads/${NOBODY}`, { body: {} })).status).toBe(404);
      expect((await api.call("DELETE", `/threads/${NOBODY}`)).status).toBe(404);
      expect((await api.get(`/threads/${NOBODY}?include=everything`)).status).toBe(404);
    });

    it("merges metadata, and answers nothing when the client prefers so", async () => {
      const { thread_id } = await create({ metadata: { a: 1, b: { c: 1 } } });
      const patched = await api.call("PATCH", `/threads/${thread_id}`, { body: { metadata: { b: { d: 2 } }, ttl: 9 } });
      expect([patched.status, patched.body.metadata]).toEqual([200, { a: 1, b: { d: 2 } }]);
      expect((await api.get(`/threads/${thread_id}?include=ttl`)).body.ttl.ttl_minutes).toBe(9);
      const quiet = await api.call("PATCH", `/threads/${thread_id}`, {
        body: { metadata: { e: 3 } },
        headers: { Prefer: "return=minimal" },
      });
      expect([quiet.status, quiet.text]).toEqual([204, ""]);
      expect((await api.get(`/threads/${thread_id}`)).body.metadata.e).toBe(3);
    });

    it("deletes a thread with its state, also while a run is on it", async () => {
      const { thread_id } = await withState();
      const run = { assistant_id: "agent", input: { messages: [{ role: "user", content: "Calculate 2 + 2" }] } };
      expect((await api.post(`/threads/${thread_id}/runs`, run)).status).toBe(200);
      const gone = await api.call("DELETE", `/threads/${thread_id}`);
      expect([gone.status, gone.text]).toEqual([204, ""]);
      expect((await api.get(`/threads/${thread_id}`)).status).toBe(404);
      expect((await api.get(`/threads/${thread_id}/state`)).status).toBe(404);
    });
  });

  describe("search, count, prune", () => {
    it("filters by metadata, values, status and ids, and pages", async () => {
      const ids: string[] = [];
      for (const n of [1, 2, 3])
        ids.push((await create({ metadata: { batch: "s", n, tags: ["x", `t${n}`] } })).thread_id);
      const query = { metadata: { batch: "s" }, limit: 2, select: ["thread_id"] };
      const first = await api.post("/threads/search", query);
      expect(first.body).toEqual([{ thread_id: ids[2] }, { thread_id: ids[1] }]);
      expect([first.headers.get("X-Pagination-Next"), first.headers.get("X-Pagination-Total")]).toEqual(["2", "3"]);
      const rest = await api.post("/threads/search", { ...query, offset: 2 });
      expect(rest.body).toEqual([{ thread_id: ids[0] }]);
      expect([rest.headers.get("X-Pagination-Next"), rest.headers.get("X-Pagination-Total")]).toEqual([null, "3"]);
      expect((await api.post("/threads/count", { metadata: { tags: ["t2"] } })).body).toBe(1);
      expect((await api.post("/threads/count", { metadata: { batch: "s" }, status: "idle" })).body).toBe(3);
      expect((await api.post("/threads/count", { metadata: { batch: "s" }, status: "error" })).body).toBe(0);
      const some = await api.post("/threads/search", { ids: [ids[0]?.toUpperCase(), NOBODY], select: ["thread_id"] });
      expect(some.body).toEqual([{ thread_id: ids[0] }]);
    });

    it("extracts paths out of each thread", async () => {
      const { thread_id } = await withState("find me");
      const { status, body } = await api.post("/threads/search", {
        ids: [thread_id],
        select: ["thread_id"],
        extract: {
          last: "values.messages[-1].content",
          graph: "metadata.graph_id",
          none: "values.a.b[3]",
          odd: "values.constructor",
        },
      });
      expect(status).toBe(200);
      expect(body).toEqual([{ thread_id, extracted: { last: "hi", graph: "agent", none: null, odd: null } }]);
    });

    it("refuses more than ten paths and paths that lead nowhere", async () => {
      const many = Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`p${n}`, "values.a"]));
      for (const extract of [many, { a: "status" }, { a: "values..x" }, { a: "values[x]" }, { a: 1 }]) {
        expect((await api.post("/threads/search", { extract })).status).toBe(422);
      }
    });

    it("prunes what is there and passes over the rest", async () => {
      const { thread_id } = await create();
      const kept = await withState();
      expect((await api.post("/threads/prune", { thread_ids: [] })).body).toEqual({ pruned_count: 0 });
      const { body } = await api.post("/threads/prune", { thread_ids: [thread_id, thread_id, NOBODY] });
      expect(body).toEqual({ pruned_count: 1 });
      expect((await api.get(`/threads/${thread_id}`)).status).toBe(404);
      const latest = { thread_ids: [kept.thread_id], strategy: "keep_latest" };
      expect((await api.post("/threads/prune", latest)).body).toEqual({ pruned_count: 1 });
      expect((await api.post(`/threads/${kept.thread_id}/history`, { limit: 10 })).body.length).toBe(1);
      expect((await api.post("/threads/prune", { thread_ids: [], strategy: "burn" })).status).toBe(422);
      expect((await api.post("/threads/prune", {})).status).toBe(422);
    });
  });

  describe("copy", () => {
    it("copies state and metadata into a thread of its own", async () => {
      const source = await withState("original");
      const { status, body } = await api.post(`/threads/${source.thread_id}/copy`);
      expect([status, body.status]).toEqual([200, "idle"]);
      expect(body.thread_id).not.toBe(source.thread_id);
      expect(body.values).toEqual(source.values);
      expect(body.metadata).toMatchObject({ graph_id: "agent", thread_id: body.thread_id });
      const history = (await api.post(`/threads/${body.thread_id}/history`, { limit: 10 })).body;
      expect(history.length).toBe(2);
      expect(history[0].checkpoint.thread_id).toBe(body.thread_id);
    });

    it("calls a missing source a conflict", async () => {
      const { status, body } = await api.post(`/threads/${NOBODY}/copy`);
      expect([status, body.detail]).toEqual([409, `Thread ${NOBODY} not found, so it cannot be copied`]);
    });
  });
});
