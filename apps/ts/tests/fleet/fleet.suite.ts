import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { ANONYMOUS } from "#core/identity/scope";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type RunServer, runPath, type Thread, until } from "../runs/server.ts";
import { dataOf, SseReader, shapeOf } from "../runs/sse-client.ts";
import type { FleetEngine } from "./engines.ts";
import { checkOrder, Fleet } from "./fleet.ts";

/** What holds wherever a run is executed and wherever it is read. */
export function fleetSuite(engine: FleetEngine): void {
  describe(`two servers (${engine.name})`, () => {
    let fleet: Fleet;
    let a: RunServer;
    let b: RunServer;
    /** A accepts, B executes: whatever A creates has to be done elsewhere. */
    beforeAll(async () => {
      fleet = await Fleet.start(engine, [{ concurrency: 0 }, { concurrency: 50, cancelGraceSeconds: 1 }]);
      a = fleet.server(0);
      b = fleet.server(1);
    });
    afterAll(() => fleet[Symbol.asyncDispose]());

    const fresh = () => `gate-${crypto.randomUUID()}`;

    /** A run created on A that stands at its gate on B. */
    async function remote(more: object = {}): Promise<{ thread: Thread; run: Run; name: string }> {
      const thread = await a.thread();
      const name = fresh();
      const { input, ...rest } = { input: {}, ...more };
      const body = { assistant_id: "gate", ...rest, input: { name, ...input } };
      const { body: run } = await a.post(thread.runs, body);
      await arrival(name);
      return { thread, run, name };
    }

    it("executes on one what the other accepts, and streams every event once and in order", async () => {
      const thread = await a.thread();
      const name = fresh();
      const answer = await a.open("POST", `${thread.runs}/stream`, {
        body: { assistant_id: "gate", input: { name, n: 300 }, stream_mode: ["values", "custom"] },
      });
      await arrival(name);
      expect([a.worker.running, b.worker.running]).toEqual([0, 1]);
      open(name);
      const events = await new SseReader(answer).rest();
      checkOrder(events);
      expect(shapeOf(events)).toEqual(["metadata", "values", "custom", "values", "end"]);
      expect(dataOf(events, "custom").map(({ i }) => i)).toEqual(Array.from({ length: 300 }, (_, i) => i));
      const run = { thread_id: thread.id, run_id: events[0]?.data.run_id };
      for (const server of [a, b]) expect(await server.join(run, { from: "-1" })).toEqual(events);
      await until(() => a.hub.size + b.hub.size === 0);
    });

    it("answers wait for a run elsewhere, whether its log is kept or not", async () => {
      for (const more of [{}, { stream_resumable: true }]) {
        const thread = await a.thread();
        const body = { assistant_id: "counter", input: { steps: 3 }, ...more };
        expect((await a.post(`${thread.runs}/wait`, body)).body.count).toBe(3);
        const stateless = await a.post("/runs/wait", body);
        expect(stateless.body.count).toBe(3);
      }
      const thread = await a.thread();
      const failed = await a.post(`${thread.runs}/wait`, { assistant_id: "failing", input: {} });
      expect(failed.body.__error__).toBeDefined();
      const asked = await a.post(`${thread.runs}/wait`, { assistant_id: "interrupting", input: {} });
      expect(asked.body.__interrupt__).toHaveLength(1);
    });

    it("gives a late reader of a run whose log is not kept its final values and end", async () => {
      const { run, name } = await remote();
      const joined = a.join(run);
      const waited = a.get(`${runPath(run)}/join`);
      await until(() => a.hub.find(run.run_id)?.readers === 1 && a.hub.find(run.run_id)?.waiting === 1);
      open(name);
      const events = await joined;
      expect(events.at(-2)).toMatchObject({ event: "values", data: { trail: ["before", "after"] } });
      expect(events.at(-1)?.event).toBe("end");
      expect((await waited).body.trail).toEqual(["before", "after"]);
    });

    it("lets a reader join elsewhere in the middle, from the start, an id, or now", async () => {
      const { run, name } = await remote({
        input: { n: 100 },
        stream_resumable: true,
        stream_mode: ["values", "custom"],
      });
      const path = `${runPath(run)}/stream`;
      const read = async (from?: string) =>
        new SseReader(await a.open("GET", path, from === undefined ? {} : { headers: { "Last-Event-ID": from } }));
      const whole = await read("-1");
      const first = await whole.readUntil(({ events }) => events.length >= 3);
      expect(shapeOf(first)).toEqual(["metadata", "values"]);
      // The log may be read faster than the feed is filled from it, and "now" is where the feed is.
      await until(() => a.hub.find(run.run_id)?.lastId?.n === 2);
      const rest = await read(first[1]?.id);
      const now = await read();
      await until(() => a.hub.find(run.run_id)?.readers === 3);
      open(name);
      const all = await whole.rest();
      checkOrder(all);
      expect(await rest.rest()).toEqual(all.slice(2));
      const later = await now.rest();
      expect(later).toEqual(all.slice(first.length));
      expect(await b.join(run, { from: "-1" })).toEqual(all);
    });

    it("does not tell again what a reader has already seen ahead of the log", async () => {
      const { run, name } = await remote({ stream_resumable: true, input: { n: 5 }, stream_mode: ["custom"] });
      const { epoch } = (await a.storage.runs.find(ANONYMOUS, run.run_id)) as { epoch: number };
      const { thread_id, run_id } = run;
      const inLog = () => a.storage.events.read(ANONYMOUS, { thread_id, run_id, limit: 10 });
      await until(async () => (await inLog()).length === 1);
      const answer = await a.open("GET", `${runPath(run)}/stream`, { headers: { "Last-Event-ID": `${epoch}-3` } });
      await until(() => a.hub.find(run.run_id)?.readers === 1);
      open(name);
      const events = await new SseReader(answer).rest();
      expect(events.map(({ id }) => id)).toEqual([`${epoch}-4`, `${epoch}-5`, `${epoch}-7`]);
    });

    it("gives all of a run to a reader that comes with an id which no event has: it got nothing, not even the end", async () => {
      const { run, name } = await remote({ stream_resumable: true, input: { n: 5 }, stream_mode: ["custom"] });
      const { epoch } = (await a.storage.runs.find(ANONYMOUS, run.run_id)) as { epoch: number };
      const ids = [`${epoch}-500`, `${epoch}-99999999999`, "0-99999999999", `${epoch + 7}-0`];
      const lost = ids.flatMap((from) => [a, b].map((server) => server.join(run, { from })));
      // Of the last event, before there is one: all of it is known.
      const done = a.join(run, { from: `${epoch}-7` });
      await until(() => a.hub.find(run.run_id)?.readers === 5 && b.hub.find(run.run_id)?.readers === 4);
      open(name);
      const whole = await b.join(run, { from: "-1" });
      expect(whole.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 7].map((n) => `${epoch}-${n}`));
      for (const events of await Promise.all(lost)) expect(events).toEqual(whole);
      expect((await done).map(({ event }) => event)).toEqual(["end"]);
    });

    it("cancels a run elsewhere, and waits until it is over", async () => {
      const { thread, run } = await remote();
      const reply = await a.post(`${runPath(run)}/cancel?wait=1`);
      expect([reply.status, reply.body]).toEqual([200, expect.objectContaining({ trail: ["before"] })]);
      expect((await b.run(run)).status).toBe("interrupted");
      const undone = await remote();
      expect((await a.post(`${runPath(undone.run)}/cancel?wait=1&action=rollback`)).status).toBe(200);
      expect((await b.get(runPath(undone.run))).status).toBe(404);
      expect((await a.get(`/threads/${thread.id}`)).body.status).toBe("interrupted");
    });

    it("lets a new run push aside one that is executed elsewhere", async () => {
      for (const strategy of ["interrupt", "rollback"]) {
        const { thread, run } = await remote();
        const next = await a.post(`${thread.runs}/wait`, {
          assistant_id: "counter",
          input: { steps: 1 },
          multitask_strategy: strategy,
        });
        expect(next.body.count).toBe(1);
        const before = await a.get(runPath(run));
        expect(strategy === "rollback" ? before.status : before.body.status).toBe(
          strategy === "rollback" ? 404 : "interrupted",
        );
      }
    });

    it("ends the streams of pending runs that are cancelled elsewhere", async () => {
      const { thread, name } = await remote();
      const answer = await a.open("POST", `${thread.runs}/stream`, {
        body: { assistant_id: "counter", input: { steps: 1 } },
      });
      const pending = answer.headers.get("content-location");
      expect((await b.post(`${pending}/cancel`)).status).toBe(202);
      expect((await new SseReader(answer).rest()).map(({ event }) => event)).toEqual(["end"]);
      open(name);
    });

    it("deletes a thread whose run is executed elsewhere", async () => {
      const { thread, run } = await remote();
      expect((await a.call("DELETE", `/threads/${thread.id}`)).status).toBe(204);
      expect((await b.get(runPath(run))).status).toBe(404);
      await until(() => b.worker.running === 0);
    });
  });

  describe(`a server that is lost (${engine.name})`, () => {
    it("is replaced: the run goes on elsewhere and those who read it there see it to its end", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 0 }, { concurrency: 5 }]);
      const [a, b] = [fleet.server(0), fleet.server(1)];
      const { thread, name, run, far, near, seen } = await readTwice(a, b);
      const waited = b.get(`${runPath(run)}/join`);
      await until(() => b.hub.find(run.run_id)?.waiting === 1);
      await fleet.lose(1);
      expect(await near.untilBroken()).toEqual(seen);
      expect(shapeOf(seen)).toEqual(["metadata", "values"]);
      const back = b.join(run, { from: seen.at(-1)?.id as string });
      open(name);
      const events = await new SseReader(far).rest();
      checkOrder(events);
      expect([...seen, ...(await back)]).toEqual(events);
      expect(dataOf(events, "metadata").map(({ attempt }) => attempt)).toEqual([1, 2]);
      expect(dataOf(events, "custom")).toHaveLength(3);
      expect(events.at(-1)?.event).toBe("end");
      expect((await waited).body.trail).toEqual(["before", "after"]);
      expect(await a.storage.runs.audit()).toBe(0);

      // One order for the whole thread, the same on both: an attempt that died, the one after it, and another run.
      const second = await a.stream(thread.runs, { assistant_id: "counter", input: { steps: 1 } });
      const logs = await Promise.all(
        [a, b].map(({ storage }) => storage.events.read(ANONYMOUS, { thread_id: thread.id, limit: 1_000 })),
      );
      expect(logs[0]).toEqual(logs[1] as never);
      const ids = (logs[0] ?? []).map(({ epoch, n }) => `${epoch}-${n}`);
      expect(ids).toEqual([...events, ...second].map(({ id }) => id as string));
    });

    it("sends away who reads there what another executes, whatever it can read itself", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 0 }, { concurrency: 5 }]);
      const [a, b] = [fleet.server(0), fleet.server(1)];
      const thread = await a.thread();
      const name = crypto.randomUUID();
      const body = { assistant_id: "gate", input: { name, n: 3 }, stream_mode: ["values", "custom"] };
      const far = new SseReader(
        await a.open("POST", `${thread.runs}/stream`, { body: { ...body, on_disconnect: "cancel" } }),
      );
      const seen = await far.readUntil(({ events }) => events.length === 3);
      const run = { thread_id: thread.id, run_id: seen[0]?.data.run_id };
      const waited = a.get(`${runPath(run)}/join`);
      await until(() => a.hub.find(run.run_id)?.waiting === 1);
      await fleet.lose(0);
      expect(await far.untilBroken()).toEqual(seen);
      const back = [a, b].map((server) => server.join(run, { from: seen.at(-1)?.id as string }));
      await until(() => [a, b].every(({ hub }) => hub.find(run.run_id)?.readers === 1));
      open(name);
      const whole = await b.join(run, { from: "-1" });
      for (const rest of await Promise.all(back)) expect([...seen, ...rest]).toEqual(whole);
      expect(whole.at(-1)?.event).toBe("end");
      // Whoever waits is not sent away as long as the run can be found.
      expect((await waited).body.trail).toEqual(["before", "after"]);
    });

    it("hands its runs to others when it drains, without using an attempt; their readers see no gap", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 1 }]);
      const a = fleet.server(0);
      const filler = await a.thread();
      const stops = crypto.randomUUID();
      await a.post(filler.runs, { assistant_id: "gate", input: { name: stops } });
      await arrival(stops);
      expect(a.worker.running).toBe(1);
      const b = await fleet.add({ concurrency: 5 });
      const { name, run, far, near, seen } = await readTwice(a, b);
      open(stops);
      const stopped = fleet.stop(1);
      expect(await near.untilBroken()).toEqual(seen);
      expect(shapeOf(seen)).toEqual(["metadata", "values"]);
      expect(near.text.endsWith("retry: 500\n")).toBe(true);
      await stopped;
      const back = a.join(run, { from: seen.at(-1)?.id as string });
      open(name);
      const events = await new SseReader(far).rest();
      checkOrder(events);
      expect([...seen, ...(await back)]).toEqual(events);
      expect(dataOf(events, "metadata").map(({ attempt }) => attempt)).toEqual([1, 1]);
      expect(dataOf(events, "values").at(-1).trail).toEqual(["before", "after"]);
      expect(events.at(-1)?.event).toBe("end");
    });
  });
}

/** A run that stands at its gate on B: its stream was begun through A, and B itself is read up to the gate. */
async function readTwice(a: RunServer, b: RunServer) {
  const thread = await a.thread();
  const name = crypto.randomUUID();
  const far = await a.open("POST", `${thread.runs}/stream`, {
    body: { assistant_id: "gate", input: { name, n: 3 }, stream_mode: ["values", "custom"] },
  });
  const run = { thread_id: thread.id, run_id: (far.headers.get("content-location") as string).split("/")[4] ?? "" };
  await arrival(name);
  const near = new SseReader(await b.open("GET", `${runPath(run)}/stream`, { headers: { "Last-Event-ID": "-1" } }));
  const seen = await near.readUntil((reader) => reader.events.length === 3);
  return { thread, name, run, far, near, seen };
}

type Run = { thread_id: string; run_id: string };
