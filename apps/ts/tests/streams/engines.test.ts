import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { CrashServer, type EngineName, eventually, testNode } from "../crash/server.ts";
import { dataOf, SseReader, shapeOf } from "../runs/sse-client.ts";
import { RawClient } from "./raw-client.ts";

const engines: EngineName[] = testNode === undefined ? ["bun"] : ["bun", "node"];

for (const engine of engines) {
  describe(`streams of a server under ${engine}`, () => {
    let server: CrashServer;
    beforeAll(async () => {
      server = await CrashServer.start(engine);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    const slow = (ms: number, more: object = {}) => ({ assistant_id: "slow", input: { ms }, ...more });
    const status = async (thread: string) => (await server.json(`/threads/${thread}/runs`))[0].status;

    it("send their headers before there is anything to say", async () => {
      const thread = await server.thread();
      await server.json(`/threads/${thread}/runs`, slow(2_000));
      const began = performance.now();
      // Both wait behind the first run.
      const stream = await server.post(`/threads/${thread}/runs/stream`, slow(1));
      const wait = await server.post(`/threads/${thread}/runs/wait`, slow(1));
      const join = await fetch(server.url + stream.headers.get("location"));
      expect(performance.now() - began).toBeLessThan(1_500);
      expect((await server.json(`/threads/${thread}/runs?status=pending`)).length).toBe(2);
      expect([stream.status, wait.status, join.status]).toEqual([200, 200, 200]);
      const events = await new SseReader(stream).rest();
      expect(shapeOf(events)).toEqual(["metadata", "values", "end"]);
      expect(await new SseReader(join).rest()).toEqual(events);
      expect(await wait.json()).toMatchObject({ finished: true });
    });

    it("bring each token as it is made, not all at the end", async () => {
      const thread = await server.thread();
      const input = { messages: [{ role: "user", content: "go" }], n: 30, delay_ms: 20 };
      const body = { assistant_id: "tokens", input, stream_mode: "messages-tuple" };
      const answer = await server.post(`/threads/${thread}/runs/stream`, body);
      const reader = new SseReader(answer);
      const early = await reader.readUntil(({ events }) => events.length >= 4);
      expect(early.length).toBeLessThan(25);
      expect(await status(thread)).toBe("running");
      expect((await reader.rest()).filter(({ event }) => event === "messages")).toHaveLength(30);
    });

    it("show an interrupt with the whole state, and who called whom", async () => {
      const thread = await server.thread();
      const body = { assistant_id: "subgraphs", input: {}, stream_mode: ["values", "events"] };
      const events = await (await server.stream(`/threads/${thread}/runs/stream`, body)).rest();
      const __interrupt__ = [{ value: "approve?", id: expect.any(String) }];
      expect(dataOf(events, "values").at(-1)).toEqual({ trail: ["before"], __interrupt__ });
      const told: { name: string; parent_ids: string[] }[] = dataOf(events, "events");
      expect([told[0]?.name, told[0]?.parent_ids]).toEqual(["subgraphs", []]);
      expect(told.find(({ name }) => name === "approve")?.parent_ids).toHaveLength(5);
    });

    it("are broken off when the server stops, after they have said when to come back", async () => {
      await using stopping = await CrashServer.start(engine);
      const thread = await stopping.thread();
      const body = { assistant_id: "counter", input: { steps: 20, sleep_ms: 50 }, on_disconnect: "cancel" };
      const client = await RawClient.open(stopping.url, `/threads/${thread}/runs/stream`, body);
      await client.readUntil("event: values");
      const rest = client.rest();
      expect(await stopping.stop()).toBe(0);
      // The last chunk, "0", would end the answer well, and the client would take it for complete.
      expect(await rest).toMatch(/\r\nb\r\nretry: 500\n\r\n$/);
      await stopping.start();
      // It was our break, not the client's.
      await eventually(
        () => stopping.json(`/threads/${thread}/runs`),
        ([run]) => run.status === "success",
      );
    });

    it("cancel the run of a client that vanishes, if it asked for that", async () => {
      for (const [on_disconnect, expected] of [
        ["cancel", "interrupted"],
        ["continue", "success"],
      ] as const) {
        for (const form of ["stream", "wait"]) {
          const thread = await server.thread();
          const client = await RawClient.open(
            server.url,
            `/threads/${thread}/runs/${form}`,
            slow(700, { on_disconnect }),
          );
          await client.readUntil("200 OK");
          client.vanish();
          await eventually(
            () => status(thread),
            (now) => now === expected,
          );
        }
      }
    });

    it("survive clients that vanish at any moment", async () => {
      const thread = await server.thread();
      const body = {
        assistant_id: "tokens",
        input: { messages: [], n: 20, delay_ms: 1 },
        stream_mode: ["messages-tuple", "values"],
      };
      for (let i = 0; i < 40; i++) {
        const path = i % 4 === 3 ? "/runs/wait" : "/runs/stream";
        const client = await RawClient.open(server.url, path, {
          ...body,
          on_disconnect: i % 2 === 0 ? "cancel" : "continue",
        });
        if (i % 3 !== 0) await client.readUntil("200 OK");
        client.vanish();
      }
      expect((await server.json(`/threads/${thread}/runs/wait`, body)).messages).toHaveLength(1);
      expect(await server.stop()).toBe(0);
    });
  });
}
