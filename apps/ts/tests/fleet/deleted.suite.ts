import { describe, expect, it } from "bun:test";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type Reply, type RunServer, runPath, until } from "../runs/server.ts";
import { eventsOf } from "../runs/sse-client.ts";
import type { FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

const DELETED = { error: "ThreadDeleted", message: "The thread of the run was deleted" };
const fresh = () => `deleted-${crypto.randomUUID()}`;

const BROKEN_OFF = "broken off";

/**
 * What readers and waiters of a run get whose thread is deleted: an error, never a part as the whole. `hinted`: whether
 * servers hear of each other; where they do not, one of them may find the run gone and not know why, and breaks off.
 */
export function deletedSuite(engine: FleetEngine, hinted = true): void {
  /** `a` executes, `b` only reads and waits. */
  async function pair() {
    const fleet = await Fleet.start(engine, [{ concurrency: 3 }, { concurrency: 0 }]);
    return { fleet, a: fleet.server(0), b: fleet.server(1), [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose]() };
  }

  /** A run that stands at its gate. */
  async function atWork(a: RunServer, thread: { runs: string }, changes: object = {}) {
    const name = fresh();
    const { body: run } = await a.post(thread.runs, { assistant_id: "gate", input: { name }, ...changes });
    await arrival(name);
    return { name, run };
  }

  /** Everybody who can read a run, at every server; resolves when all of them are attached. */
  async function audience(servers: RunServer[], runs: { run_id: string; thread_id: string }[]) {
    const answers: Promise<string>[] = [];
    for (const server of servers) {
      for (const run of runs) {
        for (const way of ["join", "stream"]) {
          answers.push(text(server.get(`${runPath(run)}/${way}`)));
        }
        await until(() => {
          const feed = server.hub.find(run.run_id);
          return feed !== undefined && feed.waiting === 1 && feed.readers === 1;
        });
      }
    }
    return answers;
  }

  const text = (reply: Promise<Reply>) =>
    reply.then(
      (answer) => answer.text,
      () => BROKEN_OFF,
    );
  const failed = (answer: string) => !hinted && answer === BROKEN_OFF;

  function expectFailedWait(answer: string): void {
    if (!failed(answer)) expect(JSON.parse(answer)).toEqual({ __error__: DELETED });
  }

  function expectFailedStream(answer: string): void {
    if (!failed(answer)) expect(eventsOf(answer).at(-1)).toMatchObject({ event: "error", data: DELETED });
  }

  async function expectErrors(answers: Promise<string>[]): Promise<void> {
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      if (i % 2 === 0) expectFailedWait(answer);
      else expectFailedStream(answer);
    }
  }

  describe(`a thread that is deleted (${engine.name})`, () => {
    for (const deleter of [0, 1]) {
      const where = deleter === 0 ? "that executes them" : "that does not execute them";
      it(`gives an error to those who read its runs or wait for them, deleted by the server ${where}`, async () => {
        await using servers = await pair();
        const { fleet, a, b } = servers;
        const thread = await a.thread();
        const { run: running } = await atWork(a, thread, { stream_resumable: true });
        const { body: pending } = await a.post(thread.runs, { assistant_id: "counter", input: { steps: 1 } });
        const answers = await audience([a, b], [running, pending]);
        const { status } = await fleet.server(deleter).call("DELETE", `/threads/${thread.id}`);
        expect(status).toBe(204);
        await expectErrors(answers);
        for (const run of [running, pending]) {
          for (const way of ["join", "stream"]) expect((await b.get(`${runPath(run)}/${way}`)).status).toBe(404);
        }
      });
    }

    it("gives an error to calls that create a run and wait for it or stream it", async () => {
      await using servers = await pair();
      const { a, b } = servers;
      const thread = await a.thread();
      const names = [fresh(), fresh()];
      const body = (name: string | undefined) => ({ assistant_id: "gate", input: { name } });
      const waited = text(b.post(`${thread.runs}/wait`, body(names[0])));
      await arrival(names[0] as string);
      const streamed = text(a.post(`${thread.runs}/stream`, body(names[1])));
      await until(async () => (await a.get(thread.runs)).body.length === 2);
      expect((await a.call("DELETE", `/threads/${thread.id}`)).status).toBe(204);
      expectFailedWait(await waited);
      expectFailedStream(await streamed);
    });

    it("gives an error to those who wait when pruning deletes it, and 404 to who waits for its cancel", async () => {
      await using servers = await pair();
      const { a, b } = servers;
      const thread = await a.thread();
      const { run } = await atWork(a, thread);
      const [join] = await audience([b], [run]);
      const pruned = await b.post("/threads/prune", { thread_ids: [thread.id], strategy: "delete" });
      expect(pruned.body).toEqual({ pruned_count: 1 });
      expectFailedWait((await join) as string);
      expect((await b.post(`${runPath(run)}/cancel?wait=true`)).status).toBe(404);
    });

    it("gives an error to those who wait when it goes with its assistant", async () => {
      await using servers = await pair();
      const { a, b } = servers;
      const { body: assistant } = await a.post("/assistants", { graph_id: "gate" });
      const thread = await a.thread();
      const { run } = await atWork(a, thread, { assistant_id: assistant.assistant_id });
      const answers = await audience([a, b], [run]);
      const path = `/assistants/${assistant.assistant_id}?delete_threads=true`;
      expect((await b.call("DELETE", path)).status).toBe(204);
      await expectErrors(answers);
    });

    it("gives an error to the waiters of a run that was asked to roll back before", async () => {
      await using servers = await pair();
      const { a, b } = servers;
      const thread = await a.thread();
      const { name, run } = await atWork(a, thread, { assistant_id: "stubborn" });
      const answers = await audience([a, b], [run]);
      await a.post(`${runPath(run)}/cancel?action=rollback`);
      const gone = a.call("DELETE", `/threads/${thread.id}`);
      await until(async () => (await a.get(`/threads/${thread.id}?include=ttl`)).body.ttl?.ttl_minutes === 0);
      open(name);
      expect((await gone).status).toBe(204);
      await expectErrors(answers);
    });
  });

  describe(`a run that is rolled back (${engine.name})`, () => {
    it("ends for its readers, and gives the thread's stored values to its waiters", async () => {
      await using servers = await pair();
      const { a, b } = servers;
      const thread = await a.thread();
      await a.post(`${thread.runs}/wait`, { assistant_id: "counter", input: { steps: 1 } });
      const { run } = await atWork(a, thread);
      const answers = await audience([a, b], [run]);
      expect((await b.post(`${runPath(run)}/cancel?action=rollback`)).status).toBe(202);
      const texts = await Promise.all(answers);
      for (const i of [0, 2]) expect(JSON.parse(texts[i] as string)).toMatchObject({ count: 1 });
      for (const i of [1, 3]) expect(eventsOf(texts[i] as string).at(-1)?.event).toBe("end");
    });
  });
}
