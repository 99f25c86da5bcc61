import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import type { StoreTtl } from "#core/store/ttl";
import { scope } from "#middleware/scope";
import { Router } from "#routes/router";
import { storeRoutes } from "#routes/store";
import { useStorage } from "../contract/harness.ts";
import { sqlite } from "../contract/sqlite-engine.ts";
import { Api } from "./api.ts";

const silent = createLogger({ level: "silent", json: true, write: () => undefined });

describe("Store", () => {
  let api: Api;
  beforeAll(async () => {
    api = await Api.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const put = (namespace: string[], key: string, value: object) =>
    api.call("PUT", "/store/items", { body: { namespace, key, value } });

  it("keeps an item until it is replaced or deleted", async () => {
    const stored = await put(["users", "ann"], "likes", { food: "figs" });
    expect([stored.status, stored.text]).toEqual([204, ""]);
    const { body } = await api.get("/store/items?key=likes&namespace=users.ann");
    expect(body).toMatchObject({ namespace: ["users", "ann"], key: "likes", value: { food: "figs" } });
    expect((await api.get("/store/items?key=likes&namespace=users&namespace=ann")).body).toEqual(body);
    await put(["users", "ann"], "likes", { food: "plums" });
    expect((await api.get("/store/items?key=likes&namespace=users.ann")).body.value).toEqual({ food: "plums" });
    for (let times = 0; times < 2; times++) {
      const gone = await api.call("DELETE", "/store/items", { body: { namespace: ["users", "ann"], key: "likes" } });
      expect(gone.status).toBe(204);
    }
  });

  it("answers null for an item that is not there", async () => {
    const { status, body } = await api.get("/store/items?key=none&namespace=users.ann");
    expect([status, body]).toEqual([200, null]);
  });

  it("refuses labels that could not be joined, the reserved one, and none", async () => {
    const dotted = await put(["a.b"], "k", {});
    expect([dotted.status, dotted.body.detail]).toEqual([
      422,
      "namespace[0]: Namespace labels cannot be empty or contain periods. Received: a.b",
    ]);
    expect((await put([""], "k", {})).status).toBe(422);
    expect((await put(["langgraph"], "k", {})).status).toBe(400);
    expect((await put([], "k", {})).status).toBe(400);
    expect((await put(["a"], "", {})).status).toBe(422);
    expect((await api.get("/store/items?namespace=a")).status).toBe(400);
    expect((await api.get("/store/items?key=k&namespace=a..b")).status).toBe(422);
    expect((await api.call("PUT", "/store/items", { body: { namespace: ["a"], key: "k", value: [1] } })).status).toBe(
      422,
    );
  });

  it("says which key or namespace is too long", async () => {
    const long = await put(["a"], "k".repeat(1025), {});
    expect([long.status, long.body.detail]).toEqual([422, "key: has 1025 bytes, the most is 1024"]);
    const deep = await put(Array(600).fill("n") as string[], "k", {});
    expect([deep.status, deep.body.detail]).toEqual([422, "namespace: The labels have 1200 bytes, the most is 1024"]);
    expect((await api.get(`/store/items?namespace=a&key=${"k".repeat(1025)}`)).status).toBe(422);
    const most = { namespace: ["a"], key: "k".repeat(1024) };
    expect((await put(most.namespace, most.key, {})).status).toBe(204);
    expect((await api.call("DELETE", "/store/items", { body: most })).status).toBe(204);
  });

  it("searches below a prefix by value, newest first, in pages", async () => {
    for (const [key, age] of [
      ["a", 1],
      ["b", 5],
      ["c", 9],
    ] as const)
      await put(["zoo", "cats"], key, { age, kind: "cat" });
    await put(["zoology"], "d", { age: 5 });
    const search = async (query: object) =>
      (await api.post("/store/items/search", query)).body.items.map((item: { key: string }) => item.key);
    expect(await search({ namespace_prefix: ["zoo"] })).toEqual(["c", "b", "a"]);
    expect(await search({ namespace_prefix: ["zoo"], limit: 1, offset: 1 })).toEqual(["b"]);
    expect(await search({ namespace_prefix: ["zoo"], filter: { age: { $gte: 5 }, kind: "cat" } })).toEqual(["c", "b"]);
    expect(await search({ namespace_prefix: ["zoo"], query: "cats that purr" })).toEqual(["c", "b", "a"]);
    const warning = async (body: object) => (await api.post("/store/items/search", body)).headers.get("Warning");
    expect(await warning({ query: "cats that purr" })).toBe(
      '299 - "the store has no index: a search with a query lists without it"',
    );
    expect([await warning({}), await warning({ query: "" }), await warning({ query: null })]).toEqual([
      null,
      null,
      null,
    ]);
    expect(await search({ namespace_prefix: null, filter: { age: { $ne: 5 } } })).toEqual(["c", "a"]);
    const wrong = await api.post("/store/items/search", { filter: { age: { $near: 1 } } });
    expect([wrong.status, wrong.body.detail]).toEqual([
      400,
      "filter.age: unknown operator $near; known are $eq, $ne, $gt, $gte, $lt, $lte",
    ]);
  });

  it("lists namespaces by prefix, suffix and depth", async () => {
    await put(["org", "a", "notes"], "k", {});
    await put(["org", "b", "notes"], "k", {});
    const list = async (query: object) => (await api.post("/store/namespaces", query)).body.namespaces;
    expect(await list({ prefix: ["org"] })).toEqual([
      ["org", "a", "notes"],
      ["org", "b", "notes"],
    ]);
    expect(await list({ prefix: ["org", "*"], suffix: ["notes"], limit: 1 })).toEqual([["org", "a", "notes"]]);
    expect(await list({ prefix: ["org"], max_depth: 1 })).toEqual([["org"]]);
    expect((await api.post("/store/namespaces", { max_depth: 0 })).status).toBe(422);
  });
});

describe("the time to live of items", () => {
  const bench = useStorage(sqlite);
  const minutes = (n: number) => bench.advance(n * 60_000);

  function store(rules?: StoreTtl) {
    const app = new Router();
    app.use("*", scope());
    app.include(storeRoutes(bench.storage.store, { rules, logger: silent }));
    const send = (method: string, path: string, body?: object) =>
      app.request(path, { method, ...(body && { body: JSON.stringify(body) }) });
    return {
      put: (key: string, more: object = {}) =>
        send("PUT", "/store/items", { namespace: [key], key, value: {}, ...more }),
      get: async (key: string, more = "") =>
        (await send("GET", `/store/items?namespace=${key}&key=${key}${more}`)).json(),
      search: (key: string, more: object = {}) =>
        send("POST", "/store/items/search", { namespace_prefix: [key], ...more }),
      async left(): Promise<string[]> {
        const answer = await send("POST", "/store/items/search", { refresh_ttl: false });
        return ((await answer.json()) as { items: { key: string }[] }).items.map(({ key }) => key).sort();
      },
    };
  }

  it("is the project's where a put names none, and its own where it does", async () => {
    const { put, left } = store({ minutes: 10, refreshOnRead: true });
    await put("absent");
    await put("null", { ttl: null });
    await put("own", { ttl: 20 });
    await minutes(10);
    expect(await left()).toEqual(["own"]);
    await minutes(10);
    expect(await left()).toEqual([]);
  });

  it("begins anew with a read that asks for it, or does not say and the project lets it", async () => {
    for (const refreshOnRead of [undefined, true, false]) {
      const { put, get, search, left } = store(refreshOnRead === undefined ? undefined : { minutes: 9, refreshOnRead });
      const names = ["get", "get-no", "get-yes", "search", "search-no", "search-null", "search-yes"];
      for (const name of names) await put(name, { ttl: 10 });
      await minutes(6);
      await get("get");
      await get("get-yes", "&refresh_ttl=true");
      await get("get-no", "&refresh_ttl=false");
      await search("search");
      await search("search-null", { refresh_ttl: null });
      await search("search-yes", { refresh_ttl: true });
      await search("search-no", { refresh_ttl: false });
      await minutes(6);
      const unsaid = refreshOnRead === false ? [] : ["get", "search", "search-null"];
      expect(await left()).toEqual(["get-yes", "search-yes", ...unsaid].sort());
      await minutes(10);
      expect(await get("get-yes", "&refresh_ttl=true")).toBeNull();
      expect(await left()).toEqual([]);
    }
  });
});
