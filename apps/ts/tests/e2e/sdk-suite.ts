import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import type { Client as CurrentClient } from "@langchain/langgraph-sdk";
import { CrashServer, type EngineName, eventually } from "../crash/server.ts";
import { CuttingProxy } from "./cutting-proxy.ts";

/** A line of the SDK: older ones have the same methods and looser types. */
export interface SdkLine {
  name: string;
  Client: new (config: { apiUrl: string }) => CurrentClient;
}

type Any = Record<string, unknown>;

interface Part {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are judged by the tests
  data: any;
  id?: string | undefined;
}

async function all(stream: AsyncIterable<unknown>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part as Part);
  return parts;
}

const names = (parts: readonly Part[]): string[] => parts.map(({ event }) => event);
const distinct = (parts: readonly Part[]): string[] => [...new Set(names(parts))];

/** What a user's program does with the SDK, against a server in a process of its own. */
export function sdkSuite({ name, Client }: SdkLine, engine: EngineName): void {
  describe(`${name} against the server on ${engine}`, () => {
    let server: CrashServer;
    let client: CurrentClient;
    beforeAll(async () => {
      server = await CrashServer.start(engine);
      client = new Client({ apiUrl: server.url });
    });
    afterAll(() => server[Symbol.asyncDispose]());

    const thread = async () => (await client.threads.create()).thread_id;
    const stream = (threadId: string | null, graph: string, body: Any) =>
      all(client.runs.stream(threadId as string, graph, body as never) as AsyncIterable<unknown>);

    it("manages assistants and their versions", async () => {
      const made = await client.assistants.create({ graphId: "counter", name: "Counts", metadata: { team: name } });
      await client.assistants.update(made.assistant_id, { config: { tags: ["two"] }, name: "Counts on" });
      const [found] = await client.assistants.search({ metadata: { team: name } });
      expect([found?.assistant_id, found?.version, found?.name]).toEqual([made.assistant_id, 2, "Counts on"]);
      expect((await client.assistants.getVersions(made.assistant_id)).map(({ version }) => version)).toEqual([2, 1]);
      expect((await client.assistants.setLatest(made.assistant_id, 1)).name).toBe("Counts");
      const graph = await client.assistants.getGraph("counter");
      expect(graph.nodes.map(({ id }) => id)).toContain("step");
      expect((await client.assistants.getSchemas("counter")).graph_id).toBe("counter");
      await client.assistants.delete(made.assistant_id);
      await expect(client.assistants.get(made.assistant_id)).rejects.toThrow("404");
    });

    it("manages threads, their state and their history", async () => {
      const { thread_id: id } = await client.threads.create({ metadata: { of: name } });
      await client.threads.update(id, { metadata: { more: true } });
      await client.runs.wait(id, "breakpoints", { input: {} });
      const [found] = await client.threads.search({ metadata: { of: name, more: true } });
      expect([found?.thread_id, found?.status, found?.metadata?.graph_id]).toEqual([id, "idle", "breakpoints"]);
      const history = await client.threads.getHistory<{ path: string[] }>(id, { limit: 100 });
      expect(history.map(({ next }) => next.join())).toEqual(["", "c", "b", "a", "__start__"]);
      const past = await client.threads.getState<{ path: string[] }>(
        id,
        history[2]?.checkpoint.checkpoint_id as string,
      );
      expect([past.values.path, past.next]).toEqual([["a"], ["b"]]);
      await client.threads.updateState(id, { values: { path: ["mine"] }, asNode: "c" });
      expect((await client.threads.getState<{ path: string[] }>(id)).values.path).toEqual(["a", "b", "c", "mine"]);
      const copy = await client.threads.copy(id);
      const copied = await client.threads.getState<{ path: string[] }>(copy.thread_id as string);
      expect(copied.values.path).toEqual(["a", "b", "c", "mine"]);
      await client.threads.delete(id);
      await expect(client.threads.get(id)).rejects.toThrow("404");
    });

    it.each([
      ["values", ["metadata", "values", "end"]],
      ["updates", ["metadata", "updates", "end"]],
      ["messages-tuple", ["metadata", "messages", "end"]],
      ["messages", ["metadata", "messages/metadata", "messages/partial", "messages/complete", "end"]],
      ["events", ["metadata", "events", "end"]],
      ["debug", ["metadata", "debug", "end"]],
      ["tasks", ["metadata", "tasks", "end"]],
      ["checkpoints", ["metadata", "checkpoints", "end"]],
    ])("streams mode %s", async (streamMode, expected) => {
      const input = { messages: [{ role: "user", content: "hi" }], n: 5 };
      const parts = await stream(await thread(), "tokens", { input, streamMode });
      expect(distinct(parts)).toEqual(expected);
      expect(parts[0]?.data).toMatchObject({ attempt: 1 });
      if (streamMode !== "messages-tuple") return;
      const text = parts.filter(({ event }) => event === "messages").map(({ data }) => data[0].content);
      expect(text.join("")).toBe("t1 t2 t3 t4 t5");
    });

    it("streams custom events, several modes at once, and subgraphs by their names", async () => {
      expect(distinct(await stream(null, "custom_writer", { input: { n: 3 }, streamMode: "custom" }))).toContain(
        "custom",
      );
      const both = await stream(null, "counter", { input: { steps: 2 }, streamMode: ["updates", "values"] });
      expect(names(both)).toEqual(["metadata", "values", "updates", "values", "updates", "values", "end"]);
      const nested = await stream(await thread(), "subgraphs", {
        input: {},
        streamMode: ["updates"],
        streamSubgraphs: true,
      });
      expect(names(nested).some((event) => /^updates\|child:[0-9a-f-]{36}$/.test(event))).toBe(true);
    });

    it("stops at interrupts and goes on with answers, by value and by interrupt id", async () => {
      const id = await thread();
      await client.runs.wait(id, "interrupting", { input: {} });
      expect((await client.threads.get(id)).status).toBe("interrupted");
      await client.runs.wait(id, "interrupting", { command: { resume: "Ada" } });
      const done = (await client.runs.wait(id, "interrupting", { command: { resume: 36 } })) as Any;
      expect(done.greeting).toBe("Ada is 36");
      const two = await thread();
      const asked = (await client.runs.wait(two, "interrupting_parallel", { input: {} })) as Any;
      const questions = asked.__interrupt__ as { id: string; value: string }[];
      const resume = Object.fromEntries(questions.map((question) => [question.id, question.value.toUpperCase()]));
      const answered = (await client.runs.wait(two, "interrupting_parallel", { command: { resume } })) as Any;
      expect(answered.answers).toEqual(["left=LEFT?", "right=RIGHT?", "joined"]);
    });

    it("breaks before a node, goes on, and forks from a checkpoint", async () => {
      const id = await thread();
      const stopped = (await client.runs.wait(id, "breakpoints", { input: {}, interruptBefore: ["c"] })) as Any;
      expect([stopped.path, (await client.threads.get(id)).status]).toEqual([["a", "b"], "interrupted"]);
      expect(((await client.runs.wait(id, "breakpoints", { input: null })) as Any).path).toEqual(["a", "b", "c"]);
      const history = await client.threads.getHistory(id, { limit: 100 });
      const early = history.find(({ next }) => next.join() === "b")?.checkpoint.checkpoint_id as string;
      const fork = (await client.runs.wait(id, "breakpoints", { input: null, checkpointId: early } as never)) as Any;
      expect(fork.path).toEqual(["a", "b", "c"]);
      expect((await client.threads.getHistory(id, { limit: 100 })).length).toBeGreaterThan(history.length);
    });

    it("tells of failures: the error event is last, wait throws, the thread knows", async () => {
      const id = await thread();
      const parts = await stream(id, "failing", { input: {}, streamMode: "values" });
      expect(parts.at(-1)).toMatchObject({ event: "error", data: { error: "PaymentDeclined" } });
      await expect(client.runs.wait(id, "failing", { input: {} })).rejects.toThrow("the card was declined");
      expect((await client.threads.get(id)).status).toBe("error");
    });

    it("cancels, joins, lists and deletes runs", async () => {
      const id = await thread();
      const run = await client.runs.create(id, "slow", { input: { ms: 60_000 } });
      await eventually(
        () => client.runs.get(id, run.run_id),
        ({ status }) => status === "running",
      );
      await client.runs.cancel(id, run.run_id, true);
      expect((await client.runs.get(id, run.run_id)).status).toBe("interrupted");
      const next = await client.runs.create(id, "counter", { input: { steps: 2 } });
      expect(((await client.runs.join(id, next.run_id)) as unknown as Any).count).toBe(2);
      expect((await client.runs.list(id)).map(({ status }) => status)).toEqual(["success", "interrupted"]);
      await client.runs.delete(id, next.run_id);
      expect(await client.runs.list(id)).toHaveLength(1);
    });

    it("takes a second run by each multitask strategy", async () => {
      const id = await thread();
      const busy = () => client.runs.create(id, "slow", { input: { ms: 60_000 } });
      const counter = (multitaskStrategy: string) =>
        client.runs.create(id, "counter", { input: { steps: 1 }, multitaskStrategy } as never);
      const first = await busy();
      await expect(counter("reject")).rejects.toThrow("409");
      const queued = await counter("enqueue");
      expect((await client.runs.get(id, queued.run_id)).status).toBe("pending");
      const interrupting = await counter("interrupt");
      await client.runs.join(id, interrupting.run_id);
      const status = async (runId: string) => (await client.runs.get(id, runId)).status;
      expect(await Promise.all([status(first.run_id), status(queued.run_id)])).toEqual(["interrupted", "interrupted"]);
      const second = await busy();
      await client.runs.join(id, (await counter("rollback")).run_id);
      await expect(client.runs.get(id, second.run_id)).rejects.toThrow("404");
    });

    it("goes on by itself when its connection breaks in the middle, without a lost or doubled event", async () => {
      await using proxy = await CuttingProxy.start(server.url, 1_800);
      const cut = new Client({ apiUrl: proxy.url });
      const id = await thread();
      const body = {
        input: { steps: 30, sleep_ms: 15 },
        config: { recursion_limit: 50 },
        streamMode: "updates",
        streamResumable: true,
      };
      const parts = await all(cut.runs.stream(id, "counter", body as never) as AsyncIterable<unknown>);
      const steps = parts.filter(({ event }) => event === "updates").map(({ data }) => data.step.log[0]);
      expect(proxy.cuts).toBe(1);
      expect(steps).toEqual(Array.from({ length: 30 }, (_, i) => `step-${i + 1}`));
    });

    it("joins the stream of a run that is over, from its beginning", async () => {
      const id = await thread();
      const body = { input: { steps: 3 }, streamMode: ["updates"], streamResumable: true };
      const run = await client.runs.create(id, "counter", body as never);
      await client.runs.join(id, run.run_id);
      const parts = await all(client.runs.joinStream(id, run.run_id, { lastEventId: "-1" } as never));
      expect(names(parts)).toEqual(["metadata", "updates", "updates", "updates", "end"]);
    });

    it("runs without a thread, one by one and in a batch", async () => {
      const values = (await client.runs.wait(null, "counter", { input: { steps: 2 } })) as Any;
      expect(values.count).toBe(2);
      const batch = await client.runs.createBatch([
        { assistantId: "counter", input: { steps: 1 } },
        { assistantId: "counter", input: { steps: 2 } },
      ] as never);
      expect(batch).toHaveLength(2);
    });
  });
}
