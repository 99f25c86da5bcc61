import { describe, expect, it } from "bun:test";
import {
  ALICE,
  checkpoint,
  claimed,
  crash,
  type Engine,
  event,
  id,
  json,
  outcome,
  put,
  running,
  STRANGERS,
  text,
  useStorage,
  write,
  writes,
} from "./harness.ts";

export function checkpointsContract(engine: Engine): void {
  describe(`CheckpointRepository (${engine.name})`, () => {
    const bench = useStorage(engine);
    const checkpoints = () => bench.storage.checkpoints;

    it("returns a checkpoint with inline values, blobs and writes as they were written", async () => {
      const { fence } = await running(bench);
      const bytes = { type: "bytes", bytes: new Uint8Array([0, 255, 7]) };
      const empty = { type: "json", bytes: new Uint8Array(0) };
      const inline = JSON.parse('{"__proto__":0,"small":0,"empty":0}');
      Object.assign(inline, { small: bytes, empty });
      Object.defineProperty(inline, "__proto__", { value: json("p"), enumerable: true });
      const row = checkpoint(fence, "c1", { parent_checkpoint_id: "c0", inline, blobs: { big: "3.c1" } });
      const special = write(fence, "c1", { idx: -1, channel: "__error__", value: bytes });
      expect(
        await checkpoints().commit([put(fence, row, { big: json("B") }), writes(fence, write(fence, "c1"), special)]),
      ).toEqual(["written", "written"]);
      const found = await checkpoints().get(ALICE, { thread_id: fence.threadId, checkpoint_ns: "" });
      expect(found?.row).toEqual(row);
      expect(text(found?.values.big)).toBe("B");
      expect(found?.writes).toEqual([special, write(fence, "c1")]);
    });

    it("finds the newest, or the one with the id, in the namespace asked for", async () => {
      const { fence } = await running(bench);
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1")),
        put(fence, checkpoint(fence, "c2")),
        put(fence, checkpoint(fence, "c3", { checkpoint_ns: "sub" })),
      ]);
      const get = async (query: object) =>
        (await checkpoints().get(ALICE, { thread_id: fence.threadId, ...query }))?.row.checkpoint_id;
      expect(await get({ checkpoint_ns: "" })).toBe("c2");
      expect(await get({ checkpoint_ns: "", checkpoint_id: "c1" })).toBe("c1");
      expect(await get({ checkpoint_ns: "", checkpoint_id: "c3" })).toBeUndefined();
      expect(await get({})).toBe("c3");
      expect(await get({ checkpoint_ns: "", before: "c2" })).toBe("c1");
      expect(await checkpoints().locate(ALICE, fence.threadId, "c3")).toBe("sub");
      expect(await checkpoints().locate(ALICE, fence.threadId, "c9")).toBeUndefined();
    });

    it("names who wrote the newest checkpoint of a namespace", async () => {
      const { fence } = await running(bench);
      const writer = (ns: string, scope = ALICE) =>
        checkpoints().writer(scope, { thread_id: fence.threadId, checkpoint_ns: ns });
      expect(await writer("")).toBeUndefined();
      const by = (graph_id: string) => ({ metadata: JSON.stringify({ graph_id, assistant_id: "a", source: "loop" }) });
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c2", by("first"))),
        put(fence, checkpoint(fence, "c1", by("second"))),
        put(fence, checkpoint(fence, "c3", { checkpoint_ns: "sub", ...by("third") })),
        put(fence, checkpoint(fence, "c4", { checkpoint_ns: "bare", metadata: "{}" })),
        put(fence, checkpoint(fence, "c5", { checkpoint_ns: "bad", metadata: "no JSON" })),
      ]);
      expect(await writer("")).toEqual({ graph_id: "second", assistant_id: "a" });
      expect(await writer("sub")).toEqual({ graph_id: "third", assistant_id: "a" });
      expect([await writer("bare"), await writer("bad")]).toEqual([{}, undefined]);
      for (const scope of STRANGERS) expect(await writer("", scope)).toBeUndefined();
    });

    it("lists newest first with limit, before and contained metadata", async () => {
      const { fence } = await running(bench);
      const rows = [1, 2, 3].map((step) =>
        put(fence, checkpoint(fence, `c${step}`, { metadata: JSON.stringify({ step, tags: { a: step % 2 } }) })),
      );
      await checkpoints().commit(rows);
      const list = async (query: object) =>
        (await checkpoints().list(ALICE, { thread_id: fence.threadId, checkpoint_ns: "", ...query })).map(
          (c) => c.row.checkpoint_id,
        );
      expect(await list({})).toEqual(["c3", "c2", "c1"]);
      expect(await list({ limit: 1, before: "c3" })).toEqual(["c2"]);
      expect(await list({ filter: { tags: { a: 1 } } })).toEqual(["c3", "c1"]);
      expect(await list({ filter: { tags: { a: 1 } }, limit: 1 })).toEqual(["c3"]);
      expect(await list({ filter: { step: 9 } })).toEqual([]);
    });

    it("writes a blob once per version and shares it between checkpoints", async () => {
      const { fence } = await running(bench);
      const first = checkpoint(fence, "c1", { blobs: { big: "1.c1" } });
      const second = checkpoint(fence, "c2", { blobs: { big: "1.c1" } });
      await checkpoints().commit([put(fence, first, { big: json("one") }), put(fence, second)]);
      const found = await checkpoints().list(ALICE, { thread_id: fence.threadId });
      expect(found.map((c) => text(c.values.big))).toEqual(["one", "one"]);
    });

    it("keeps the first ordinary write, replaces special ones, and shows the highest epoch", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1")),
        writes(
          fence,
          write(fence, "c1", { value: json("first") }),
          write(fence, "c1", { idx: -4, value: json("old") }),
        ),
        writes(
          fence,
          write(fence, "c1", { value: json("again") }),
          write(fence, "c1", { idx: -4, value: json("new") }),
        ),
      ]);
      const seen = async () =>
        (await checkpoints().get(ALICE, { thread_id: run.thread_id, checkpoint_ns: "" }))?.writes.map((w) => [
          w.idx,
          text(w.value),
        ]);
      expect(await seen()).toEqual([
        [-4, "new"],
        [0, "first"],
      ]);
      await crash(bench);
      const next = await claimed(bench, run.run_id);
      await checkpoints().commit([writes(next.fence, write(next.fence, "c1", { value: json("second attempt") }))]);
      expect(await seen()).toEqual([
        [-4, "new"],
        [0, "second attempt"],
      ]);
    });

    it("orders writes by task path, task and index, in code point order", async () => {
      const { fence } = await running(bench);
      const rows = [
        ["b", "t", 0],
        ["a", "u", 1],
        ["a", "u", 0],
        ["a", "t", 2],
        ["\u{10000}", "t", 5],
        ["\uffff", "t", 4],
      ] as const;
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1")),
        writes(
          fence,
          ...rows.map(([task_path, task_id, idx], n) =>
            write(fence, "c1", { task_path, task_id, idx, channel: `${n}` }),
          ),
        ),
      ]);
      const found = await checkpoints().get(ALICE, { thread_id: fence.threadId, checkpoint_ns: "" });
      expect(found?.writes.map((w) => Number(w.channel))).toEqual([3, 2, 1, 0, 5, 4]);
    });

    it("answers each write by its own fence: a stale one never fails the others", async () => {
      const [a, b] = [await running(bench), await running(bench)];
      const stale = { ...b.fence, epoch: b.fence.epoch - 1 };
      expect(
        await checkpoints().commit([
          put(a.fence, checkpoint(a.fence, "c1")),
          put(stale, checkpoint(stale, "c1")),
          writes(stale, write(stale, "c1")),
          { kind: "events", fence: stale, rows: [event(0, 0)] },
          writes(a.fence, write(a.fence, "c1")),
          put(b.fence, checkpoint(b.fence, "c2")),
        ]),
      ).toEqual(["written", "fenced", "fenced", "fenced", "written", "written"]);
      expect((await checkpoints().list(ALICE, { thread_id: b.run.thread_id })).map((c) => c.row.checkpoint_id)).toEqual(
        ["c2"],
      );
      expect(await bench.storage.events.read(ALICE, { thread_id: b.run.thread_id, limit: 9 })).toEqual([]);
    });

    it("loses only the write that cannot be stored, and what the same run wrote after it", async () => {
      const [a, b] = [await running(bench), await running(bench)];
      const bad = checkpoint(a.fence, "c2", { checkpoint: null as unknown as string });
      const answers = await checkpoints().commit([
        put(a.fence, checkpoint(a.fence, "c1")),
        put(a.fence, bad, { big: json("unused") }),
        put(b.fence, checkpoint(b.fence, "c1")),
        put(a.fence, checkpoint(a.fence, "c3")),
      ]);
      expect(answers.map((answer) => (answer instanceof Error ? "error" : answer))).toEqual([
        "written",
        "error",
        "written",
        "error",
      ]);
      expect((await checkpoints().list(ALICE, { thread_id: a.run.thread_id })).map((c) => c.row.checkpoint_id)).toEqual(
        ["c1"],
      );
    });

    it("knows the newest checkpoint and the interrupts of a run", async () => {
      const { run, fence } = await running(bench);
      const place = { thread_id: run.thread_id, checkpoint_ns: "", run_id: run.run_id };
      expect(await checkpoints().newestOfRun(ALICE, place)).toBeUndefined();
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1")),
        put(fence, checkpoint(fence, "c2")),
        put(fence, checkpoint(fence, "c3", { run_id: id() })),
        writes(fence, write(fence, "c2", { idx: -3, channel: "__interrupt__" })),
      ]);
      expect(await checkpoints().newestOfRun(ALICE, place)).toBe("c2");
      expect(await checkpoints().interruptsOfRun(ALICE, { ...place, checkpoint_id: "c2" })).toBe(true);
      expect(await checkpoints().interruptsOfRun(ALICE, { ...place, checkpoint_id: "c1" })).toBe(false);
      expect(await checkpoints().interruptsOfRun(ALICE, { ...place, run_id: id(), checkpoint_id: "c2" })).toBe(false);
    });

    it("names the root namespaces, whatever lies below them", async () => {
      const { fence } = await running(bench);
      const roots = ["", "assistant:a", "assistant:ab"];
      const below = ["node:1", "assistant:a|tools:1", "assistant:a|tools:1|x:2", "assistant:b|only-below", "zebra"];
      await checkpoints().commit(
        [...roots, ...below].map((ns) => put(fence, checkpoint(fence, "c1", { checkpoint_ns: ns }))),
      );
      expect(await checkpoints().scopes(ALICE, fence.threadId)).toEqual(roots);
    });

    it("takes back what a dead attempt left, save the finished tasks at the root", async () => {
      const { run, fence } = await running(bench);
      const earlier = id();
      await checkpoints().commit([
        put(fence, checkpoint(fence, "base", { run_id: earlier })),
        writes(fence, write(fence, "base"), write(fence, "base", { idx: -4, channel: "__resume__" })),
        writes(fence, write(fence, "base", { idx: -3, channel: "__interrupt__", run_id: earlier })),
        put(fence, checkpoint(fence, "s1", { checkpoint_ns: "node:t" })),
        writes(fence, write(fence, "s1", { checkpoint_ns: "node:t" })),
      ]);
      expect(await checkpoints().takeBack({ ...fence, epoch: 7 }, "")).toBe(false);
      await crash(bench);
      const next = await claimed(bench, run.run_id);
      await checkpoints().commit([writes(next.fence, write(next.fence, "base", { idx: -1, task_id: "mine" }))]);
      expect(await checkpoints().takeBack(next.fence, "")).toBe(true);
      const root = await checkpoints().get(ALICE, { thread_id: run.thread_id, checkpoint_ns: "" });
      expect(root?.writes.map((w) => [w.task_id, w.idx])).toEqual([
        ["mine", -1],
        ["task", -3],
        ["task", 0],
      ]);
      expect(await checkpoints().list(ALICE, { thread_id: run.thread_id, checkpoint_ns: "node:t" })).toEqual([]);
    });

    it("walks ancestors for delta channels to the nearest stored value of each", async () => {
      const { fence } = await running(bench);
      const at = (n: number, changes = {}) =>
        put(fence, checkpoint(fence, `c${n}`, { parent_checkpoint_id: n > 1 ? `c${n - 1}` : null, ...changes }));
      const w = (n: number, channel: string, idx = 0) =>
        write(fence, `c${n}`, { channel, idx, value: json(`${channel}${n}${idx}`) });
      await checkpoints().commit([
        at(1, { inline: { a: json("seed-a1") } }),
        at(2, { blobs: { b: "2.c2" } }),
        at(3),
        at(4, { inline: { a: json("own") } }),
        {
          kind: "checkpoint",
          fence,
          row: checkpoint(fence, "x"),
          blobs: [
            { thread_id: fence.threadId, checkpoint_ns: "", channel: "b", version: "2.c2", value: json("seed-b2") },
          ],
        },
        writes(fence, w(1, "a"), w(1, "b", 1), w(2, "a", 0), w(2, "a", 1), w(2, "b", 2), w(3, "a"), w(4, "a")),
      ]);
      const found = await checkpoints().ancestors(ALICE, {
        thread_id: fence.threadId,
        checkpoint_ns: "",
        checkpoint_id: "c4",
        channels: ["a", "b", "none"],
      });
      const shown = Object.fromEntries(
        Object.entries(found).map(([channel, h]) => [channel, [text(h.seed), h.writes.map((row) => text(row.value))]]),
      );
      expect(shown).toEqual({
        a: ["seed-a1", ["a10", "a20", "a21", "a30"]],
        b: ["seed-b2", ["b22"]],
        none: [undefined, []],
      });
    });

    it("hides checkpoints from other owners, tenants and conditions in every read", async () => {
      const { run, fence } = await running(bench);
      await checkpoints().commit([
        put(fence, checkpoint(fence, "c1", { inline: { a: json(1) } })),
        writes(fence, write(fence, "c1", { channel: "__interrupt__", idx: -3 })),
      ]);
      const place = { thread_id: run.thread_id, checkpoint_ns: "" };
      for (const scope of STRANGERS) {
        expect(await checkpoints().get(scope, place)).toBeUndefined();
        expect(await checkpoints().list(scope, place)).toEqual([]);
        expect(await checkpoints().locate(scope, run.thread_id, "c1")).toBeUndefined();
        expect(await checkpoints().scopes(scope, run.thread_id)).toEqual([]);
        expect(await checkpoints().newestOfRun(scope, { ...place, run_id: run.run_id })).toBeUndefined();
        expect(await checkpoints().interruptsOfRun(scope, { ...place, run_id: run.run_id, checkpoint_id: "c1" })).toBe(
          false,
        );
        const walk = { ...place, checkpoint_id: "c1", channels: ["a"] };
        expect(await checkpoints().ancestors(scope, walk)).toEqual({ a: { writes: [], seed: undefined } });
        await checkpoints().deleteThread(scope, run.thread_id);
      }
      expect(await checkpoints().get(ALICE, place)).toBeDefined();
      await checkpoints().deleteThread(ALICE, run.thread_id);
      expect(await checkpoints().list(ALICE, { thread_id: run.thread_id })).toEqual([]);
    });

    it("serves checkpoints of a hidden thread to its own run", async () => {
      const { run, fence } = await running(bench, { stateless: true, on_completion: "delete" });
      await checkpoints().commit([put(fence, checkpoint(fence, "c1"))]);
      expect(await checkpoints().get(ALICE, { thread_id: run.thread_id, checkpoint_ns: "" })).toBeDefined();
      await bench.storage.runs.finish(fence, outcome());
      expect(await checkpoints().get(ALICE, { thread_id: id(), checkpoint_ns: "" })).toBeUndefined();
    });
  });
}
