import { describe, expect, it } from "bun:test";
import { ALICE, crash, type Engine, id, outcome, running, STRANGERS, useStorage } from "./harness.ts";

export function storeContract(engine: Engine): void {
  describe(`StoreRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const store = () => bench.storage.store;
    const put = (namespace: string[], key: string, value: Record<string, unknown> = {}) =>
      store().put(ALICE, { namespace, key, value, ttl: null });
    const putFor = (ttl: number, key: string) => store().put(ALICE, { namespace: ["n"], key, value: {}, ttl });
    const keys = async (query: object) =>
      (await store().search(ALICE, { namespace_prefix: [], limit: 100, offset: 0, ...query })).map((item) => item.key);

    it("returns what was put, replaces it whole, and forgets it when removed", async () => {
      await put(["a", "b"], "k", { x: 1 });
      const first = await store().get(ALICE, ["a", "b"], "k");
      expect(first).toMatchObject({ namespace: ["a", "b"], key: "k", value: { x: 1 } });
      await put(["a", "b"], "k", { y: [2] });
      const second = await store().get(ALICE, ["a", "b"], "k");
      expect(second?.value).toEqual({ y: [2] });
      expect(second?.created_at).toBe(first?.created_at as string);
      expect(Date.parse(second?.updated_at as string)).toBeGreaterThan(Date.parse(first?.updated_at as string));
      await store().remove(ALICE, { namespace: ["a", "b"], key: "k" });
      expect(await store().get(ALICE, ["a", "b"], "k")).toBeUndefined();
    });

    it("hides items from other owners and tenants, and applies conditions to the item", async () => {
      await put(["n"], "k", { team: "blue" });
      for (const scope of STRANGERS) {
        expect(await store().get(scope, ["n"], "k")).toBeUndefined();
        expect(await store().search(scope, { namespace_prefix: [], limit: 9, offset: 0 })).toEqual([]);
        await store().remove(scope, { namespace: ["n"], key: "k" });
      }
      expect(await store().namespaces(STRANGERS[0] as typeof ALICE, { limit: 9, offset: 0 })).toEqual([]);
      const blue = { ...ALICE, filters: { team: "blue" } };
      expect(await store().get(blue, ["n"], "k")).toBeDefined();
      const red = { namespace: ["n"], key: "k2", value: { team: "red" }, ttl: null };
      await expect(store().put(blue, red)).rejects.toMatchObject({ code: "forbidden" });
    });

    it("searches whole labels of a prefix, newest change first, in pages", async () => {
      for (const [n, path] of ["a", "a.b", "ab", "a-b"].entries()) {
        await put(path.split("."), `${n + 1}`);
        await bench.advance(10);
      }
      await put(["a"], "1", { again: true });
      expect(await keys({ namespace_prefix: ["a"] })).toEqual(["1", "2"]);
      expect(await keys({ namespace_prefix: ["a", "b"] })).toEqual(["2"]);
      expect(await keys({})).toEqual(["1", "4", "3", "2"]);
      expect(await keys({ limit: 2, offset: 1 })).toEqual(["4", "3"]);
    });

    it("filters by equality and by operators", async () => {
      await put(["n"], "one", { score: 1, tag: "x", list: [1] });
      await bench.advance(10);
      await put(["n"], "two", { score: 2, tag: "y", o: { b: 1, a: 2 } });
      const table: [object, string[]][] = [
        [{ score: 2 }, ["two"]],
        [{ score: "2" }, []],
        [{ tag: { $ne: "x" } }, ["two"]],
        [{ score: { $gte: 1, $lt: 2 } }, ["one"]],
        [{ score: { $gt: 1 }, tag: "y" }, ["two"]],
        [{ score: { $lte: 2 } }, ["two", "one"]],
        [{ list: [1] }, ["one"]],
        [{ o: { a: 2, b: 1 } }, ["two"]],
        [{ missing: { $gt: 0 } }, []],
        [{ tag: { $gte: "y" } }, ["two"]],
      ];
      for (const [filter, expected] of table) expect([filter, await keys({ filter })]).toEqual([filter, expected]);
      await expect(keys({ filter: { score: { $near: 1 } } })).rejects.toMatchObject({ code: "invalid" });
    });

    it("lists distinct namespaces in label order, by prefix, suffix, wildcard and depth", async () => {
      for (const path of ["a", "a.b", "a-x", "a.b.c", "a.c.c", "z.c"]) await put(path.split("."), "k");
      const list = async (query: object) =>
        (await store().namespaces(ALICE, { limit: 100, offset: 0, ...query })).map((labels) => labels.join("."));
      expect(await list({})).toEqual(["a", "a.b", "a.b.c", "a.c.c", "a-x", "z.c"]);
      expect(await list({ prefix: ["a"] })).toEqual(["a", "a.b", "a.b.c", "a.c.c"]);
      expect(await list({ prefix: ["*", "c"] })).toEqual(["a.c.c", "z.c"]);
      expect(await list({ prefix: ["a", "*", "c"] })).toEqual(["a.b.c", "a.c.c"]);
      expect(await list({ suffix: ["c"] })).toEqual(["a.b.c", "a.c.c", "z.c"]);
      expect(await list({ prefix: ["a"], suffix: ["*", "c"], max_depth: 2 })).toEqual(["a.b", "a.c"]);
      expect(await list({ max_depth: 1, limit: 2, offset: 1 })).toEqual(["a-x", "z"]);
      for (const max_depth of [2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        expect(await list({ max_depth, suffix: ["c"] })).toEqual(["a.b.c", "a.c.c", "z.c"]);
      }
    });

    it("refuses namespaces that cannot be told apart, and writes nothing", async () => {
      for (const namespace of [["a.b"], [""], ["a", ""]]) {
        await expect(put(namespace, "k")).rejects.toMatchObject({ code: "invalid" });
      }
      await expect(put([], "k")).rejects.toMatchObject({ code: "bad_request" });
      expect(await keys({})).toEqual([]);
    });

    it("refuses what a run puts or removes after it has lost its lane", async () => {
      const { fence } = await running(bench);
      const item = { namespace: ["n"], key: "k", value: { by: "run" }, ttl: null };
      await store().put(ALICE, item, fence);
      await crash(bench);
      const lost = { name: "LeaseLostError" };
      await expect(store().put(ALICE, { ...item, value: { by: "ghost" } }, fence)).rejects.toMatchObject(lost);
      await expect(store().remove(ALICE, item, fence)).rejects.toMatchObject(lost);
      await expect(store().put(ALICE, { ...item, key: "new" }, { ...fence, threadId: id() })).rejects.toMatchObject(
        lost,
      );
      expect((await store().get(ALICE, ["n"], "k"))?.value).toEqual({ by: "run" });
      expect(await keys({})).toEqual(["k"]);

      const next = await running(bench);
      await store().remove(ALICE, item, next.fence);
      expect(await keys({})).toEqual([]);
      await bench.storage.runs.finish(next.fence, outcome());
      await expect(store().put(ALICE, item, next.fence)).rejects.toMatchObject(lost);
    });

    it("hides expired items at once, deletes them later, and starts them afresh", async () => {
      await putFor(1, "short");
      await put(["n"], "long");
      const before = await store().get(ALICE, ["n"], "short");
      await bench.advance(60_000);
      expect(await store().get(ALICE, ["n"], "short")).toBeUndefined();
      expect(await keys({})).toEqual(["long"]);
      await putFor(1, "short");
      expect((await store().get(ALICE, ["n"], "short"))?.created_at).not.toBe(before?.created_at as string);
      await bench.advance(60_000);
      expect(await bench.storage.retention.sweep({ eventHours: 24, batch: 10 })).toBeGreaterThan(0);
      expect(await keys({})).toEqual(["long"]);
    });
  });
}
