import { describe, expect, it } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { RuntimeError } from "#core/errors";
import { ANONYMOUS } from "#core/identity/scope";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type RunServer, runPath, until } from "../runs/server.ts";
import { SseReader } from "../runs/sse-client.ts";
import { altered, type Changes, type FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

const lost = () => new RuntimeError("unavailable", "The connection was lost");
const fresh = () => `moved-${crypto.randomUUID()}`;
const gate = (name: string, more: object = {}) => ({ assistant_id: "gate", input: { name }, ...more });

/** What the timing of a database must not change. */
export function movedSuite(engine: FleetEngine): void {
  describe(`answers that come late or never (${engine.name})`, () => {
    it("keeps the end of a log whose last write was stored although its answer was lost", async () => {
      const written = Promise.withResolvers<void>();
      const cancelled = Promise.withResolvers<void>();
      let losses = 0;
      const losing: Changes = ({ checkpoints }) => ({
        checkpoints: {
          ...checkpoints,
          commit: async (batch) => {
            const last = batch.some(
              (write) => write.kind === "events" && write.rows.some(({ data }) => data.includes("before")),
            );
            if (losses > 0 || !last) return checkpoints.commit(batch);
            // Of several writes each is sent again.
            if (batch.length > 1) throw lost();
            await checkpoints.commit(batch);
            losses++;
            written.resolve();
            await cancelled.promise;
            throw lost();
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, losing), [{ cancelGraceSeconds: 60 }]);
      const server = fleet.server(0);
      // Without a thread it writes nothing but its log, and says nothing more at its gate.
      const body = gate(fresh(), { stream_resumable: true, stream_mode: ["values"] });
      const { body: run } = await server.post("/runs", body);
      await written.promise;
      // It ends by its cancel, whatever becomes of the write.
      server.worker.cancel(run.run_id, "interrupt");
      cancelled.resolve();
      await server.reached(run, "interrupted");
      const rows = await logOf(server, run);
      expect(rows.map(({ n }) => n)).toEqual(rows.map((_, i) => i));
      expect(rows[0]?.mode).toBe("metadata");
      expect(rows.at(-1)?.mode).toBe("end");
      expect(losses).toBe(1);
    });

    it("answers who waits for a run that is rolled back, although the thread cannot be read at first", async () => {
      let failures = 0;
      const failing: Changes = ({ threads }) => ({
        threads: {
          ...threads,
          find: async (...asked) => {
            if (failures === 0) return threads.find(...asked);
            failures--;
            throw lost();
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, failing), [{ concurrency: 1 }]);
      const server = fleet.server(0);
      const name = fresh();
      const thread = await server.thread();
      const waited = server.post(`${thread.runs}/wait`, gate(name));
      await arrival(name);
      const [run] = (await server.get(thread.runs)).body;
      failures = 2;
      await server.storage.runs.cancel(ANONYMOUS, { run_id: run.run_id }, "rollback");
      open(name);
      const { status, body } = await waited;
      expect([status, body]).toEqual([200, {}]);
      expect(failures).toBe(0);
      expect(await server.storage.runs.find(ANONYMOUS, run.run_id)).toBeUndefined();
      await until(() => server.worker.running === 0);
    });

    it("lets nobody wait at a server that has lost its lease and cannot reach the database", async () => {
      let cut = false;
      const unreachable: Changes = ({ events, runs }) => ({
        events: { ...events, news: async (...asked) => (cut ? Promise.reject(lost()) : events.news(...asked)) },
        runs: { ...runs, find: async (...asked) => (cut ? Promise.reject(lost()) : runs.find(...asked)) },
      });
      await using fleet = await Fleet.start(altered(engine, unreachable), [{ concurrency: 0 }, { concurrency: 5 }]);
      const [a, b] = [fleet.server(0), fleet.server(1)];
      const name = fresh();
      const thread = await a.thread();
      const stream = new SseReader(await a.open("POST", `${thread.runs}/stream`, { body: gate(name) }));
      const seen = await stream.readUntil(({ events }) => events.length === 3);
      const run = { thread_id: thread.id, run_id: seen[0]?.data.run_id };
      const wait = new SseReader(await a.open("GET", `${runPath(run)}/join`));
      await until(() => a.hub.find(run.run_id)?.waiting === 1);
      cut = true;
      await fleet.lose(0);
      expect(await stream.untilBroken()).toEqual(seen);
      await wait.untilBroken();
      expect(wait.text.trim()).toBe("");
      expect(a.hub.size).toBe(0);
      cut = false;
      open(name);
      expect((await b.get(`${runPath(run)}/join`)).body.trail).toEqual(["before", "after"]);
    });

    it("does not cancel a run whose reader left and came back at another server", async () => {
      await using fleet = await Fleet.start(engine, [{ concurrency: 0 }, { concurrency: 5 }, { concurrency: 0 }]);
      const [a, b, c] = [fleet.server(0), fleet.server(1), fleet.server(2)];
      const leave = async (name: string) => {
        const thread = await a.thread();
        const body = gate(name, { on_disconnect: "cancel", stream_resumable: true });
        const reader = new SseReader(await a.open("POST", `${thread.runs}/stream`, { body }));
        const [first] = await reader.readUntil(({ events }) => events.length === 3);
        await reader.leave();
        await until(() => a.hub.find(first?.data.run_id)?.readers === 0);
        return { thread_id: thread.id, run_id: first?.data.run_id as string };
      };
      const names = [fresh(), fresh(), fresh()] as const;
      const [near, far] = [await leave(names[0]), await leave(names[1])];
      const back = [b.join(near, { from: "-1" }), c.join(far, { from: "-1" })];
      const away = await leave(names[2]);
      await b.reached(away, "interrupted");
      // Their time was over before.
      for (const run of [near, far]) expect((await b.run(run)).status).toBe("running");
      for (const name of names) open(name);
      for (const events of await Promise.all(back)) expect(events.at(-1)?.event).toBe("end");
      for (const run of [near, far]) expect((await b.run(run)).status).toBe("success");
    });

    it("hands on a run whose creation is answered while its process drains, without using an attempt", async () => {
      let slow = false;
      const accepted = Promise.withResolvers<void>();
      const told = Promise.withResolvers<void>();
      const late: Changes = ({ runs, workers }) => ({
        runs: {
          ...runs,
          create: async (...asked) => {
            const answer = await runs.create(...asked);
            if (!slow) return answer;
            slow = false;
            accepted.resolve();
            await told.promise;
            // Long enough for a drain that looks only at the runs it knows.
            await delay(50);
            return answer;
          },
        },
        workers: {
          ...workers,
          drain: async (id) => {
            await workers.drain(id);
            told.resolve();
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, late), [{ concurrency: 5 }]);
      const a = fleet.server(0);
      const name = fresh();
      const thread = await a.thread();
      slow = true;
      const created = a.post(thread.runs, gate(name));
      await accepted.promise;
      await a.worker.drain("test", 0);
      const { status, body: run } = await created;
      expect([status, a.worker.running]).toEqual([200, 0]);
      open(name);
      const b = await fleet.add({ concurrency: 5 });
      await b.reached(run, "success");
      expect(await b.storage.runs.find(ANONYMOUS, run.run_id)).toMatchObject({ attempt: 1 });
    });

    it("begins no more runs than there are slots, when a run is created while others are claimed", async () => {
      let slow = false;
      const taken = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<void>();
      const late: Changes = ({ runs }) => ({
        runs: {
          ...runs,
          claim: async (...asked) => {
            const answer = await runs.claim(...asked);
            if (slow && answer.length > 0) {
              slow = false;
              taken.resolve();
              await answered.promise;
            }
            return answer;
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, late), [{ concurrency: 1 }]);
      const server = fleet.server(0);
      const names = [fresh(), fresh(), fresh()] as const;
      const begin = async (name: string) => (await server.post((await server.thread()).runs, gate(name))).body;
      const runs = [await begin(names[0])];
      await arrival(names[0]);
      runs.push(await begin(names[1]));
      slow = true;
      open(names[0]);
      await taken.promise;
      runs.push(await begin(names[2]));
      answered.resolve();
      await arrival(names[1]);
      expect(server.worker.running).toBe(1);
      expect(await server.storage.runs.counts()).toMatchObject({ pending: 1, running: 1 });
      open(names[1]);
      open(names[2]);
      for (const run of runs) await server.reached(run, "success");
    });

    it("executes a run once that was found and ended before the answer to its creation came", async () => {
      let next: "late" | "lost" | undefined;
      const accepted = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<void>();
      const changes: Changes = ({ runs }) => ({
        runs: {
          ...runs,
          create: async (...asked) => {
            const how = next;
            next = undefined;
            const answer = await runs.create(...asked);
            if (how === "lost") throw lost();
            if (how === "late") {
              accepted.resolve();
              await answered.promise;
            }
            return answer;
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, changes), [{ concurrency: 5 }]);
      const server = fleet.server(0);
      const [one, other] = [await server.thread(), await server.thread()];
      const body = { assistant_id: "counter", input: { steps: 1 } };
      next = "late";
      const created = server.post(one.runs, body);
      await accepted.promise;
      // Since nobody knows what became of this one, everything that is held here is looked for.
      next = "lost";
      expect((await server.post(other.runs, body)).status).toBe(503);
      for (const { id, runs } of [one, other]) {
        const [run] = (await server.get(runs)).body;
        await server.reached({ thread_id: id, run_id: run.run_id }, "success");
      }
      await until(() => server.worker.running === 0);
      answered.resolve();
      expect((await created).status).toBe(200);
      // Resolves when everything that was begun here is over.
      await server.worker.drain("test", 1_000);
      expect(server.log.join("")).not.toContain("lost the lane");
    });

    it("stores what was said before it gives a run back", async () => {
      const steps: string[] = [];
      const writing = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      const late: Changes = ({ checkpoints, runs }) => ({
        checkpoints: {
          ...checkpoints,
          commit: async (batch) => {
            if (!batch.some(({ kind }) => kind === "events")) return checkpoints.commit(batch);
            writing.resolve();
            // Long enough for a release that does not wait.
            await Promise.race([released.promise, delay(200)]);
            const answers = await checkpoints.commit(batch);
            steps.push(...answers.map(String));
            return answers;
          },
        },
        runs: {
          ...runs,
          release: async (fence) => {
            const done = await runs.release(fence);
            steps.push("released");
            released.resolve();
            return done;
          },
        },
      });
      await using fleet = await Fleet.start(altered(engine, late), [{ concurrency: 1 }]);
      const server = fleet.server(0);
      const name = fresh();
      const { body: run } = await server.post("/runs", gate(name, { stream_resumable: true, stream_mode: ["values"] }));
      await arrival(name);
      await writing.promise;
      await server.worker.drain("test", 0);
      expect(steps.at(-1)).toBe("released");
      expect(new Set(steps.slice(0, -1))).toEqual(new Set(["written"]));
      const rows = await logOf(server, run);
      expect(rows.map(({ n }) => n)).toEqual(rows.map((_, i) => i));
      expect(rows[0]?.mode).toBe("metadata");
      expect(rows.length).toBeGreaterThan(1);
    });
  });
}

function logOf({ storage }: RunServer, { thread_id, run_id }: { thread_id: string; run_id: string }) {
  return storage.events.read(ANONYMOUS, { thread_id, run_id, limit: 100 });
}
