import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PIECE } from "#core/checkpoints/pieces";
import { ANONYMOUS } from "#core/identity/scope";
import type { Storage } from "#core/storage";
import { openSqliteStorage } from "#storage/sqlite/open";

const COUNT = 2_500;

/** How often the event loop comes round until the work is done. */
async function turnsOf<T>(work: Promise<T>): Promise<{ turns: number; result: T }> {
  let turns = 0;
  let over = false;
  const tick = () => {
    turns++;
    if (!over) setImmediate(tick);
  };
  setImmediate(tick);
  const result = await work;
  over = true;
  return { turns, result };
}

describe("A search that has to look into many rows", () => {
  let dataDir: string;
  let storage: Storage;
  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "fractal-scan-"));
    // One time for all rows: only their keys tell them apart.
    storage = await openSqliteStorage({ dataDir, clock: () => 1_000 });
    const items = Array.from({ length: COUNT }, (_, n) =>
      storage.store.put(ANONYMOUS, { namespace: ["many"], key: `${n}`, value: { n, even: n % 2 === 0 }, ttl: null }),
    );
    await Promise.all(items);
  });
  afterEach(async () => {
    await storage[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const search = (query: object) =>
    storage.store.search(ANONYMOUS, { namespace_prefix: ["many"], limit: 1_000, offset: 0, ...query });

  it("leaves the event loop after each piece of rows", async () => {
    const { turns, result } = await turnsOf(search({ filter: { n: -1 } }));
    expect(result).toEqual([]);
    expect(turns).toBeGreaterThanOrEqual(COUNT / PIECE.rows);
  });

  it("finds each row once, in order and in pages, over all steps", async () => {
    const found: number[] = [];
    for (let offset = 0; ; offset += 1_000) {
      const items = await search({ filter: { even: true }, offset });
      found.push(...items.map(({ value }) => value.n as number));
      if (items.length < 1_000) break;
    }
    const even = Array.from({ length: COUNT / 2 }, (_, i) => COUNT - 2 - 2 * i);
    expect(found).toEqual(even);
  });

  it("counts and pages threads the same way, in both directions", async () => {
    const made = Array.from({ length: COUNT }, (_, n) =>
      storage.threads.insert(ANONYMOUS, { thread_id: crypto.randomUUID(), metadata: { n, third: n % 3 === 0 } }),
    );
    await Promise.all(made);
    const metadata = { third: true };
    const third = Array.from({ length: Math.ceil(COUNT / 3) }, (_, i) => i * 3);
    const { turns, result } = await turnsOf(storage.threads.count(ANONYMOUS, { metadata }));
    expect(result).toBe(third.length);
    expect(turns).toBeGreaterThanOrEqual(COUNT / PIECE.rows);
    for (const sort_order of ["asc", "desc"] as const) {
      const page = { metadata, sort_by: "created_at", sort_order, limit: 500 } as const;
      const first = await storage.threads.search(ANONYMOUS, { ...page, offset: 0 });
      const second = await storage.threads.search(ANONYMOUS, { ...page, offset: 500 });
      expect([first.more, second.more]).toEqual([true, false]);
      const found = [...first.items, ...second.items].map((thread) => thread.metadata.n as number);
      expect(found).toEqual(sort_order === "asc" ? third : third.toReversed());
    }
  });
});
