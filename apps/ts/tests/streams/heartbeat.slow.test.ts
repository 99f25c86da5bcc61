import { describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, until } from "../runs/server.ts";
import { RawClient } from "./raw-client.ts";

/** What came of an answer's body, and after how many ms. */
async function arrivals(answer: Response, began: number): Promise<{ at: number; text: string }[]> {
  const got: { at: number; text: string }[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
    got.push({ at: performance.now() - began, text: decoder.decode(chunk) });
  }
  return got;
}

describe("signs of life", () => {
  it("come every 5 s from the first byte, on queued and on running runs, on streams and on waits", async () => {
    await using server = await RunServer.start();
    const thread = await server.thread();
    const began = performance.now();
    const body = { assistant_id: "gate", input: { name: "heartbeat", n: 1 }, stream_mode: "custom" };
    const running = await server.open("POST", `${thread.runs}/stream`, { body });
    await arrival("heartbeat");
    const queued = await server.open("POST", `${thread.runs}/stream`, { body });
    const joined = await server.open("GET", `${running.headers.get("content-location")}/stream`);
    const waiting = await server.open("POST", `${thread.runs}/wait`, { body });
    const all = [running, queued, joined].map((answer) => arrivals(answer, began));
    const wait = arrivals(waiting, began);
    setTimeout(() => open("heartbeat"), 11_500);
    for (const [i, got] of (await Promise.all(all)).entries()) {
      const beats = got.filter(({ text }) => text === ": heartbeat\n\n").map(({ at }) => at);
      expect(beats).toHaveLength(2);
      expect(beats[0]).toBeWithin(4_800, 5_600);
      expect((beats[1] as number) - (beats[0] as number)).toBeWithin(4_800, 5_300);
      const text = got.map((each) => each.text).join("");
      expect(text.replaceAll(": heartbeat\n\n", "").replace(/^\n/, "")).toStartWith(
        i === 2 ? "event: custom" : "event: metadata",
      );
      expect(text).toContain("event: end");
    }
    const newlines = (await wait).filter(({ text }) => text === "\n").map(({ at }) => at);
    expect(newlines).toHaveLength(3);
    expect(newlines[0]).toBeLessThan(1_000);
    expect(JSON.parse((await wait).map(({ text }) => text).join(""))).toMatchObject({ n: 1 });
  }, 30_000);
});

describe("a client that does not read", () => {
  it("is cut off after 30 s, and until then its stream is open", async () => {
    await using server = await RunServer.start();
    const streamsOpen = async () =>
      Number(/^fractal_streams_open (\d+)$/m.exec((await server.get("/metrics")).text)?.[1]);
    const thread = await server.thread();
    const body = { assistant_id: "gate", input: { name: "blocked", n: 2_000, size: 10_000 }, stream_mode: "custom" };
    const client = await RawClient.open(server.url, `${thread.runs}/stream`, body);
    await arrival("blocked");
    open("blocked");
    const { body: runs } = await server.get(thread.runs);
    await until(async () => (await server.get(`${thread.runs}/${runs[0].run_id}`)).body.status === "success");
    expect(await streamsOpen()).toBe(1);
    await until(async () => (await streamsOpen()) === 0, 60_000);
    client.vanish();
  }, 90_000);
});
