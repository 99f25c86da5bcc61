import { describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { RunServer, type Thread } from "./server.ts";

describe.each(["thread", "assistant"])("pruning a thread whose graph has subgraphs (isolation by %s)", (isolation) => {
  const start = () => RunServer.start({ CHECKPOINT_ISOLATION: isolation });
  const prune = (server: RunServer, { id }: Thread) =>
    server.post("/threads/prune", { thread_ids: [id], strategy: "keep_latest" });
  const wait = async (server: RunServer, { runs }: Thread, body: object) =>
    (await server.post(`${runs}/wait`, { assistant_id: "subgraphs", ...body })).body;
  const namespaces = async (server: RunServer, { id }: Thread) =>
    (await server.storage.checkpoints.list(ANONYMOUS, { thread_id: id })).map(({ row }) => row.checkpoint_ns);

  it("keeps what an interrupted subgraph goes on from, two levels down", async () => {
    await using server = await start();
    const thread = await server.thread();
    await wait(server, thread, { input: {} });
    const state = () => server.get(`/threads/${thread.id}/state?subgraphs=true`);
    const shown = async () => {
      const { values, next, tasks } = (await state()).body;
      const inner = tasks[0].state.tasks[0];
      return {
        values,
        next,
        task: tasks[0].name,
        inner: inner.name,
        innermost: inner.state.next,
        asks: inner.interrupts,
      };
    };
    const before = await shown();
    expect(before).toMatchObject({ next: ["child"], innermost: ["approve"] });
    expect((await prune(server, thread)).status).toBe(200);
    expect(await shown()).toEqual(before);
    expect(await namespaces(server, thread)).toHaveLength(3);
    const done = await wait(server, thread, { command: { resume: "yes" } });
    expect(done.trail).toEqual(["before", "child", "approved:yes", "after"]);
  });

  it("leaves one checkpoint when the run is over, however many runs there were", async () => {
    await using server = await start();
    const thread = await server.thread();
    for (let run = 0; run < 3; run++) {
      await wait(server, thread, { input: {} });
      await wait(server, thread, { command: { resume: `yes ${run}` } });
      expect((await prune(server, thread)).status).toBe(200);
      expect(await namespaces(server, thread)).toHaveLength(1);
      const { values, next } = (await server.get(`/threads/${thread.id}/state?subgraphs=true`)).body;
      expect(values.trail).toContain(`approved:yes ${run}`);
      expect(next).toEqual([]);
    }
  });

  it("drops what an interrupted run has left when another run has gone on from there", async () => {
    await using server = await start();
    const thread = await server.thread();
    for (let run = 0; run < 3; run++) {
      await wait(server, thread, { input: {} });
      await prune(server, thread);
      expect(await namespaces(server, thread)).toHaveLength(3);
    }
  });
});
