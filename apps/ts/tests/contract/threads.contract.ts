import { describe, expect, it } from "bun:test";
import {
  ALICE,
  checkpoint,
  claimed,
  create,
  type Engine,
  id,
  json,
  outcome,
  put,
  running,
  STRANGERS,
  state,
  text,
  useStorage,
  write,
  writes,
} from "./harness.ts";

const PAGE = { limit: 10, offset: 0 };

export function threadsContract(engine: Engine): void {
  describe(`ThreadRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const threads = () => bench.storage.threads;

    async function made(metadata = {}): Promise<string> {
      const threadId = id();
      expect(await threads().insert(ALICE, { thread_id: threadId, metadata })).toBeDefined();
      return threadId;
    }

    it("starts idle, without values, interrupts or an error", async () => {
      const threadId = await made({ a: 1 });
      const thread = await threads().find(ALICE, threadId);
      expect(thread).toMatchObject({
        thread_id: threadId,
        status: "idle",
        metadata: { a: 1 },
        values: null,
        interrupts: {},
        error: null,
      });
      expect(await threads().lastScope(ALICE, threadId)).toBeUndefined();
    });

    it("refuses an id that exists, also when it is somebody else's", async () => {
      const threadId = await made();
      for (const scope of [ALICE, ...STRANGERS]) {
        expect(await threads().insert(scope, { thread_id: threadId, metadata: {} })).toBeUndefined();
      }
    });

    it("hides a thread from other owners, tenants and conditions in every method", async () => {
      const threadId = await made({ team: "blue" });
      for (const scope of STRANGERS) {
        expect(await threads().find(scope, threadId)).toBeUndefined();
        expect(await threads().lastScope(scope, threadId)).toBeUndefined();
        expect(await threads().patch(scope, threadId, { metadata: { x: 1 } })).toBeUndefined();
        expect(await threads().remove(scope, threadId)).toBe(false);
        expect((await threads().search(scope, PAGE)).items).toEqual([]);
        expect(await threads().count(scope, {})).toBe(0);
        expect(await threads().copy(scope, threadId, id())).toBe("no_thread");
        expect(await threads().prune(scope, [threadId], "delete")).toBe(0);
      }
      const conditions = [{ team: "blue" }, { team: { $eq: "blue" } }] as const;
      for (const filters of conditions) expect(await threads().find({ ...ALICE, filters }, threadId)).toBeDefined();
    });

    it("applies $contains conditions of the scope to lists in the metadata", async () => {
      const threadId = await made({ readers: ["ann", "bob"] });
      const seen = (wanted: string | string[]) =>
        threads().count({ ...ALICE, filters: { readers: { $contains: wanted } } }, {});
      expect(await seen("ann")).toBe(1);
      expect(await seen(["ann", "bob"])).toBe(1);
      expect(await seen(["ann", "eve"])).toBe(0);
      expect(await threads().find({ ...ALICE, filters: { readers: { $contains: "eve" } } }, threadId)).toBeUndefined();
    });

    it("merges metadata shallowly on patch and moves updated_at", async () => {
      const threadId = await made({ a: { b: 1 }, c: 1 });
      const before = await threads().find(ALICE, threadId);
      const after = await threads().patch(ALICE, threadId, { metadata: { a: { d: 2 } } });
      expect(after?.metadata).toEqual({ a: { d: 2 }, c: 1 });
      expect(Date.parse(after?.updated_at as string)).toBeGreaterThan(Date.parse(before?.updated_at as string));
      expect(after?.state_updated_at).toBe(before?.state_updated_at as string);
    });

    it("keeps a member called __proto__ in metadata as data", async () => {
      const threadId = await made(JSON.parse('{"__proto__":{"x":1},"k":1}'));
      const after = await threads().patch(ALICE, threadId, { metadata: { j: 2 } });
      const members = Object.entries(after?.metadata ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
      expect(members).toEqual([
        ["__proto__", { x: 1 }],
        ["j", 2],
        ["k", 1],
      ]);
    });

    it("finds by contained metadata: nested objects, lists, types, null", async () => {
      await made({ n: 1, s: "1", t: true, z: null, list: [1, { a: [2, 3] }], deep: { x: { y: "v", w: 1 } } });
      const count = (metadata: Record<string, unknown>) => threads().count(ALICE, { metadata });
      for (const inside of [
        {},
        { n: 1 },
        { s: "1" },
        { t: true },
        { z: null },
        { list: [] },
        { list: [{ a: [3] }] },
        { list: [1] },
        { deep: {} },
        { deep: { x: { y: "v" } } },
        { n: 1, deep: { x: { w: 1 } } },
      ]) {
        expect([inside, await count(inside)]).toEqual([inside, 1]);
      }
      for (const outside of [
        { n: "1" },
        { s: 1 },
        { t: 1 },
        { t: "true" },
        { missing: null },
        { list: 1 },
        { list: [2] },
        { list: [{ a: [4] }] },
        { deep: { y: "v" } },
        { deep: { x: "v" } },
        { n: 10 },
      ]) {
        expect([outside, await count(outside)]).toEqual([outside, 0]);
      }
    });

    it("finds by ids, status and contained values", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.runs.finish(fence, outcome({ state: state({ messages: [{ type: "ai", content: "x" }] }) }));
      const other = await made();
      const ids = async (filter: object) =>
        (await threads().search(ALICE, { ...PAGE, ...filter })).items.map((t) => t.thread_id);
      expect(await ids({ ids: [other, id()] })).toEqual([other]);
      expect(await ids({ values: { messages: [{ type: "ai" }] } })).toEqual([run.thread_id]);
      expect(await ids({ values: { messages: [{ type: "human" }] } })).toEqual([]);
      expect(await ids({ status: "busy" })).toEqual([]);
      expect((await ids({ status: "idle" })).sort()).toEqual([run.thread_id, other].sort());
    });

    it("sorts by the known columns, what changed last first by default, and says whether more follows", async () => {
      const later = async (metadata: object) => {
        await bench.advance(10);
        return made(metadata);
      };
      const [first, second, third] = [await made({ i: 1 }), await later({ i: 2 }), await later({ i: 3 })];
      expect(await threads().search(ALICE, { limit: 2, offset: 0 })).toMatchObject({
        items: [{ thread_id: third }, { thread_id: second }],
        more: true,
      });
      await threads().patch(ALICE, first, { metadata: {} });
      await bench.advance(10);
      await threads().patch(ALICE, first, { metadata: {} });
      expect((await threads().search(ALICE, { ...PAGE, sort_by: "updated_at" })).items[0]?.thread_id).toBe(first);
      expect((await threads().search(ALICE, PAGE)).items.map((t) => t.thread_id)).toEqual([first, third, second]);
      const byId = await threads().search(ALICE, { ...PAGE, sort_by: "thread_id", sort_order: "asc" });
      expect(byId.items.map((t) => t.thread_id)).toEqual([first, second, third].sort());
      const last = await threads().search(ALICE, { limit: 2, offset: 2, metadata: {}, sort_by: "created_at" });
      expect(last).toMatchObject({ items: [{ thread_id: first }], more: false });
    });

    it("deletes a thread with its runs, checkpoints and events, and fences what still runs on it", async () => {
      const { run, fence } = await running(bench);
      await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c1"))]);
      expect(await threads().remove(ALICE, run.thread_id)).toBe(true);
      expect(await bench.storage.runs.find(ALICE, run.run_id)).toBeUndefined();
      expect(await bench.storage.checkpoints.list(ALICE, { thread_id: run.thread_id })).toEqual([]);
      expect(await bench.storage.checkpoints.commit([put(fence, checkpoint(fence, "c2"))])).toEqual(["fenced"]);
      expect((await bench.storage.runs.finish(fence, outcome())).kind).toBe("fenced");
    });

    it("copies every scope's state without runs, run ids and log, and recomputes the status", async () => {
      const { run, fence } = await running(bench);
      const { checkpoints, events, runs } = bench.storage;
      const interrupts = { t1: [{ id: "i1", value: "ok?" }] };
      const row = checkpoint(fence, "c1", { inline: { a: json(1) }, blobs: { big: "1.c1" } });
      await checkpoints.commit([
        put(fence, row, { big: json("large") }),
        put(fence, checkpoint(fence, "c9", { checkpoint_ns: "assistant:x" })),
        writes(
          fence,
          write(fence, "c1", { epoch: fence.epoch }),
          write(fence, "c1", { idx: -3, channel: "__interrupt__" }),
        ),
        writes(fence, write(fence, "c1", { epoch: fence.epoch + 1, value: json("newer") })),
      ]);
      expect(await threads().copy(ALICE, run.thread_id, id())).toBe("busy");
      await runs.finish(fence, outcome({ state: state({ v: 1 }, { interrupts, pending: true }) }));

      const copyId = id();
      const copy = await threads().copy(ALICE, run.thread_id, copyId);
      expect(copy).toMatchObject({
        thread_id: copyId,
        status: "interrupted",
        values: { v: 1 },
        interrupts,
        metadata: { thread_id: copyId, graph_id: "agent" },
      });
      const found = await checkpoints.get(ALICE, { thread_id: copyId, checkpoint_ns: "" });
      expect(found?.row).toMatchObject({ checkpoint_id: "c1", run_id: null, epoch: 0 });
      expect([text(found?.row.inline.a), text(found?.values.big)]).toEqual([1, "large"]);
      expect(found?.writes.map((w) => [w.idx, text(w.value), w.run_id, w.epoch])).toEqual([
        [-3, "hello", null, 0],
        [0, "newer", null, 0],
      ]);
      expect(await checkpoints.scopes(ALICE, copyId)).toEqual(["", "assistant:x"]);
      expect(await events.read(ALICE, { thread_id: copyId, limit: 10 })).toEqual([]);
      expect((await runs.list(ALICE, copyId, PAGE)).items).toEqual([]);
      await expect(threads().copy(ALICE, run.thread_id, copyId)).rejects.toMatchObject({ code: "conflict" });
      expect(await threads().copy(ALICE, id(), id())).toBe("no_thread");
    });

    it("prunes to the newest checkpoint of each namespace, with the ancestors that delta channels need", async () => {
      const { run, fence } = await running(bench);
      const { checkpoints, runs } = bench.storage;
      const chain = (n: number, changes = {}) =>
        put(fence, checkpoint(fence, `c${n}`, { parent_checkpoint_id: n > 1 ? `c${n - 1}` : null, ...changes }));
      await checkpoints.commit([
        chain(1),
        chain(2, { inline: { log: json(["seed"]) } }),
        chain(3),
        chain(4, { metadata: JSON.stringify({ counters_since_delta_snapshot: { log: [2, 2] } }) }),
        writes(fence, write(fence, "c1"), write(fence, "c3"), write(fence, "c4")),
        put(fence, checkpoint(fence, "s1", { checkpoint_ns: "sub:1" })),
        put(fence, checkpoint(fence, "s2", { checkpoint_ns: "sub:1" })),
      ]);
      expect(await threads().prune(ALICE, [run.thread_id], "keep_latest")).toBe(0);
      await runs.finish(fence, outcome());
      expect(await threads().prune(ALICE, [run.thread_id, id()], "keep_latest")).toBe(1);
      const left = await checkpoints.list(ALICE, { thread_id: run.thread_id });
      expect(left.map((c) => c.row.checkpoint_id)).toEqual(["s2", "c4", "c3", "c2"]);
      expect(left.map((c) => c.writes.length)).toEqual([0, 1, 1, 0]);
      expect(await threads().prune(ALICE, [run.thread_id], "delete")).toBe(1);
      expect(await threads().find(ALICE, run.thread_id)).toBeUndefined();
    });

    it("prunes the namespaces of tasks that are over, and keeps those of tasks of the newest checkpoint", async () => {
      const { run, fence } = await running(bench);
      const { checkpoints, runs } = bench.storage;
      const at = (ns: string, checkpointId: string, parents?: Record<string, string>) =>
        put(
          fence,
          checkpoint(fence, checkpointId, {
            checkpoint_ns: ns,
            ...(parents && { metadata: JSON.stringify({ parents }) }),
          }),
        );
      for (const scope of ["", "assistant:11111111-1111-4111-8111-111111111111"]) {
        const under = (ns: string) => (scope === "" ? ns : `${scope}|${ns}`);
        await checkpoints.commit([
          at(scope, "c1"),
          at(under("a:over"), "c2", { "": "c1" }),
          at(under("a:over|b:over"), "c3", { "": "c1", "a:over": "c2" }),
          // It has a memory of its own: no task's id in its name.
          at(under("memory"), "c2", { "": "c1" }),
          at(scope, "c5"),
          // By a clock that is behind.
          at(under("a:now"), "c4", { "": "c5" }),
          at(under("a:now|1"), "c6", { "": "c5" }),
          at(under("a:now|b:over"), "c7", { "": "c5", "a:now": "c3" }),
          at(under("a:now|b:now"), "c8", { "": "c5", "a:now": "c4" }),
          at(under("a:unknown"), "c1", { "": "c5", gone: "c1" }),
          at(under("a:silent"), "c1"),
          writes(fence, write(fence, "c2", { checkpoint_ns: under("a:over") })),
          writes(fence, write(fence, "c8", { checkpoint_ns: under("a:now|b:now") })),
        ]);
      }
      await runs.finish(fence, outcome());
      expect(await threads().prune(ALICE, [run.thread_id], "keep_latest")).toBe(1);
      const left = await checkpoints.list(ALICE, { thread_id: run.thread_id });
      const named = (scope: string) =>
        left
          .filter(({ row }) => row.checkpoint_ns.startsWith("assistant:") === (scope !== ""))
          .map(({ row, writes }) => [row.checkpoint_ns.slice(scope.length), row.checkpoint_id, writes.length])
          .sort();
      const kept = [
        ["a:now", "c4", 0],
        ["a:now|1", "c6", 0],
        ["a:now|b:now", "c8", 1],
        ["a:silent", "c1", 0],
        ["a:unknown", "c1", 0],
        ["memory", "c2", 0],
      ];
      expect(named("")).toEqual([["", "c5", 0], ...kept] as never);
      const scope = "assistant:11111111-1111-4111-8111-111111111111";
      expect(named(scope)).toEqual([["", "c5", 0], ...kept.map(([ns, ...rest]) => [`|${ns}`, ...rest])] as never);
    });

    it("shows when a thread expires, and counts from its last activity", async () => {
      const threadId = id();
      await threads().insert(ALICE, {
        thread_id: threadId,
        metadata: {},
        ttl: { strategy: "delete", ttl_minutes: 1.5 },
      });
      const ttl = async () => (await threads().find(ALICE, threadId))?.ttl;
      const before = Date.parse((await ttl())?.expires_at as string);
      await bench.advance(60_000);
      const { fence } = await claimed(bench, (await create(bench, threadId)).run_id);
      await bench.storage.runs.finish(fence, outcome());
      expect(Date.parse((await ttl())?.expires_at as string) - before).toBeGreaterThan(59_000);
      await threads().patch(ALICE, threadId, { ttl: null });
      expect(await ttl()).toBeUndefined();
    });
  });
}
