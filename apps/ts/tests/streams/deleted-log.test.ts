import { describe, expect, it } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { RunServer, runPath, until } from "../runs/server.ts";
import { eventsOf } from "../runs/sse-client.ts";
import { openTestStorage } from "../servers/storage.ts";
import { RawClient } from "./raw-client.ts";

describe("a log that is deleted while it is read", () => {
  /** A run at its gate, which then writes more than sockets and ring hold. */
  async function large(server: RunServer) {
    const name = crypto.randomUUID();
    const thread = await server.thread();
    const body = {
      assistant_id: "gate",
      input: { name, n: 5_000, size: 4_000 },
      stream_mode: "custom",
      stream_resumable: true,
    };
    const { body: run } = await server.post(thread.runs, body);
    await arrival(name);
    return { name, run };
  }

  for (const what of ["thread", "run"] as const) {
    it(`ends in an error, not as if it were complete, for a slow reader whose ${what} is deleted`, async () => {
      await using server = await RunServer.start();
      const { name, run } = await large(server);
      const sleeper = await RawClient.open(server.url, `${runPath(run)}/stream`);
      await until(() => server.hub.find(run.run_id)?.readers === 1);
      open(name);
      await server.reached(run, "success");
      const path = what === "thread" ? `/threads/${run.thread_id}` : runPath(run);
      expect((await server.call("DELETE", path)).status).toBe(204);
      const text = await sleeper.readUntil("event: error");
      expect(text).toContain(what === "thread" ? "ThreadDeleted" : "RunDeleted");
      expect(text).not.toContain("event: end");
      sleeper.vanish();
    });
  }

  it("ends in an error for a reader that came after the end", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fractal-deleted-"));
    await using storage = await openTestStorage(folder);
    const { events } = storage;
    let reads = 0;
    let onSecond: () => Promise<unknown> = async () => undefined;
    const read: typeof events.read = async (...asked) => {
      if (++reads === 2) await onSecond();
      return events.read(...asked);
    };
    await using server = await RunServer.start({}, undefined, { storage: { ...storage, events: { ...events, read } } });
    const { name, run } = await large(server);
    open(name);
    await server.reached(run, "success");
    reads = 0;
    onSecond = () => server.call("DELETE", `/threads/${run.thread_id}`);
    const headers = { "Last-Event-ID": "-1" };
    const { text } = await server.call("GET", `${runPath(run)}/stream`, { headers });
    expect(eventsOf(text).at(-1)).toMatchObject({ event: "error", data: { error: "ThreadDeleted" } });
    await rm(folder, { recursive: true, force: true });
  });
});
