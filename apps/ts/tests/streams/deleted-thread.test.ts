import { describe, expect, it } from "bun:test";
import { RunServer } from "../runs/server.ts";
import { eventsOf } from "../runs/sse-client.ts";

describe("a thread that is deleted", () => {
  it("ends the streams of runs that begin at that moment; they are not broken off", async () => {
    await using server = await RunServer.start();
    const ends = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const { id, runs } = await server.thread();
      const stream = (ms: number) =>
        fetch(`${server.url}${runs}/stream`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ assistant_id: "slow", input: { ms }, multitask_strategy: "enqueue" }),
        });
      const first = stream(1_000);
      const [gone, ...streams] = await Promise.all([
        fetch(`${server.url}/threads/${id}`, { method: "DELETE" }),
        ...Array.from({ length: 6 }, () => stream(5)),
        first,
      ]);
      expect(gone.status).toBe(204);
      for (const answer of streams) {
        const text = await answer.text();
        ends.add(answer.status === 200 ? (eventsOf(text).at(-1)?.event ?? text) : `${answer.status}`);
      }
    }
    expect([...ends].filter((end) => !["404", "error", "end"].includes(end))).toEqual([]);
  }, 60_000);
});
