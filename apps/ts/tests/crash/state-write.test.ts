import { describe, expect, it } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CrashServer, eventually } from "./server.ts";

describe("a state write whose process is killed", () => {
  it("holds its thread no longer than a run would", async () => {
    await using server = await CrashServer.start("bun", {}, join(import.meta.dir, "fixtures"));
    const threadId = await server.thread();
    await server.json(`/threads/${threadId}/runs/wait`, { assistant_id: "hanging_reducer", input: { value: "run" } });
    const reached = join(server.dataDir, "reached");
    const writing = server
      .post(`/threads/${threadId}/state`, { values: { value: `hang:${reached}` }, as_node: "node" })
      .catch(() => undefined);
    await eventually(
      async () => existsSync(reached),
      (hangs) => hangs,
    );
    await server.kill();
    await writing;
    await server.start();
    const write = () => server.post(`/threads/${threadId}/state`, { values: { value: "next" }, as_node: "node" });
    // On PostgreSQL the lease of three seconds has to run out first.
    const answer = await eventually(write, ({ status }) => status !== 409);
    expect(answer.status).toBe(200);
    expect((await server.json(`/threads/${threadId}/state`)).values).toEqual({ value: "next" });
  }, 60_000);
});
