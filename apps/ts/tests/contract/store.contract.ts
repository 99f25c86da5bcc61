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
      const first = await store().get(ALICE, { namespace: ["a", "b"], key: "k" });
      expect(first).toMatchObject({ namespace: ["a", "b"], key: "k", value: { x: 1 } });
      await put(["a", "b"], "k", { y: [2] });
      const second = await store().get(ALICE, { namespace: ["a", "b"], key: "k" });
      expect(second?.value).toEqual({ y: [2] });
      expect(second?.created_at).toBe(first?.created_at as string);
      expect(Date.parse(second?.updated_at as string)).toBeGreaterThan(Date.parse(first?.updated_at as string));
      await store().remove(ALICE, { namespace: ["a", "b"], key: "k" });
      expect(await store().get(ALICE, { namespace: ["a", "b"], key: "k" })).toBeUndefined();
    });

    it("hides items from other owners and tenants, and applies conditions to the item", async () => {
      await put(["n"], "k", { team: "blue" });
      for (const scope of STRANGERS) {
        expect(await store().get(scope, { namespace: ["n"], key: "k" })).toBeUndefined();
        expect(await store().search(scope, { namespace_prefix: [], limit: 9, offset: 0 })).toEqual([]);
        await store().remove(scope, { namespace: ["n"], key: "k" });
      }
      expect(await store().namespaces(STRANGERS[0] as typeof ALICE, { limit: 9, offset: 0 })).toEqual([]);
      const blue = { ...ALICE, filters: { team: "blue" } };
      expect(await store().get(blue, { namespace: ["n"], key: "k" })).toBeDefined();
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

    it("refuses a filter with more keys than a statement can take, as a graph may send one", async () => {
      const filter = Object.fromEntries(Array.from({ length: 33_000 }, (_, i) => [`key${i}`, i]));
      await expect(keys({ filter })).rejects.toMatchObject({ code: "invalid" });
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
      await expect(keys({ filter: { score: { $near: 1 } } })).rejects.toMatchObject({ code: "bad_request" });
    });

    it("compares texts by code points, and as numbers what reads as a decimal number and nothing else", async () => {
      const value = { n: 5, list: [5], o: {}, hex: "0x10", big: "1e300", digits: " 10 ", blank: " ", yes: true };
      await put(["n"], "k", { ...value, emoji: "\u{1f600}", many: "7".repeat(61), odd: "\u0667", none: null });
      const table: [object, boolean][] = [
        [{ n: { $gt: 4 } }, true],
        [{ n: { $gt: "4" } }, true],
        [{ n: { $gt: [4] } }, false],
        [{ n: { $gt: "0x1" } }, false],
        [{ n: { $lt: "Infinity" } }, false],
        [{ n: { $gt: null } }, false],
        [{ n: { $gt: {} } }, false],
        [{ n: { $gte: 5, $lte: 5.0 } }, true],
        [{ list: { $gt: 4 } }, false],
        [{ o: { $lte: 0 } }, false],
        [{ hex: { $gt: 1 } }, false],
        [{ big: { $gt: 1 } }, false],
        [{ many: { $gt: 1 } }, false],
        [{ odd: { $gt: 1 } }, false],
        [{ digits: { $gt: 9 } }, true],
        [{ digits: { $lt: "9" } }, true],
        [{ blank: { $lt: 1 } }, true],
        [{ yes: { $gte: 1 } }, true],
        [{ none: { $lt: 1 } }, false],
        [{ emoji: { $gt: "\uffee" } }, true],
        [{ emoji: { $lt: "\u{1f601}" } }, true],
        [{ emoji: { $lte: "\u{1f600}" } }, true],
        [{ hex: { $gt: "0x1" } }, true],
      ];
      for (const [filter, found] of table) {
        expect([filter, await keys({ filter })]).toEqual([filter, found ? ["k"] : []]);
      }
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

    it("lists namespaces by code points", async () => {
      const labels = ["A", "a", "\u00e9", "\uffee", "\u{1f600}"];
      for (const label of labels.toReversed()) await put([label], "k");
      const list = await store().namespaces(ALICE, { limit: 9, offset: 0 });
      expect(list).toEqual(labels.map((label) => [label]));
    });

    it("refuses keys and labels that an index has no room for, or that hold NUL, wherever they are named", async () => {
      // Not compressible: an index takes longer ones that are.
      const noise = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes / 2))).toString("hex");
      const labels = [noise(510), noise(512)];
      const key = noise(1024);
      await put(labels, key, { n: 1 });
      expect((await store().get(ALICE, { namespace: labels, key }))?.value).toEqual({ n: 1 });
      expect(await keys({ namespace_prefix: labels })).toEqual([key]);
      const refused = { code: "invalid", message: expect.stringMatching(/bytes, the most is 1024|NUL/) };
      for (const wrong of ["k\0", noise(1026), "\u00e9".repeat(513)]) {
        await expect(put(["n"], wrong)).rejects.toMatchObject(refused);
        await expect(store().get(ALICE, { namespace: ["n"], key: wrong })).rejects.toMatchObject(refused);
        await expect(store().remove(ALICE, { namespace: ["n"], key: wrong })).rejects.toMatchObject(refused);
      }
      for (const wrong of [["n\0"], [noise(512), noise(512)], Array(513).fill("n") as string[]]) {
        await expect(put(wrong, "k")).rejects.toMatchObject(refused);
        await expect(store().get(ALICE, { namespace: wrong, key: "k" })).rejects.toMatchObject(refused);
        await expect(keys({ namespace_prefix: wrong })).rejects.toMatchObject(refused);
      }
      expect(await keys({})).toEqual([key]);
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
      expect((await store().get(ALICE, { namespace: ["n"], key: "k" }))?.value).toEqual({ by: "run" });
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
      const before = await store().get(ALICE, { namespace: ["n"], key: "short" });
      await bench.advance(60_000);
      expect(await store().get(ALICE, { namespace: ["n"], key: "short" })).toBeUndefined();
      expect(await keys({})).toEqual(["long"]);
      await putFor(1, "short");
      expect((await store().get(ALICE, { namespace: ["n"], key: "short" }))?.created_at).not.toBe(
        before?.created_at as string,
      );
      await bench.advance(60_000);
      expect(await bench.storage.retention.sweep({ eventHours: 24, batch: 10 })).toBeGreaterThan(0);
      expect(await keys({})).toEqual(["long"]);
    });

    describe("refresh", () => {
      const read = (key: string, refresh?: boolean) => store().get(ALICE, { namespace: ["n"], key, refresh });

      it("lets the time to live begin anew of what get and search find, and of nothing else", async () => {
        for (const key of ["got", "found", "left", "passed"]) await putFor(1, key);
        await store().put(ALICE, { namespace: ["m"], key: "elsewhere", value: {}, ttl: 1 });
        await put(["n"], "forever");
        const before = await read("got");
        await bench.advance(40_000);
        expect(await read("got", true)).toEqual(before);
        await read("passed", false);
        await keys({ namespace_prefix: ["n"], refresh: false });
        expect(await keys({ namespace_prefix: ["n"], limit: 2, offset: 2, refresh: true })).toEqual(["left", "found"]);
        await read("forever", true);
        await bench.advance(40_000);
        expect((await keys({})).sort()).toEqual(["forever", "found", "got", "left"]);
        // And once more, as a whole time to live.
        await keys({ refresh: true });
        await bench.advance(59_000);
        expect((await keys({})).sort()).toEqual(["forever", "found", "got", "left"]);
        await bench.advance(1_000);
        expect(await keys({})).toEqual(["forever"]);
      });

      it("does not bring back what is past its time, and refreshes nothing for those who may not see it", async () => {
        await store().put(ALICE, { namespace: ["n"], key: "k", value: { team: "blue" }, ttl: 1 });
        await bench.advance(30_000);
        for (const scope of STRANGERS) {
          expect(await store().get(scope, { namespace: ["n"], key: "k", refresh: true })).toBeUndefined();
          await store().search(scope, { namespace_prefix: [], limit: 9, offset: 0, refresh: true });
        }
        await bench.advance(30_000);
        expect(await read("k", true)).toBeUndefined();
        expect(await keys({ refresh: true })).toEqual([]);
        expect(await read("k")).toBeUndefined();
      });

      it("holds with many readers, puts and removals at once", async () => {
        const names = Array.from({ length: 20 }, (_, i) => `${i}`);
        for (const key of names) await putFor(1, key);
        await bench.advance(30_000);
        const work = names.flatMap((key, i) => [
          keys({ refresh: true, filter: i % 2 === 0 ? {} : { missing: { $ne: 1 } } }),
          read(key, true),
          ...(i < 5 ? [putFor(5, key)] : []),
          ...(i >= 15 ? [store().remove(ALICE, { namespace: ["n"], key })] : []),
        ]);
        await Promise.all(work);
        await bench.advance(59_000);
        expect((await keys({})).sort()).toEqual(names.slice(0, 15).sort());
        await bench.advance(1_000);
        expect((await keys({})).sort()).toEqual(names.slice(0, 5));
      });
    });
  });
}
