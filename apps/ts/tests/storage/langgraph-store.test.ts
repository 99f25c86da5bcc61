import { describe, expect, it } from "bun:test";
import { createLogger } from "@fractal-agents/infra/logger";
import { type BaseStore, InMemoryStore, type Item, type Operation } from "@langchain/langgraph-checkpoint";
import { ANONYMOUS } from "#core/identity/scope";
import { ScopedStore } from "#core/store/langgraph-store";
import { NO_TTL } from "#core/store/ttl";
import { useStorage } from "../contract/harness.ts";
import { sqlite } from "../contract/sqlite-engine.ts";

const silent = createLogger({ level: "silent", json: true, write: () => undefined });

/** Every shape of operation; LangGraph's own store in memory is the reference. */
async function talk(store: BaseStore): Promise<unknown[]> {
  const answers: unknown[] = [];
  await store.put(["users", "ann"], "prefs", { theme: "dark", score: 3 });
  await store.put(["users", "ann"], "facts", { score: 5, tags: ["a"] });
  await store.put(["users", "bob"], "prefs", { theme: "light", score: 1 });
  await store.put(["docs"], "one", { text: "x" });
  answers.push((await store.get(["users", "ann"], "prefs"))?.value, await store.get(["users", "eve"], "prefs"));
  const keys = async (filter: Record<string, unknown>) =>
    (await store.search(["users"], { filter })).map((item) => `${item.namespace.join("/")}:${item.key}`).sort();
  answers.push(await keys({ theme: "dark" }), await keys({ score: { $gt: 1, $lte: 5 } }), await keys({}));
  answers.push((await store.search([], { limit: 2 })).length, (await store.search(["users"], { offset: 2 })).length);
  answers.push(await store.listNamespaces(), await store.listNamespaces({ prefix: ["users"], maxDepth: 1 }));
  answers.push(await store.listNamespaces({ prefix: ["*", "bob"] }), await store.listNamespaces({ suffix: ["ann"] }));
  await store.delete(["users", "ann"], "prefs");
  answers.push(await store.get(["users", "ann"], "prefs"));
  const batch: Operation[] = [
    { namespace: ["docs"], key: "two", value: { text: "y" } },
    { namespace: ["docs"], key: "one" },
    { namespacePrefix: ["users"], limit: 1, filter: { score: { $ne: 5 } } },
  ];
  const [put, got, found] = (await store.batch(batch)) as unknown as [unknown, Item, Item[]];
  answers.push(
    put ?? null,
    got.value,
    found.map((item) => item.key),
  );
  return answers;
}

describe("ScopedStore", () => {
  const bench = useStorage(sqlite);
  const storeOf = (owner: string, ttl = NO_TTL, logger = silent) =>
    new ScopedStore({ items: bench.storage.store, scope: { ...ANONYMOUS, owner }, ttl, logger });

  it("answers like LangGraph's own store in memory", async () => {
    expect(await talk(storeOf("ann"))).toEqual(await talk(new InMemoryStore()));
  });

  it("lists for a query, and warns of it once, however many searches there are", async () => {
    const lines: string[] = [];
    const logger = createLogger({ level: "info", json: true, write: (line) => lines.push(line) });
    const store = storeOf("ann", NO_TTL, logger);
    await store.put(["a"], "k", { x: 1 });
    for (const query of [undefined, "", "what is x", "again"]) {
      expect((await store.search(["a"], query === undefined ? {} : { query })).map(({ key }) => key)).toEqual(["k"]);
    }
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: "warn", msg: "the store has no index: a search with a query lists without it" }),
    ]);
  });

  it("gives dates, and runs the operations of a batch in their order", async () => {
    const store = storeOf("ann");
    const [, item] = await store.batch([
      { namespace: ["n"], key: "k", value: { v: 1 } },
      { namespace: ["n"], key: "k" },
    ]);
    expect(item).toMatchObject({ namespace: ["n"], key: "k", value: { v: 1 } });
    expect((item as { createdAt: Date }).createdAt.getTime()).toBeGreaterThan(0);
    expect((item as { updatedAt: Date }).updatedAt).toBeInstanceOf(Date);
  });

  it("keeps the memories of two people apart", async () => {
    await storeOf("ann").put(["n"], "k", { secret: 1 });
    expect(await storeOf("bob").get(["n"], "k")).toBeNull();
    expect(await storeOf("bob").search([])).toEqual([]);
  });

  it("gives items the time to live of the project, which begins anew with each read unless the project says no", async () => {
    const store = storeOf("ann", { minutes: 1, refreshOnRead: true });
    const still = storeOf("ann", { minutes: 1, refreshOnRead: false });
    for (const key of ["got", "found", "left"]) await store.put(["n", key], key, {});
    await bench.advance(40_000);
    await store.get(["n", "got"], "got");
    await store.search(["n", "found"]);
    await still.get(["n", "left"], "left");
    await still.search([]);
    await bench.advance(40_000);
    expect((await still.search([])).map(({ key }) => key).sort()).toEqual(["found", "got"]);
    await bench.advance(20_000);
    expect(await still.search([])).toEqual([]);
    await storeOf("ann").put(["n"], "kept", {});
    await bench.advance(60_000);
    expect(await still.search([])).toHaveLength(1);
  });

  it("refuses a namespace that LangGraph refuses", async () => {
    await expect(storeOf("ann").put(["a.b"], "k", {})).rejects.toThrow();
    await expect(storeOf("ann").put([], "k", {})).rejects.toThrow();
    await expect(storeOf("ann").put(["langgraph"], "k", {})).rejects.toThrow();
  });
});
