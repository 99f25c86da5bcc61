import { describe, expect, it } from "bun:test";
import { all, dataOf, distinct, names, type SdkSession } from "../sdk-session.ts";

export function streamsSuite(session: SdkSession): void {
  describe("streams", () => {
    const question = { messages: [{ role: "user", content: "hi" }], n: 3 };

    it.each([
      ["values", ["metadata", "values", "end"]],
      ["updates", ["metadata", "updates", "end"]],
      ["messages-tuple", ["metadata", "messages", "end"]],
      ["messages", ["metadata", "messages/metadata", "messages/partial", "messages/complete", "end"]],
      ["events", ["metadata", "events", "end"]],
      ["debug", ["metadata", "debug", "end"]],
      ["tasks", ["metadata", "tasks", "end"]],
      ["checkpoints", ["metadata", "checkpoints", "end"]],
      ["custom", ["metadata", "end"]],
    ])("sends mode %s: metadata first, end last, nothing that was not asked for", async (streamMode, expected) => {
      const id = await session.thread();
      const parts = await session.stream(id, "tokens", { input: question, streamMode });
      expect(distinct(parts)).toEqual(expected);
      expect(parts[0]?.data).toMatchObject({ attempt: 1, thread_id: id, run_id: expect.any(String) });
      expect(dataOf(parts, "end")).toEqual([null]);
    });

    it("sends tokens as pieces of one message, which is the state's in the end", async () => {
      const id = await session.thread();
      const parts = await session.stream(id, "tokens", { input: question, streamMode: ["messages-tuple", "values"] });
      const tuples = dataOf(parts, "messages");
      expect(tuples.map(([piece]) => piece.content).join("")).toBe("t1 t2 t3");
      expect(tuples[0][0].type).toBe("AIMessageChunk");
      expect(tuples[0][1]).toMatchObject({ langgraph_node: "model", langgraph_step: 1 });
      const ids = new Set(tuples.map(([piece]) => piece.id));
      const final = dataOf(parts, "values").at(-1).messages.at(-1);
      expect([final.type, final.content, [...ids]]).toEqual(["ai", "t1 t2 t3", [final.id]]);
      const { values } = await session.client.threads.getState<{ messages: { id: string }[] }>(id);
      expect(values.messages.at(-1)?.id).toBe(final.id);
    });

    it("sends what has grown of a message in the older mode", async () => {
      const parts = await session.stream(null, "tokens", { input: question, streamMode: "messages" });
      const partial = dataOf(parts, "messages/partial").map(([message]) => message.content);
      expect(partial).toEqual(["t1 ", "t1 t2 ", "t1 t2 t3"]);
      expect(dataOf(parts, "messages/complete").map(([message]) => message.content)).toEqual(["t1 t2 t3"]);
    });

    it("sends custom events between the states they came between", async () => {
      const parts = await session.stream(null, "custom_writer", { input: { n: 2 }, streamMode: ["values", "custom"] });
      expect(names(parts)).toEqual(["metadata", "values", "custom", "custom", "values", "end"]);
      expect(dataOf(parts, "custom")).toEqual([
        { progress: 1, of: 2 },
        { progress: 2, of: 2 },
      ]);
    });

    it("keeps the order of a superstep when modes are combined: task, update, result, state", async () => {
      const streamMode = ["updates", "values", "tasks", "checkpoints"];
      const parts = await session.stream(await session.thread(), "counter", { input: { steps: 1 }, streamMode });
      const kinds = parts.map(({ event, data }) =>
        event === "tasks" ? ("result" in data ? "result" : "task") : event,
      );
      const at = (kind: string) => kinds.indexOf(kind);
      expect(kinds[0]).toBe("metadata");
      expect(kinds.at(-1)).toBe("end");
      expect(at("task")).toBeLessThan(at("updates"));
      expect(at("updates")).toBeLessThan(kinds.lastIndexOf("values"));
      expect(at("result")).toBeLessThan(kinds.lastIndexOf("values"));
      expect(kinds.filter((kind) => kind === "checkpoints").length).toBeGreaterThanOrEqual(2);
    });

    it("sends every mode at once", async () => {
      const streamMode = ["values", "updates", "messages-tuple", "custom", "events", "debug", "tasks", "checkpoints"];
      const parts = await session.stream(await session.thread(), "tokens", { input: question, streamMode });
      expect(distinct(parts).sort()).toEqual(
        ["checkpoints", "debug", "end", "events", "messages", "metadata", "tasks", "updates", "values"].sort(),
      );
      expect([parts[0]?.event, parts.at(-1)?.event]).toEqual(["metadata", "end"]);
    });

    it("names events of subgraphs by their path when asked for them, and keeps silent otherwise", async () => {
      const ask = (streamSubgraphs: boolean) =>
        session
          .thread()
          .then((id) =>
            session.stream(id, "subgraphs", { input: {}, streamMode: ["updates", "values"], streamSubgraphs }),
          );
      const nested = names(await ask(true));
      const uuid = "[0-9a-f-]{36}";
      expect(nested.some((name) => new RegExp(`^updates\\|child:${uuid}$`).test(name))).toBe(true);
      expect(nested.some((name) => new RegExp(`^values\\|child:${uuid}\\|grandchild:${uuid}$`).test(name))).toBe(true);
      expect(names(await ask(false)).filter((name) => name.includes("|"))).toEqual([]);
    });

    it("tells of the run's id before anything has happened in it", async () => {
      const created: { run_id: string; thread_id?: string }[] = [];
      const id = await session.thread();
      const parts = await session.stream(id, "counter", {
        input: { steps: 1 },
        onRunCreated: (run: { run_id: string }) => created.push(run),
      });
      expect(created).toEqual([{ run_id: parts[0]?.data.run_id, thread_id: id }]);
    });

    it("gives each event of a stream an id of its own, in order", async () => {
      const parts = await session.stream(await session.thread(), "counter", {
        input: { steps: 3 },
        streamMode: ["values", "updates"],
        streamResumable: true,
      });
      const ids = parts.filter(({ event }) => event !== "end").map(({ id }) => id as string);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.map((id) => Number(id.split("-")[1]))).toEqual(ids.map((_, i) => i + Number(ids[0]?.split("-")[1])));
    });

    it("sends a joining client only the modes it names", async () => {
      const id = await session.thread();
      const body = { input: { steps: 2 }, streamMode: ["values", "updates"], streamResumable: true };
      const run = await session.create(id, "counter", body);
      const { runs } = session.client;
      const join = (options: object) =>
        all(runs.joinStream(id, run.run_id, { lastEventId: "-1", ...options } as never));
      expect(names(await join({}))).toEqual(["metadata", "values", "updates", "values", "updates", "values", "end"]);
      expect(names(await join({ streamMode: "updates" }))).toEqual(["metadata", "updates", "updates", "end"]);
      const values = names(await join({ streamMode: ["values"] }));
      expect(values).toEqual(["metadata", "values", "values", "values", "end"]);
    });

    it("takes an empty stream_mode for none: Python's client writes its None that way", async () => {
      const id = await session.thread();
      const run = await session.create(id, "counter", {
        input: { steps: 1 },
        streamMode: "updates",
        streamResumable: true,
      });
      await session.client.runs.join(id, run.run_id);
      const url = `${session.server.url}/threads/${id}/runs/${run.run_id}/stream?cancel_on_disconnect=false&stream_mode=`;
      const text = await (await fetch(url, { headers: { "last-event-id": "-1" } })).text();
      expect(text.match(/^event: .*$/gm)).toEqual(["event: metadata", "event: updates", "event: end"]);
    });
  });
}
