import { afterEach, describe, expect, it, setSystemTime } from "bun:test";
import { Annotation, Command, END, interrupt, START, StateGraph } from "@langchain/langgraph";
import { ANONYMOUS } from "#core/identity/scope";
import { withStoredIds } from "#core/streams/checkpoint-events";
import { ENGINES, idOf, run, thread, World } from "./world.ts";

const THREAD = idOf("clock");
const HOUR = 3_600_000;

const log = Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] });
const Log = Annotation.Root({ log });
const Large = Annotation.Root({ log, big: Annotation<string>() });

/** A node that is done beside a subgraph that asks, twice. */
function asking(done: string[]) {
  const child = new StateGraph(Log)
    .addNode("ask", () => ({ log: [`answer: ${interrupt("first") as string} ${interrupt("second") as string}`] }))
    .addEdge(START, "ask")
    .compile({ checkpointer: true });
  return new StateGraph(Large)
    .addNode("beside", () => {
      done.push("beside");
      return { log: ["beside"], big: "b".repeat(3_000 + done.length) };
    })
    .addNode("child", child)
    .addNode("after", () => ({ log: ["after"] }))
    .addEdge(START, "beside")
    .addEdge(START, "child")
    .addEdge("beside", "after")
    .addEdge("after", END)
    .compile();
}

function setClock(hours: number): void {
  setSystemTime();
  setSystemTime(new Date(Date.now() + hours * HOUR));
}

for (const engine of ENGINES)
  describe(`FencedSaver of a process whose clock is behind (${engine})`, () => {
    afterEach(() => {
      setSystemTime();
    });

    const stored = async (world: World, ns = "") =>
      (await world.repository.list(ANONYMOUS, { thread_id: THREAD, checkpoint_ns: ns })).map(({ row }) => row);

    /** Two turns that are interrupted twice each, by processes whose clocks are so many hours ahead; what they leave. */
    async function turns(world: World, durability: string, hours: number[]) {
      const done: string[] = [];
      const graph = asking(done);
      const resume = (answer: string) => new Command({ resume: answer });
      const inputs = [{ log: ["one"] }, resume("a"), resume("b"), { log: ["two"] }, resume("c"), resume("d")];
      for (const [i, input] of inputs.entries()) {
        setClock(hours[i] ?? 0);
        const saver = await world.saver(THREAD);
        await run(world.bind(graph, saver), input, { ...thread(THREAD), durability });
        await saver.settled();
      }
      const state = await world.bind(graph, world.reader()).getState(thread(THREAD));
      return { values: state.values, next: state.next, done: done.length };
    }

    for (const durability of ["sync", "async", "exit"]) {
      it(`resumes what was interrupted and repeats no finished task (durability ${durability})`, async () => {
        await using right = await World.open(engine);
        const expected = await turns(right, durability, []);
        await using world = await World.open(engine);
        expect(await turns(world, durability, [0, -1, 0, -1, -2, -1])).toEqual(expected);
        expect(expected).toMatchObject({ next: [], done: 2 });
        expect(expected.values.log).toContain("answer: c d");
        const rows = await stored(world);
        const ids = rows.map((row) => row.checkpoint_id);
        expect(ids).toEqual([...ids].sort().reverse());
        for (const row of rows) expect((row.parent_checkpoint_id ?? "") < row.checkpoint_id).toBe(true);
        if (durability === "exit") return;
        // What a subgraph notes of its parent is what is stored.
        const parents = (await stored(world, "child")).map((row) => JSON.parse(row.metadata).parents[""]);
        expect(parents.length).toBeGreaterThan(0);
        for (const parent of parents) expect(ids).toContain(parent);
      });
    }

    it("names in events, configs and forks the ids that are stored", async () => {
      await using world = await World.open(engine);
      const graph = asking([]);
      await run(world.bind(graph, await world.saver(THREAD)), { log: ["one"] }, thread(THREAD));
      setClock(-1);
      const saver = await world.saver(THREAD);
      const bound = world.bind(graph, saver);
      const stream = await bound.stream(new Command({ resume: "a" }), {
        ...thread(THREAD),
        streamMode: ["checkpoints", "debug"],
        subgraphs: true,
      });
      const told: { ns: string; id: string; map: Record<string, string>; parent: string | undefined }[] = [];
      for await (const [, mode, payload] of stream as AsyncIterable<[string[], string, unknown]>) {
        // biome-ignore lint/suspicious/noExplicitAny: judged below
        const renamed = withStoredIds(mode, payload, (id, ns) => saver.storedId(id, ns)) as any;
        const event = mode === "debug" ? renamed.payload : renamed;
        if (mode === "debug" && renamed.type !== "checkpoint") continue;
        const { checkpoint_ns: ns, checkpoint_id: id, checkpoint_map: map = {} } = event.config.configurable;
        told.push({ ns: ns ?? "", id, map, parent: event.parentConfig?.configurable?.checkpoint_id });
      }
      await saver.settled();
      const rows = await world.repository.list(ANONYMOUS, { thread_id: THREAD });
      const known = new Map(rows.map(({ row }) => [`${row.checkpoint_ns} ${row.checkpoint_id}`, row]));
      expect(told.length).toBeGreaterThan(0);
      for (const { ns, id, map, parent } of told) {
        expect(known.get(`${ns} ${id}`)?.parent_checkpoint_id).toBe(parent ?? null);
        for (const [place, at] of Object.entries(map)) expect(known.has(`${place} ${at}`)).toBe(true);
      }
      // The head as this saver and as another one tells it, and a fork from it by a clock that is further behind.
      const head = (await bound.getState(thread(THREAD))).config.configurable?.checkpoint_id;
      expect(
        (await world.bind(graph, world.reader()).getState(thread(THREAD))).config.configurable?.checkpoint_id,
      ).toBe(head);
      setClock(-2);
      const fork = await world.saver(THREAD, { configurable: { checkpoint_id: head } });
      const config = { configurable: { ...thread(THREAD).configurable, checkpoint_id: head } };
      const made = await world.bind(graph, fork).updateState(config, { log: ["forked"] }, "beside");
      const after = await world.bind(graph, world.reader()).getState(thread(THREAD));
      expect(after.config.configurable?.checkpoint_id).toBe(made.configurable?.checkpoint_id);
      expect(after.parentConfig?.configurable?.checkpoint_id).toBe(head);
      expect(after.values.log).toContain("forked");
    });
  });
