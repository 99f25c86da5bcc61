import { describe, expect, it } from "bun:test";
import { Command } from "@langchain/langgraph";
import { RemoteGraph } from "@langchain/langgraph/remote";
import { Client } from "@langchain/langgraph-sdk";
import { SdkSession } from "../sdk-session.ts";
import type { EngineName } from "../spawn-server.ts";

/** A graph that runs on the server, used as if it were here. */
export function remoteGraphSuite(engine: EngineName): void {
  describe(`RemoteGraph against the server on ${engine}`, () => {
    const session = new SdkSession({ name: "langgraph 1.7.3", Client }, { engine });
    const remote = (graphId: string) => new RemoteGraph({ graphId, url: session.server.url });
    const thread = async () => ({ configurable: { thread_id: await session.thread() } });

    async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
      const chunks: T[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      return chunks;
    }

    it("streams values and updates", async () => {
      const config = { ...(await thread()), streamMode: ["values", "updates"] as ("values" | "updates")[] };
      const chunks = (await all(await remote("counter").stream({ steps: 2 }, config))) as [string, { log: string[] }][];
      expect(chunks.map(([mode]) => mode)).toEqual(["values", "updates", "values", "updates", "values"]);
      expect(chunks.at(-1)?.[1].log).toEqual(["step-1", "step-2"]);
    });

    it("streams messages, and subgraphs under their names", async () => {
      const question = { messages: [{ role: "user", content: "hi" }], n: 3 };
      const tokens = await all(
        await remote("tokens").stream(question, { ...(await thread()), streamMode: "messages" as const }),
      );
      expect(tokens.map(([piece]) => piece.content).join("")).toBe("t1 t2 t3");
      const nested: [string[], string, object][] = [];
      const config = { ...(await thread()), streamMode: ["updates"] as "updates"[], subgraphs: true };
      await expect(
        (async () => {
          for await (const chunk of await remote("subgraphs").stream({}, config)) nested.push(chunk as never);
        })(),
      ).rejects.toHaveProperty("name", "GraphInterrupt");
      expect(nested.map(([namespace]) => namespace.map((segment) => segment.split(":")[0]).join("/"))).toContain(
        "child",
      );
    });

    it("invokes, with or without a thread, and makes the thread that it names", async () => {
      expect(await remote("counter").invoke({ steps: 2 })).toMatchObject({ count: 2 });
      const named = { configurable: { thread_id: crypto.randomUUID() } };
      await remote("counter").invoke({ steps: 2 }, named);
      expect(await remote("counter").invoke({ steps: 3 }, named)).toMatchObject({ count: 3 });
    });

    it("reads and writes state and history, and goes back in time", async () => {
      const graph = remote("breakpoints");
      const config = await thread();
      expect(await graph.invoke({}, config)).toMatchObject({ path: ["a", "b", "c"] });
      const state = await graph.getState(config);
      expect([state.values, state.next]).toEqual([{ path: ["a", "b", "c"] }, []]);
      const written = await graph.updateState(config, { path: ["d"] }, "c");
      expect((await graph.getState(written)).values).toEqual({ path: ["a", "b", "c", "d"] });
      const past = await all(graph.getStateHistory(config, { limit: 100 }));
      expect(past.map(({ next }) => next.join())).toEqual(["", "", "c", "b", "a", "__start__"]);
      expect(past[1]?.parentConfig?.configurable?.checkpoint_id).toBe(past[2]?.config.configurable?.checkpoint_id);
      const early = past.find(({ next }) => next.join() === "b")?.config;
      expect((await graph.getState(early as never)).values).toEqual({ path: ["a"] });
      const fork = await graph.updateState(early as never, { path: ["fork"] }, "a");
      expect((await graph.getState(fork)).next).toEqual(["b"]);
      expect(await graph.invoke(null, config)).toMatchObject({ path: ["a", "fork", "b", "c"] });
    });

    it("draws the graph and finds its subgraphs", async () => {
      expect(Object.keys((await remote("breakpoints").getGraphAsync()).nodes)).toEqual(
        expect.arrayContaining(["__start__", "a", "b", "c"]),
      );
      const deep = await remote("subgraphs").getGraphAsync({ xray: true });
      expect(Object.keys(deep.nodes)).toContain("child:enter");
      const found = await all(remote("subgraphs").getSubgraphsAsync(undefined, true));
      expect(found.map(([namespace]) => namespace).sort()).toEqual(["child", "child|grandchild"]);
    });

    it("shows an interrupt, and goes on with a command", async () => {
      const graph = remote("interrupting");
      const config = await thread();
      await expect(graph.invoke({}, config)).rejects.toHaveProperty("name", "GraphInterrupt");
      const waiting = await graph.getState(config);
      expect(waiting.next).toEqual(["ask"]);
      expect(waiting.tasks.flatMap((task) => task.interrupts.map(({ value }) => value))).toEqual(["name?"]);
      await expect(graph.invoke(new Command({ resume: "Ada" }), config)).rejects.toHaveProperty(
        "name",
        "GraphInterrupt",
      );
      expect(await graph.invoke(new Command({ resume: 36 }), config)).toMatchObject({ greeting: "Ada is 36" });
    });

    it("raises what the graph threw, and tells it with the state", async () => {
      const graph = remote("failing");
      const config = await thread();
      await expect(graph.invoke({}, config)).rejects.toThrow("the card was declined");
      const { tasks } = await graph.getState(config);
      expect(tasks.map(({ error }) => error)).toEqual([{ message: "the card was declined" }] as never);
    });
  });
}
