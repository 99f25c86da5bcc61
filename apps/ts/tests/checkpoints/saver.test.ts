import { describe, expect, it } from "bun:test";
import { AIMessage, type BaseMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, Command, END, interrupt, MessagesAnnotation, Send, START, StateGraph } from "@langchain/langgraph";
import { LeaseLostError } from "#core/errors";
import { ENGINES, idOf, run, thread, World } from "./world.ts";

const THREAD = idOf("t");

const Log = Annotation.Root({
  log: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
  big: Annotation<string>(),
});

function chain() {
  return new StateGraph(Log)
    .addNode("one", () => ({ log: ["one"] }))
    .addNode("two", () => ({ log: ["two"], big: "b".repeat(5000) }))
    .addNode("three", () => ({ log: ["three"] }))
    .addEdge(START, "one")
    .addEdge("one", "two")
    .addEdge("two", "three")
    .addEdge("three", END)
    .compile();
}

function asking() {
  const child = new StateGraph(Log)
    .addNode("ask", () => ({ log: [`answer: ${interrupt("question") as string}`] }))
    .addEdge(START, "ask")
    .compile();
  return new StateGraph(Log)
    .addNode("before", () => ({ log: ["before"] }))
    .addNode("child", child)
    .addEdge(START, "before")
    .addEdge("before", "child")
    .compile();
}

