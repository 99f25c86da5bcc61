import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { Client } from "pg";
import { openPostgresStorage } from "#storage/postgres/open";
import { Readiness, storageChecks } from "../../src/compose/readiness.ts";
import { arrival, open } from "../runs/fixtures/gate.ts";
import { type RunServer, runPath, until } from "../runs/server.ts";
import { SseReader } from "../runs/sse-client.ts";
import { PostgresServer, postgresAvailable, postgresFollows } from "../servers/postgres.ts";
import { TcpProxy } from "../servers/tcp-proxy.ts";
import type { FleetEngine } from "./engines.ts";
import { Fleet } from "./fleet.ts";

setDefaultTimeout(120_000);

const missing = (await postgresAvailable()) ?? (postgresFollows() ? undefined : "no pg_basebackup");
const LEASE_MS = 3_000;
/** More than a busy machine takes. */
const LONG_MS = 60_000;
const POOL = { min: 0, max: 6, timeoutMs: 10_000 };

/** A primary and a replica behind one address, which leads to either. */
class Pair implements AsyncDisposable {
  readonly primary: PostgresServer;
  readonly replica: PostgresServer;
  #target: PostgresServer;
  #proxy: TcpProxy | undefined;

  private constructor(primary: PostgresServer, replica: PostgresServer) {
    this.primary = primary;
    this.replica = replica;
    this.#target = primary;
  }

