import { describe, expect, it } from "bun:test";
import type { SdkSession } from "../sdk-session.ts";

interface Path {
  path: string[];
}

export function threadsSuite(session: SdkSession): void {
  describe("threads", () => {
    const of = `${session.line.name} on ${session.engine}`;

    it("creates, reads, updates and deletes", async () => {
      const { threads } = session.client;
      const thread = await threads.create({ metadata: { of } });
      expect(thread).toMatchObject({ status: "idle", values: null, metadata: { of } });
      const { thread_id: threadId } = thread;
      await expect(threads.create({ threadId })).rejects.toThrow("409");
      expect(await threads.create({ threadId, ifExists: "do_nothing" })).toMatchObject({ metadata: { of } });
      expect((await threads.update(threadId, { metadata: { more: [1] } })).metadata).toMatchObject({ of, more: [1] });
      expect((await threads.get(threadId)).metadata).toMatchObject({ of, more: [1] });
      await threads.delete(threadId);
      await expect(threads.get(threadId)).rejects.toThrow("404");
    });

    it("searches by metadata, values and status, sorted, and counts", async () => {
      const { threads } = session.client;
      const metadata = { search: of };
      const made = [];
      for (const steps of [1, 2]) {
        const { thread_id } = await threads.create({ metadata: { ...metadata, steps } });
        await session.wait(thread_id, "counter", { input: { steps } });
        made.push(thread_id);
      }
      const ids = (found: { thread_id: string }[]) => found.map(({ thread_id }) => thread_id);
      expect(ids(await threads.search({ metadata }))).toEqual([...made].reverse());
      expect(ids(await threads.search({ metadata, sortBy: "created_at", sortOrder: "asc" }))).toEqual(made);
      expect(ids(await threads.search({ metadata, limit: 1, offset: 1 }))).toEqual([made[0] as string]);
      expect(ids(await threads.search({ metadata, status: "interrupted" }))).toEqual([]);
      expect(ids(await threads.search({ metadata: { ...metadata, graph_id: "counter", steps: 2 } }))).toEqual([
        made[1] as string,
      ]);
      const values = { metadata, values: { log: ["step-2"] } } as never;
      expect(await threads.count({ metadata, status: "idle" } as never)).toBe(2);
      expect(await threads.count(values)).toBe(1);
      const [found] = await threads.search<{ count: number }>({ metadata: { ...metadata, steps: 2 } });
      expect([found?.status, found?.values.count]).toEqual(["idle", 2]);
    });

    it("tells the state now and at a checkpoint, and the whole history", async () => {
      const { threads } = session.client;
      const id = await session.thread();
      expect(await threads.getState(id)).toMatchObject({ values: {}, next: [], tasks: [] });
      expect(await threads.getHistory(id)).toEqual([]);
      await session.wait(id, "breakpoints", { input: {} });
      const history = await threads.getHistory<Path>(id, { limit: 100 });
      expect(history.map(({ next }) => next.join())).toEqual(["", "c", "b", "a", "__start__"]);
      expect(history.map(({ metadata }) => metadata?.step)).toEqual([3, 2, 1, 0, -1]);
      for (const [i, state] of history.slice(0, -1).entries()) {
        expect(state.parent_checkpoint?.checkpoint_id).toBe(history[i + 1]?.checkpoint.checkpoint_id as string);
      }
      const b = history[2]?.checkpoint.checkpoint_id as string;
      const past = await threads.getState<Path>(id, b);
      expect([past.values.path, past.next, past.tasks.map(({ name }) => name)]).toEqual([["a"], ["b"], ["b"]]);
      const byCheckpoint = await threads.getState<Path>(id, { checkpoint_id: b, checkpoint_ns: "" } as never);
      expect(byCheckpoint.values.path).toEqual(["a"]);
      const older = await threads.getHistory<Path>(id, { before: { configurable: { checkpoint_id: b } }, limit: 1 });
      expect(older.map(({ next }) => next)).toEqual([["a"]]);
      expect(await threads.getHistory(id, { metadata: { step: 0 }, limit: 9 })).toHaveLength(1);
    });

    it("writes the state, now and at a checkpoint, and the thread follows", async () => {
      const { threads } = session.client;
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      const written = (await threads.updateState(id, { values: { path: ["mine"] }, asNode: "c" })) as unknown as {
        checkpoint: { checkpoint_id: string };
      };
      const now = await threads.getState<Path>(id);
      expect(now.values.path).toEqual(["a", "b", "c", "mine"]);
      expect(written.checkpoint.checkpoint_id).toBe(now.checkpoint.checkpoint_id as string);
      expect((await threads.get<Path>(id)).values.path).toEqual(["a", "b", "c", "mine"]);
      const history = await threads.getHistory(id, { limit: 100 });
      const afterA = history.find(({ next }) => next.join() === "b")?.checkpoint;
      await threads.updateState(id, { values: { path: ["fork"] }, asNode: "a", checkpoint: afterA as never });
      const fork = await threads.getState<Path>(id);
      expect([fork.values.path, fork.next]).toEqual([["a", "fork"], ["b"]]);
      expect((await threads.get(id)).status).toBe("interrupted");
      expect((await session.wait(id, "breakpoints", { input: null })).path).toEqual(["a", "fork", "b", "c"]);
    });

    it("copies a thread, with its history, into one of its own", async () => {
      const { threads } = session.client;
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      // Old lines type the answer as the checkpoint of a state write.
      const { thread_id: copy } = (await threads.copy(id)) as unknown as { thread_id: string };
      expect(copy).not.toBe(id);
      expect(await threads.getHistory(copy, { limit: 100 })).toHaveLength(5);
      await session.wait(copy, "breakpoints", { input: {} });
      expect((await threads.getState<Path>(copy)).values.path).toEqual(["a", "b", "c", "a", "b", "c"]);
      expect((await threads.getState<Path>(id)).values.path).toEqual(["a", "b", "c"]);
    });

    it("clones a thread from supersteps", async () => {
      const { threads } = session.client;
      const update = (asNode: string, path: string) => ({ updates: [{ values: { path: [path] }, asNode }] });
      const { thread_id } = await threads.create({
        graphId: "breakpoints",
        supersteps: [{ updates: [{ values: {}, asNode: "__input__" }] }, update("a", "A"), update("b", "B")],
      } as never);
      const state = await threads.getState<Path>(thread_id);
      expect([state.values.path, state.next]).toEqual([["A", "B"], ["c"]]);
    });

    // Older lines cannot ask for it.
    const pruning = session.has("threads.prune") ? it : undefined;
    pruning?.("prunes to the newest state, and away", async () => {
      const { threads } = session.client;
      const id = await session.thread();
      await session.wait(id, "breakpoints", { input: {} });
      expect(await threads.prune([id], { strategy: "keep_latest" })).toEqual({ pruned_count: 1 });
      expect(await threads.getHistory(id, { limit: 100 })).toHaveLength(1);
      expect((await threads.getState<Path>(id)).values.path).toEqual(["a", "b", "c"]);
      await threads.prune([id]);
      await expect(threads.get(id)).rejects.toThrow("404");
    });
  });
}