for (const engine of ENGINES)
  describe(`FencedSaver (${engine})`, () => {
    for (const durability of ["sync", "async", "exit"] as const) {
      for (const acknowledge of ["written", "queued"] as const) {
        it(`keeps a run's state (durability ${durability}, ${acknowledge})`, async () => {
          await using world = await World.open(engine);
          const saver = await world.saver(THREAD, { acknowledge });
          const graph = world.bind(chain(), saver);
          await run(graph, { log: ["in"] }, { ...thread(THREAD), durability });
          await saver.settled();
          const again = world.bind(chain(), world.reader());
          const state = await again.getState(thread(THREAD));
          expect(state.values.log).toEqual(["in", "one", "two", "three"]);
          expect(state.next).toEqual([]);
          expect(saver.inFlight).toBe(0);
          const stored = await world.stored(THREAD);
          expect(stored.length).toBe(durability === "exit" ? 1 : 5);
          expect(stored.every(({ row }) => row.run_id === idOf("run-1") && row.epoch === 1)).toBe(true);
        });
      }
    }

    it("writes a large value once and small ones inline, and carries both over", async () => {
      await using world = await World.open(engine);
      const saver = await world.saver(THREAD);
      await run(world.bind(chain(), saver), { log: ["in"] }, thread(THREAD));
      expect((await world.blobs(THREAD)).length).toBe(1);
      const stored = await world.stored(THREAD);
      expect(stored.filter(({ row }) => "big" in row.blobs).length).toBe(2);
      expect(stored.filter(({ row }) => "log" in row.inline).length).toBe(4);
      // Another run on the thread carries it on without writing it again.
      const next = await world.saver(THREAD);
      await run(world.bind(chain(), next), { log: ["again"] }, thread(THREAD));
      expect((await world.blobs(THREAD)).length).toBe(2);
    });

    it("stores what a value was when it was put, whatever the graph does to it afterwards", async () => {
      await using world = await World.open(engine);
      const saver = await world.saver(THREAD);
      const value = { list: [1], messages: [new HumanMessage("hello")] as BaseMessage[] };
      const checkpoint = {
        v: 4,
        id: "1f000000-0000-6000-8000-000000000001",
        ts: "2026-01-01T00:00:00Z",
        channel_values: { state: value },
        channel_versions: { state: 1 },
        versions_seen: {},
      };
      const put = saver.put(thread(THREAD), checkpoint, { source: "input", step: -1, parents: {} }, { state: 1 });
      const write = saver.putWrites(thread(THREAD, { checkpoint_id: checkpoint.id }), [["state", value]], "task", "~1");
      value.list.push(2);
      (value.messages[0] as HumanMessage).content = "changed";
      await Promise.all([put, write]);
      const tuple = await world.reader().getTuple(thread(THREAD));
      const stored = tuple?.checkpoint.channel_values.state as typeof value;
      expect(stored.list).toEqual([1]);
      expect(stored.messages[0]?.content).toBe("hello");
      expect(tuple?.pendingWrites?.[0]?.[2]).toMatchObject({ list: [1] });
      expect((await world.stored(THREAD))[0]?.writes[0]?.task_path).toBe("~1");
    });

    it("keeps two assistants on one thread apart, and resumes the subgraph interrupt of each", async () => {
      await using world = await World.open(engine);
      const graph = asking();
      for (const name of ["A", "B"]) {
        const saver = await world.saver(THREAD, { checkpointScope: `assistant:${name}` });
        await run(world.bind(graph, saver), { log: [name] }, thread(THREAD));
      }
      const namespaces = new Set(
        (await world.stored(THREAD)).map(({ row }) => row.checkpoint_ns.replace(/child:.*/, "child")),
      );
      expect([...namespaces].sort()).toEqual(["assistant:A", "assistant:A|child", "assistant:B", "assistant:B|child"]);
      for (const name of ["A", "B"]) {
        const saver = await world.saver(THREAD, { checkpointScope: `assistant:${name}` });
        const bound = world.bind(graph, saver);
        const waiting = await bound.getState(thread(THREAD), { subgraphs: true });
        expect(waiting.next).toEqual(["child"]);
        expect(waiting.tasks[0].interrupts[0].value).toBe("question");
        expect(waiting.tasks[0].state.config.configurable.checkpoint_ns).toStartWith("child:");
        expect(JSON.stringify([waiting.config, waiting.parentConfig, waiting.tasks[0].state.config])).not.toContain(
          "assistant:",
        );
        await run(bound, new Command({ resume: `to ${name}` }), thread(THREAD));
        const done = await world
          .bind(graph, world.reader({ checkpointScope: `assistant:${name}` }))
          .getState(thread(THREAD));
        // A subgraph's state goes back whole, so its reducer adds what it was given once more.
        expect(done.values.log.slice(0, 2)).toEqual([name, "before"]);
        expect(done.values.log.at(-1)).toBe(`answer: to ${name}`);
        expect(done.next).toEqual([]);
      }
    });

    it("shares the thread between assistants in the shared scope", async () => {
      await using world = await World.open(engine);
      await run(world.bind(chain(), await world.saver(THREAD)), { log: ["a"] }, thread(THREAD));
      await run(world.bind(chain(), await world.saver(THREAD)), { log: ["b"] }, thread(THREAD));
      const state = await world.bind(chain(), world.reader()).getState(thread(THREAD));
      expect(state.values.log).toEqual(["a", "one", "two", "three", "b", "one", "two", "three"]);
    });

    it("addresses a subgraph by a checkpoint map without seeing the scope", async () => {
      await using world = await World.open(engine);
      const graph = asking();
      const scope = { checkpointScope: "assistant:A" };
      await run(world.bind(graph, await world.saver(THREAD, scope)), { log: ["x"] }, thread(THREAD));
      const bound = world.bind(graph, world.reader(scope));
      const outer = await bound.getState(thread(THREAD), { subgraphs: true });
      const inner = outer.tasks[0].state.config.configurable;
      expect(Object.keys(inner.checkpoint_map).sort()).toEqual(["", inner.checkpoint_ns].sort());
      const state = await bound.getState(
        thread(THREAD, { checkpoint_ns: inner.checkpoint_ns, checkpoint_map: inner.checkpoint_map }),
      );
      expect(state.next).toEqual(["ask"]);
    });

    it("writes nothing under a stale fence and says so once", async () => {
      await using world = await World.open(engine);
      const lost: unknown[] = [];
      const controller = new AbortController();
      const saver = await world.saver(THREAD, {
        onLost: (error) => {
          lost.push(error);
          controller.abort(error);
        },
      });
      await world.grant(THREAD, idOf("thief"));
      const failed = await run(
        world.bind(chain(), saver),
        { log: ["in"] },
        { ...thread(THREAD), signal: controller.signal },
      ).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failed).toBeInstanceOf(LeaseLostError);
      expect(lost.length).toBe(1);
      await saver.idle();
      await expect(saver.settled()).rejects.toBeInstanceOf(LeaseLostError);
      expect(await world.stored(THREAD)).toEqual([]);
      await expect(
        saver.putWrites(thread(THREAD, { checkpoint_id: "x" }), [["log", 1]], "task"),
      ).rejects.toBeInstanceOf(LeaseLostError);
      expect(lost.length).toBe(1);
    });

    it("refuses writes after close, without a fence, and to another thread", async () => {
      await using world = await World.open(engine);
      const at = thread(THREAD, { checkpoint_id: "x" });
      await expect(world.reader().putWrites(at, [["log", 1]], "task")).rejects.toThrow("only reads");
      const saver = await world.saver(THREAD);
      await expect(
        saver.putWrites(thread(idOf("other"), { checkpoint_id: "x" }), [["log", 1]], "task"),
      ).rejects.toThrow(`owns thread ${THREAD}`);
      const closing = await world.saver(THREAD);
      const before = closing.putWrites(at, [["log", 1]], "task");
      const reason = new Error("cancelled");
      closing.close(reason);
      await expect(closing.putWrites(at, [["log", 2]], "task")).rejects.toBe(reason);
      await before;
      await closing.idle();
      expect(closing.inFlight).toBe(0);
    });

    it("reads its own writes without asking the storage", async () => {
      await using world = await World.open(engine);
      const saver = await world.saver(THREAD, { acknowledge: "queued" });
      const graph = world.bind(asking(), saver);
      await run(graph, { log: ["x"] }, thread(THREAD));
      const unread = world.repository.get.bind(world.repository);
      let asked = 0;
      world.repository.get = (...args) => {
        asked++;
        return unread(...args);
      };
      const mine = await graph.getState(thread(THREAD), { subgraphs: true });
      expect(asked).toBe(0);
      await saver.settled();
      const stored = await world.bind(asking(), world.reader()).getState(thread(THREAD), { subgraphs: true });
      expect(JSON.stringify(mine)).toBe(JSON.stringify(stored));
    });

    it("forks from an earlier checkpoint without mixing the branches' values", async () => {
      await using world = await World.open(engine);
      const Count = Annotation.Root({ text: Annotation<string>() });
      const grow = (letter: string) =>
        new StateGraph(Count)
          .addNode("grow", (state) => ({ text: (state.text ?? "") + letter.repeat(2000) }))
          .addNode("more", (state) => ({ text: `${state.text}${letter}` }))
          .addEdge(START, "grow")
          .addEdge("grow", "more")
          .compile();
      await run(world.bind(grow("a"), await world.saver(THREAD)), { text: "s".repeat(2000) }, thread(THREAD));
      const history = [];
      for await (const state of world.bind(grow("a"), world.reader()).getStateHistory(thread(THREAD)))
        history.push(state);
      const early = history.find((state) => state.next[0] === "grow");
      await run(world.bind(grow("b"), await world.saver(THREAD)), null, early.config);
      const head = await world.bind(grow("b"), world.reader()).getState(thread(THREAD));
      expect(head.values.text).toBe(`${"s".repeat(2000)}${"b".repeat(2001)}`);
      const old = await world.bind(grow("a"), world.reader()).getState(history[0].config);
      expect(old.values.text).toBe(`${"s".repeat(2000)}${"a".repeat(2001)}`);
    });

    it("goes on from its last checkpoint after the process died between supersteps", async () => {
      await using world = await World.open(engine);
      const started: string[] = [];
      const slow = () => {
        const graph = new StateGraph(Log)
          .addNode("left", () => {
            started.push("left");
            return { log: ["left"] };
          })
          .addNode("right", () => {
            started.push("right");
            if (started.length < 3) throw new Error("died");
            return { log: ["right"] };
          })
          .addEdge(START, "left")
          .addEdge(START, "right")
          .compile();
        return graph;
      };
      const first = await world.saver(THREAD);
      await expect(
        run(world.bind(slow(), first), { log: ["in"] }, { ...thread(THREAD), durability: "sync" }),
      ).rejects.toThrow("died");
      await first.idle();
      const second = await world.saver(THREAD);
      await run(world.bind(slow(), second), null, thread(THREAD));
      // The finished task's write is taken, not made again.
      expect(started).toEqual(["left", "right", "right"]);
      const state = await world.bind(slow(), world.reader()).getState(thread(THREAD));
      expect(state.values.log).toEqual(["in", "left", "right"]);
    });

    it("keeps packets for the next step and messages through a restart", async () => {
      await using world = await World.open(engine);
      const graph = new StateGraph(MessagesAnnotation)
        .addNode("plan", () => ({ messages: [new AIMessage({ content: "plan", id: "p" })] }))
        .addNode("work", (state: { item?: string }) => ({
          messages: [new AIMessage({ content: `did ${state.item}`, id: state.item ?? "" })],
        }))
        .addEdge(START, "plan")
        .addConditionalEdges("plan", () => [new Send("work", { item: "x" }), new Send("work", { item: "y" })], ["work"])
        .compile();
      const saver = await world.saver(THREAD);
      await run(
        world.bind(graph, saver),
        { messages: [new HumanMessage({ content: "go", id: "h" })] },
        {
          ...thread(THREAD),
          interruptBefore: ["work"],
        },
      );
      await run(world.bind(graph, await world.saver(THREAD)), null, thread(THREAD));
      const state = await world.bind(graph, world.reader()).getState(thread(THREAD));
      expect(state.values.messages.map((message: BaseMessage) => message.content)).toEqual([
        "go",
        "plan",
        "did x",
        "did y",
      ]);
      expect(state.values.messages[0]).toBeInstanceOf(HumanMessage);
    });

    it("fails a run whose state cannot be stored, by name of the trouble", async () => {
      await using world = await World.open(engine);
      const Odd = Annotation.Root({ n: Annotation<unknown>() });
      const graph = new StateGraph(Odd)
        .addNode("odd", () => ({ n: { deep: 1n } }))
        .addEdge(START, "odd")
        .compile();
      const lost: unknown[] = [];
      const saver = await world.saver(THREAD, { onLost: (error) => lost.push(error) });
      await expect(run(world.bind(graph, saver), { n: 1 }, thread(THREAD))).rejects.toThrow("cannot be stored");
      await saver.idle();
      expect(lost.length).toBe(1);
    });
  });
