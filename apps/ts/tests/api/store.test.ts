import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { Api } from "./api.ts";

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
    expect((await put(["langgraph"], "k", {})).status).toBe(422);
    expect((await put([], "k", {})).status).toBe(400);
    expect((await put(["a"], "", {})).status).toBe(422);
    expect((await api.get("/store/items?namespace=a")).status).toBe(400);
    expect((await api.get("/store/items?key=k&namespace=a..b")).status).toBe(422);
    expect((await api.call("PUT", "/store/items", { body: { namespace: ["a"], key: "k", value: [1] } })).status).toBe(
      422,
    );
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
    expect(await search({ namespace_prefix: null, filter: { age: { $ne: 5 } } })).toEqual(["c", "a"]);
    const wrong = await api.post("/store/items/search", { filter: { age: { $near: 1 } } });
    expect([wrong.status, wrong.body.detail]).toEqual([
      422,
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
