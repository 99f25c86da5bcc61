import { describe, expect, it } from "bun:test";
import type { NewAssistant } from "#core/assistants/repository";
import type { AuthScope } from "#core/identity/scope";
import { ALICE, create, type Engine, id, STRANGERS, useStorage } from "./harness.ts";

function newAssistant(changes: Partial<NewAssistant> = {}): NewAssistant {
  return {
    assistant_id: id(),
    graph_id: "agent",
    name: "Untitled",
    description: null,
    config: {},
    context: {},
    metadata: {},
    ...changes,
  };
}

const PAGE = { limit: 10, offset: 0 };
const SYSTEM: AuthScope = { ...ALICE, tenant: "any", owner: "system" };

export function assistantsContract(engine: Engine): void {
  describe(`AssistantRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const assistants = () => bench.storage.assistants;

    it("returns what was inserted, as version 1", async () => {
      const made = newAssistant({
        name: "Ada",
        description: "d",
        config: { tags: ["a"] },
        context: { x: 1 },
        metadata: { m: [1] },
      });
      expect(await assistants().insert(ALICE, made)).toBe(true);
      const found = await assistants().find(ALICE, made.assistant_id);
      expect(found).toMatchObject({ ...made, version: 1 });
      expect(found?.created_at).toBe(found?.updated_at as string);
    });

    it("refuses an id that exists, also when it is somebody else's", async () => {
      const made = newAssistant();
      await assistants().insert(ALICE, made);
      for (const scope of [ALICE, ...STRANGERS]) expect(await assistants().insert(scope, made)).toBe(false);
    });

    it("hides an assistant from other owners, tenants and conditions in every method", async () => {
      const made = newAssistant({ metadata: { team: "blue" } });
      await assistants().insert(ALICE, made);
      for (const scope of STRANGERS) {
        expect(await assistants().find(scope, made.assistant_id)).toBeUndefined();
        expect(await assistants().update(scope, made.assistant_id, { name: "x" })).toBeUndefined();
        expect(await assistants().versions(scope, made.assistant_id, PAGE)).toBeUndefined();
        expect(await assistants().setLatest(scope, made.assistant_id, 1)).toBeUndefined();
        expect(await assistants().remove(scope, made.assistant_id, true)).toBe(false);
        expect((await assistants().search(scope, PAGE)).items).toEqual([]);
        expect(await assistants().count(scope, {})).toBe(0);
      }
      expect(await assistants().find({ ...ALICE, filters: { team: "blue" } }, made.assistant_id)).toMatchObject(made);
    });

    it("lets everybody read system assistants and only the server change them", async () => {
      const made = newAssistant({ metadata: { created_by: "system" } });
      await assistants().insert(SYSTEM, made);
      for (const scope of [ALICE, ...STRANGERS]) {
        expect(await assistants().find(scope, made.assistant_id)).toMatchObject(made);
        expect((await assistants().search(scope, PAGE)).items).toHaveLength(1);
        expect(await assistants().count(scope, {})).toBe(1);
        expect(await assistants().update(scope, made.assistant_id, { name: "x" })).toBeUndefined();
        expect(await assistants().remove(scope, made.assistant_id, false)).toBe(false);
      }
      expect(await assistants().update(SYSTEM, made.assistant_id, { name: "new" })).toMatchObject({
        name: "new",
        version: 2,
      });
    });

    it("makes a new version on update: metadata merges, the rest is replaced", async () => {
      const made = newAssistant({ config: { tags: ["a"] }, metadata: { a: 1, b: { c: 1 } } });
      await assistants().insert(ALICE, made);
      const updated = await assistants().update(ALICE, made.assistant_id, { config: {}, metadata: { b: { d: 2 } } });
      expect(updated).toMatchObject({ version: 2, config: {}, metadata: { a: 1, b: { d: 2 } }, name: "Untitled" });
      expect(updated?.config).toEqual({});
      const before = (await assistants().versions(ALICE, made.assistant_id, PAGE))?.[1];
      expect(before).toMatchObject({ version: 1, config: { tags: ["a"] } });
      expect(Date.parse(updated?.updated_at as string)).toBeGreaterThan(Date.parse(updated?.created_at as string));
    });

    it("brings back all fields of an older version, and counts on from the newest", async () => {
      const made = newAssistant({ name: "one", context: { v: 1 }, graph_id: "agent" });
      await assistants().insert(ALICE, made);
      await assistants().update(ALICE, made.assistant_id, { name: "two", context: { v: 2 }, graph_id: "other" });
      const back = await assistants().setLatest(ALICE, made.assistant_id, 1);
      expect(back).toMatchObject({ version: 1, name: "one", context: { v: 1 }, graph_id: "agent" });
      expect(await assistants().update(ALICE, made.assistant_id, { name: "three" })).toMatchObject({ version: 3 });
      expect((await assistants().versions(ALICE, made.assistant_id, PAGE))?.map((v) => v.name)).toEqual([
        "three",
        "two",
        "one",
      ]);
      expect(await assistants().setLatest(ALICE, made.assistant_id, 9)).toBeUndefined();
    });

    it("pages and filters versions by their own metadata", async () => {
      const made = newAssistant({ metadata: { step: 1 } });
      await assistants().insert(ALICE, made);
      for (const step of [2, 3]) await assistants().update(ALICE, made.assistant_id, { metadata: { step } });
      const versions = (query: object) => assistants().versions(ALICE, made.assistant_id, { ...PAGE, ...query });
      expect((await versions({ limit: 1, offset: 1 }))?.map((v) => v.version)).toEqual([2]);
      expect((await versions({ metadata: { step: 3 } }))?.map((v) => v.version)).toEqual([3]);
    });

    it("searches by graph, by part of the name in any case, and by contained metadata", async () => {
      await assistants().insert(
        ALICE,
        newAssistant({ name: "Straße 100%", metadata: { tags: ["a", "b"], deep: { x: { y: 1, z: 2 } } } }),
      );
      await assistants().insert(
        ALICE,
        newAssistant({ name: "Other_1", graph_id: "research", metadata: { tags: ["c"] } }),
      );
      const names = async (query: object) =>
        (await assistants().search(ALICE, { ...PAGE, ...query })).items.map((a) => a.name);
      expect(await names({ graph_id: "research" })).toEqual(["Other_1"]);
      expect(await names({ name: "STRASS" })).toEqual([]);
      expect(await names({ name: "aße" })).toEqual(["Straße 100%"]);
      expect(await names({ name: "0%" })).toEqual(["Straße 100%"]);
      expect(await names({ name: "R_1" })).toEqual(["Other_1"]);
      expect(await names({ name: "rx1" })).toEqual([]);
      expect(await names({ name: "" })).toHaveLength(2);
      expect(await assistants().count(ALICE, { name: "" })).toBe(2);
      expect(await names({ metadata: { tags: ["b"] } })).toEqual(["Straße 100%"]);
      expect(await names({ metadata: { deep: { x: { y: 1 } } } })).toEqual(["Straße 100%"]);
      expect(await names({ metadata: { deep: { x: { y: 2 } } } })).toEqual([]);
      expect(await assistants().count(ALICE, { metadata: { tags: ["c"] }, graph_id: "research" })).toBe(1);
    });

    it("sorts names and graphs by code points, whatever the language of the database", async () => {
      const sorted = ["A", "B", "_x", "a", "b", "\u00e9", "\uffee", "\u{1f600}"];
      for (const name of sorted.toReversed()) {
        await assistants().insert(ALICE, newAssistant({ name, graph_id: name, metadata: { k: 1 } }));
      }
      for (const sort_by of ["name", "graph_id"]) {
        const query = { ...PAGE, metadata: { k: 1 }, sort_by, sort_order: "asc" as const };
        expect((await assistants().search(ALICE, query)).items.map((a) => a.name)).toEqual(sorted);
      }
    });

    it("pages through a search and says whether more follows", async () => {
      for (const name of ["a", "b", "c"]) {
        await assistants().insert(ALICE, newAssistant({ name, metadata: { k: 1 } }));
        await bench.advance(10);
      }
      for (const metadata of [undefined, { k: 1 }]) {
        const page = (offset: number) =>
          assistants().search(ALICE, { limit: 2, offset, sort_by: "name", sort_order: "asc", metadata });
        expect(await page(0)).toMatchObject({ items: [{ name: "a" }, { name: "b" }], more: true });
        expect(await page(2)).toMatchObject({ items: [{ name: "c" }], more: false });
      }
      const newest = await assistants().search(ALICE, PAGE);
      expect(newest.items.map((a) => a.name)).toEqual(["c", "b", "a"]);
    });

    it("deletes an assistant with its threads when asked to, and keeps others", async () => {
      const made = newAssistant();
      await assistants().insert(ALICE, made);
      const [mine, other] = [id(), id()];
      await create(bench, mine, { assistant_id: made.assistant_id });
      await create(bench, other, {});
      expect(await assistants().remove(ALICE, made.assistant_id, true)).toBe(true);
      expect(await assistants().find(ALICE, made.assistant_id)).toBeUndefined();
      expect(await bench.storage.threads.find(ALICE, mine)).toBeUndefined();
      expect(await bench.storage.threads.find(ALICE, other)).toBeDefined();
    });
  });
}
