import { describe, expect, it } from "bun:test";
import { PIECE, weightOf } from "#core/checkpoints/pieces";
import type { Encoded, StoredCheckpoint } from "#core/checkpoints/repository";
import type { Page } from "#schemas/common";
import { ALICE, checkpoint, type Engine, put, running, STRANGERS, useStorage, write, writes } from "./harness.ts";

const MB = 1024 * 1024;
const bytes = (size: number, fill: number): Encoded => ({ type: "bytes", bytes: new Uint8Array(size).fill(fill) });
const idOf = (n: number) => `c${String(n).padStart(4, "0")}`;

export function checkpointPiecesContract(engine: Engine): void {
  describe(`CheckpointRepository in pieces (${engine.name})`, () => {
    const bench = useStorage(engine);
    const checkpoints = () => bench.storage.checkpoints;

    async function read(threadId: string, query: object = {}, scope = ALICE): Promise<Page<StoredCheckpoint>[]> {
      const pieces: Page<StoredCheckpoint>[] = [];
      const wanted = { thread_id: threadId, checkpoint_ns: "", ...query };
      for await (const piece of checkpoints().pieces(scope, wanted)) pieces.push(piece);
      return pieces;
    }

    /** Checkpoints whose value of "big" has `size` bytes; a new one every `every`. */
    async function fill(count: number, size: number, every: number): Promise<string> {
      const { fence } = await running(bench);
      for (let n = 0; n < count; n++) {
        const version = `v${Math.floor(n / every)}`;
        const row = checkpoint(fence, idOf(n), { blobs: { big: version } });
        const fresh = n % every === 0 ? { big: bytes(size, n) } : {};
        expect(await checkpoints().commit([put(fence, row, fresh)])).toEqual(["written"]);
      }
      return fence.threadId;
    }

    it("gives exactly what the list gives, at most 100 checkpoints at a time", async () => {
      const threadId = await fill(250, 100, 3);
      const pieces = await read(threadId);
      expect(pieces.map(({ items, more }) => [items.length, more])).toEqual([
        [100, true],
        [100, true],
        [50, false],
      ]);
      const whole = await checkpoints().list(ALICE, { thread_id: threadId, checkpoint_ns: "" });
      expect(pieces.flatMap(({ items }) => items)).toEqual(whole);
      const some = await read(threadId, { limit: 120, before: idOf(130) });
      expect(some.flatMap(({ items }) => items)).toEqual(whole.slice(120, 240));
      expect(some.map(({ more }) => more)).toEqual([true, false]);
    });

    it("reads no more than 8 MiB at a time, and a larger checkpoint alone, with values and writes intact", async () => {
      const threadId = await fill(5, 3 * MB, 2);
      const pieces = await read(threadId, { limit: 10 });
      expect(pieces.map(({ items, more }) => [items.length, more])).toEqual([
        [2, true],
        [2, true],
        [1, false],
      ]);
      for (const { items } of pieces) {
        expect(items.reduce((sum, stored) => sum + weightOf(stored), 0)).toBeLessThan(PIECE.bytes);
      }
      const whole = await checkpoints().list(ALICE, { thread_id: threadId, checkpoint_ns: "" });
      expect(pieces.flatMap(({ items }) => items)).toEqual(whole);

      const { fence } = await running(bench);
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1", { blobs: { big: "1", small: "1" } }), {
          big: bytes(9 * MB, 1),
          small: bytes(9, 1),
        }),
        writes(fence, write(fence, "c1", { value: bytes(9 * MB, 7) })),
        put(fence, checkpoint(fence, "c2", { parent_checkpoint_id: "c1", blobs: { small: "1" } })),
      ]);
      const large = await read(fence.threadId);
      expect(large.map(({ items, more }) => [items.length, more])).toEqual([
        [1, true],
        [1, false],
      ]);
      const all = await checkpoints().list(ALICE, { thread_id: fence.threadId, checkpoint_ns: "" });
      expect(large.flatMap(({ items }) => items)).toEqual(all);
    });

    it("reads a blob once that several pieces carry", async () => {
      const threadId = await fill(3, 9 * MB, 3);
      const values = (await read(threadId)).map(({ items }) => items.map((stored) => stored.values.big?.bytes));
      expect(values.map((piece) => piece.length)).toEqual([1, 1, 1]);
      expect(values[1]?.[0]).toBe(values[0]?.[0] as Uint8Array);
      expect(values[2]?.[0]).toBe(values[0]?.[0] as Uint8Array);
    });

    it("weighs a list without reading it: what several checkpoints carry counts for each", async () => {
      const threadId = await fill(6, MB, 3);
      const wanted = { thread_id: threadId, checkpoint_ns: "" };
      const whole = await checkpoints().list(ALICE, wanted);
      const all = whole.reduce((sum, stored) => sum + weightOf(stored), 0);
      expect(all).toBeGreaterThan(6 * MB);
      expect(Math.abs((await checkpoints().weigh(ALICE, wanted)) - all)).toBeLessThan(1_000);
      expect(await checkpoints().weigh(ALICE, { ...wanted, limit: 2 })).toBeLessThan(2.1 * MB);
      for (const scope of STRANGERS) {
        expect(await checkpoints().weigh(scope, wanted)).toBe(0);
        expect(await read(threadId, {}, scope)).toEqual([]);
        expect(await read(threadId, { limit: 500 }, scope)).toEqual([]);
      }
    });

    it("goes on when the thread is deleted between two pieces", async () => {
      const threadId = await fill(150, 10, 1);
      const pieces = checkpoints().pieces(ALICE, { thread_id: threadId, checkpoint_ns: "" })[Symbol.asyncIterator]();
      expect((await pieces.next()).value.items).toHaveLength(100);
      await checkpoints().deleteThread(ALICE, threadId);
      // One may have been read ahead.
      const rest = (await pieces.next()).value?.items.length ?? 0;
      expect(rest).toBeLessThanOrEqual(1);
      expect((await pieces.next()).done).toBe(true);
    });
  });
}