  static async start(): Promise<Pair> {
    const primary = await PostgresServer.start();
    const pair = new Pair(primary, await primary.follower());
    pair.#proxy = await TcpProxy.start(
      () => pair.#target.url(),
      (near, far) => {
        near.pipe(far);
        far.pipe(near);
      },
    );
    return pair;
  }

  /** For a fleet: all of its servers go by the address. */
  get engine(): FleetEngine {
    const url = new URL(this.primary.url());
    url.port = `${this.#proxy?.port}`;
    return {
      name: "postgres, replicated",
      open: async () => ({
        connect: () => openPostgresStorage({ url: url.href, pool: POOL, prepare: true, leaseMs: LEASE_MS }),
        [Symbol.asyncDispose]: async () => undefined,
      }),
    };
  }

  /** Every connection breaks, and new ones come to this server. */
  leadTo(server: PostgresServer): void {
    this.#target = server;
    this.#proxy?.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
    await this.replica[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

async function told(server: PostgresServer, ...statements: string[]): Promise<void> {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** The replica has everything that the primary has now, and gets nothing more. */
async function leftBehind({ primary, replica }: Pair): Promise<void> {
  const [from, to] = [new Client(primary.url()), new Client(replica.url())];
  await Promise.all([from.connect(), to.connect()]);
  const [{ lsn }] = (await from.query("select pg_current_wal_lsn() as lsn")).rows;
  const there = "select from pg_stat_wal_receiver where pg_last_wal_replay_lsn() >= $1";
  await until(async () => (await to.query(there, [lsn])).rowCount === 1, 30_000);
  await to.query("alter system set primary_conninfo = ''");
  await to.query("select pg_reload_conf()");
  await until(async () => (await to.query("select from pg_stat_wal_receiver")).rowCount === 0, 30_000);
  await Promise.all([from.end(), to.end()]);
}

/** What became of somebody who waits for a run: the status and the text of the answer, or that it was broken off. */
async function outcomeOf(asked: Promise<Response>): Promise<string> {
  try {
    const response = await asked;
    return `${response.status} ${(await response.text()).trim()}`;
  } catch {
    return "broken off";
  }
}

/** A run at its gate, which is read and waited for on every server. */
async function watched(servers: readonly RunServer[]) {
  const [first] = servers as [RunServer];
  const thread = await first.thread();
  const name = crypto.randomUUID();
  const body = { assistant_id: "gate", input: { name, n: 2 }, stream_mode: ["values", "custom"] };
  const streams = [new SseReader(await first.open("POST", `${thread.runs}/stream`, { body }))];
  await arrival(name);
  const [run] = (await first.get(thread.runs)).body;
  for (const server of servers) {
    const headers = { "Last-Event-ID": "-1" };
    streams.push(new SseReader(await server.open("GET", `${runPath(run)}/stream`, { headers })));
  }
  const waits = servers.map((server) => outcomeOf(server.open("GET", `${runPath(run)}/join`)));
  await Promise.all(streams.map((stream) => stream.readUntil(({ events }) => events.length >= 3)));
  return { run, name, streams, waits };
}

/** One that waits in line behind a run at its gate, and whose creator waits for it. */
async function queued(server: RunServer, threadId: string) {
  const wait = outcomeOf(
    server.open("POST", `/threads/${threadId}/runs/wait`, {
      body: { assistant_id: "counter", input: { steps: 1 }, multitask_strategy: "enqueue" },
    }),
  );
  await until(async () => (await server.get(`/threads/${threadId}/runs`)).body.length === 2);
  return { wait };
}

async function reasonOf(server: RunServer): Promise<string | undefined> {
  // A probe of its own each time: a server's own keeps an answer for two seconds.
  return new Readiness(storageChecks(() => server.storage)).reason();
}

const cases = [
  ["one process", [{}]],
  ["a fleet of two, of which one only serves", [{}, { concurrency: 0 }]],
] as const;

describe.skipIf(missing !== undefined)(`a database with a replica (${missing ?? "found"})`, () => {
  describe.each(cases)("under %s", (_, members) => {
    let pair: Pair;
    beforeEach(async () => {
      pair = await Pair.start();
    }, 120_000);
    afterEach(() => pair[Symbol.asyncDispose]());

    it("tells nobody that a run is over while the address leads to a replica that lags behind", async () => {
      await using fleet = await Fleet.start(pair.engine, [...members]);
      const servers = members.map((_, i) => fleet.server(i));
      const [first] = servers as [RunServer];
      await first.post("/runs/wait", { assistant_id: "counter", input: { steps: 1 } });
      await until(async () => (await told(pair.replica, "select from fractal.runs").catch(() => "no")) !== "no");
      await told(pair.replica, "select pg_wal_replay_pause()");
      const { run, name, streams, waits } = await watched(servers);
      const { wait: behind } = await queued(first, run.thread_id);
      const { body: later } = await first.post("/runs", { assistant_id: "counter", input: { steps: 2 } });

      pair.leadTo(pair.replica);
      for (const server of servers) {
        await until(async () => (await reasonOf(server))?.includes("read-only replica") === true, LONG_MS);
        const { status, body } = await server.get(runPath(later));
        expect([status, body.detail]).toEqual([503, expect.stringContaining("read-only replica")]);
      }
      for (const outcome of [...waits, behind]) expect(await outcome).toMatch(/^503|^broken off/);
      for (const stream of streams) {
        await stream.untilBroken();
        expect(stream.text).not.toContain("event: end");
      }

      pair.leadTo(pair.primary);
      for (const server of servers) await until(async () => (await reasonOf(server)) === undefined, LONG_MS);
      open(name);
      for (const server of servers) {
        const joined = await server.get(`${runPath(run)}/join`);
        expect([joined.status, joined.body.trail]).toEqual([200, ["before", "after"]]);
      }
      const done = await first.join(run, { from: "-1" });
      expect(done.at(-1)?.event).toBe("end");
      await first.reached(later, "success");
      const fresh = await first.post("/runs/wait", { assistant_id: "counter", input: { steps: 3 } });
      expect(fresh.body.count).toBe(3);
      await told(pair.replica, "select pg_wal_replay_resume()");
    });

    it("tells nobody that a run is over that a promoted replica has never had, and serves on", async () => {
      await using fleet = await Fleet.start(pair.engine, [...members]);
      const servers = members.map((_, i) => fleet.server(i));
      const [first] = servers as [RunServer];
      const kept = await watched(servers);
      await leftBehind(pair);
      const lost = await watched(servers);
      const { wait: behind } = await queued(first, lost.run.thread_id);
      const { body: later } = await first.post("/runs", { assistant_id: "counter", input: { steps: 2 } });
      await first.reached(later, "success");

      await pair.primary.kill();
      await told(pair.replica, "select pg_promote()");
      pair.leadTo(pair.replica);
      for (const outcome of [...kept.waits, ...lost.waits, behind]) {
        // A wait outlives the change where the database still has its run.
        if (kept.waits.includes(outcome)) continue;
        expect(await outcome).toMatch(/^503|^broken off/);
      }
      for (const stream of [...kept.streams, ...lost.streams]) {
        await stream.untilBroken();
        expect(stream.text).not.toContain("event: end");
      }
      for (const server of servers) {
        await until(async () => (await reasonOf(server)) === undefined, LONG_MS);
        for (const gone of [lost.run, later]) expect((await server.get(runPath(gone))).status).toBe(404);
      }
      open(lost.name);
      await arrival(kept.name);
      open(kept.name);
      for (const outcome of kept.waits) expect(await outcome).toContain('"after"');
      const done = await first.join(kept.run, { from: "-1" });
      expect(done.at(-1)?.event).toBe("end");
      for (const server of servers) {
        const fresh = await server.post("/runs/wait", { assistant_id: "counter", input: { steps: 3 } });
        expect(fresh.body.count).toBe(3);
      }
      expect(await first.storage.runs.audit()).toBe(0);
    });
  });
});
