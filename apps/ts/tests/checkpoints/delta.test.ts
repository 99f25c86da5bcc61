import { describe, expect, it } from "bun:test";
import { AIMessage, type BaseMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, DeltaChannel, messagesDeltaReducer, START, StateGraph } from "@langchain/langgraph";
import { ENGINES, idOf, run, thread, World } from "./world.ts";

const THREAD = idOf("t");

/** A chat whose messages are kept as differences, with a snapshot every so many updates. */
function chat(snapshotFrequency: number) {
  const State = Annotation.Root({
    // biome-ignore lint/suspicious/noExplicitAny: Annotation has no type for a channel of one's own
    messages: (() => new DeltaChannel(messagesDeltaReducer as any, { snapshotFrequency })) as any,
    turn: Annotation<number>(),
  });
  return new StateGraph(State)
    .addNode("answer", (state: { turn?: number }) => ({
      messages: [new AIMessage({ content: `answer ${state.turn ?? 0} ${"x".repeat(200)}` })],
    }))
    .addEdge(START, "answer")
    .compile();
}

function contents(state: { values: { messages: BaseMessage[] } }): string[] {
  return state.values.messages.map((message) => String(message.content).replace(/ x+$/, ""));
}

function turns(count: number): string[] {
  return Array.from({ length: count }, (_, i) => [`ask ${i}`, `answer ${i}`]).flat();
}

interface Talk {
  snapshotFrequency: number;
  count: number;
  durability?: string;
}

async function talk(world: World, { snapshotFrequency, count, durability = "async" }: Talk): Promise<void> {
  for (let i = 0; i < count; i++) {
    const saver = await world.saver(THREAD);
    const input = { messages: [new HumanMessage(`ask ${i}`)], turn: i };
    await run(world.bind(chat(snapshotFrequency), saver), input, { ...thread(THREAD), durability });
    await saver.settled();
  }
}

for (const engine of ENGINES)
  describe(`Delta channels (${engine})`, () => {
    for (const durability of ["sync", "async", "exit"]) {
      it(`are rebuilt from their writes, with and without snapshots between (durability ${durability})`, async () => {
        for (const frequency of [3, 1000]) {
          await using world = await World.open(engine);
          await talk(world, { snapshotFrequency: frequency, count: 6, durability });
          const state = await world.bind(chat(frequency), world.reader()).getState(thread(THREAD));
          expect(contents(state)).toEqual(turns(6));
        }
      });
    }

    it("are rebuilt at every checkpoint of the history", async () => {
      await using world = await World.open(engine);
      await talk(world, { snapshotFrequency: 4, count: 5 });
      const ends: string[][] = [];
      for await (const state of world.bind(chat(4), world.reader()).getStateHistory(thread(THREAD))) {
        if (state.next.length === 0) ends.push(contents(state));
      }
      expect(ends).toEqual([5, 4, 3, 2, 1].map(turns));
    });

    it("follow the branch after a fork, and leave the other one alone", async () => {
      await using world = await World.open(engine);
      await talk(world, { snapshotFrequency: 1000, count: 3 });
      const history = [];
      for await (const state of world.bind(chat(1000), world.reader()).getStateHistory(thread(THREAD)))
        history.push(state);
      const afterFirst = history.find((state) => state.next.length === 0 && contents(state).length === 2);
      const saver = await world.saver(THREAD);
      const forked = world.bind(chat(1000), saver);
      await run(forked, { messages: [new HumanMessage("other")], turn: 9 }, afterFirst.config);
      await saver.settled();
      const read = world.bind(chat(1000), world.reader());
      expect(contents(await read.getState(thread(THREAD)))).toEqual([...turns(1), "other", "answer 9"]);
      expect(contents(await read.getState(history[0].config))).toEqual(turns(3));
    });

    it("take a state update, and read it back", async () => {
      await using world = await World.open(engine);
      await talk(world, { snapshotFrequency: 1000, count: 2 });
      const saver = await world.saver(THREAD);
      await world
        .bind(chat(1000), saver)
        .updateState(thread(THREAD), { messages: [new HumanMessage("edit")] }, "answer");
      const state = await world.bind(chat(1000), world.reader()).getState(thread(THREAD));
      expect(contents(state)).toEqual([...turns(2), "edit"]);
    });

    it("work inside an isolated scope", async () => {
      await using world = await World.open(engine);
      const scope = { checkpointScope: "assistant:A" };
      for (const turn of [0, 1]) {
        const saver = await world.saver(THREAD, scope);
        await run(world.bind(chat(1000), saver), { messages: [new HumanMessage(`ask ${turn}`)], turn }, thread(THREAD));
        await saver.settled();
      }
      const state = await world.bind(chat(1000), world.reader(scope)).getState(thread(THREAD));
      expect(contents(state)).toEqual(turns(2));
    });

    it("store what is new, so that a thread of 1,000 steps grows by its messages only", async () => {
      await using world = await World.open(engine);
      // biome-ignore lint/suspicious/noExplicitAny: Annotation has no type for a channel of one's own
      const channel = (() => new DeltaChannel(messagesDeltaReducer as any, { snapshotFrequency: 100_000 })) as any;
      const State = Annotation.Root({ messages: channel, left: Annotation<number>() });
      const loop = new StateGraph(State)
        .addNode("step", (state: { left?: number }) => ({
          messages: [new AIMessage({ content: "m".repeat(300) })],
          left: (state.left ?? 0) - 1,
        }))
        .addEdge(START, "step")
        .addConditionalEdges("step", (state: { left?: number }) => ((state.left ?? 0) > 0 ? "step" : "__end__"))
        .compile();
      const saver = await world.saver(THREAD, { acknowledge: "queued" });
      await run(world.bind(loop, saver), { left: 1000 }, { ...thread(THREAD), recursionLimit: 2000 });
      await saver.settled();
      const rows = await world.stored(THREAD);
      expect(rows.length).toBeGreaterThan(1000);
      const size = (values: { bytes: Uint8Array }[]) => values.reduce((sum, value) => sum + value.bytes.length, 0);
      const inline = rows.reduce((sum, { row }) => sum + size(Object.values(row.inline)), 0);
      const blobs = rows.reduce((sum, { values }) => sum + size(Object.values(values)), 0);
      const writes = rows.reduce((sum, row) => sum + size(row.writes.map((write) => write.value)), 0);
      expect(inline + blobs).toBeLessThan(200 * rows.length);
      expect(writes).toBeLessThan(800 * rows.length);
    }, 60_000);
  });
