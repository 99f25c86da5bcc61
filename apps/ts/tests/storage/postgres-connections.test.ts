import { afterEach, beforeAll, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import type { Socket } from "node:net";
import { Client } from "pg";
import { StorageError } from "#core/storage";
import { Database } from "#storage/postgres/database";
import { Hosts } from "#storage/postgres/hosts";
import { openPostgresStorage } from "#storage/postgres/open";
import { freePort } from "../cli/database-world.ts";
import { WORKER } from "../contract/harness.ts";
import { documentedSettings, PgBouncer, pgBouncerAvailable } from "../servers/pgbouncer.ts";
import { PostgresServer, postgresAvailable, sharedPostgres } from "../servers/postgres.ts";
import { TcpProxy } from "../servers/tcp-proxy.ts";

setDefaultTimeout(30_000);

const POOL = { min: 0, max: 4, timeoutMs: 3_000 };
const missing = await postgresAvailable();
const noBouncer = pgBouncerAvailable();

/** A way to the database on which connections die without a word, and new ones work. */
class Firewall implements AsyncDisposable {
  #proxy: TcpProxy | undefined;
  readonly #passing = new Set<Socket>();
  readonly #target: string;

  private constructor(target: string) {
    this.#target = target;
  }

  static async start(target: string): Promise<Firewall> {
    const firewall = new Firewall(target);
    firewall.#proxy = await TcpProxy.start(
      () => target,
      (near, far) => {
        firewall.#passing.add(near);
        near.on("data", (chunk) => firewall.#passing.has(near) && far.write(chunk));
        far.on("data", (chunk) => firewall.#passing.has(near) && near.write(chunk));
      },
    );
    return firewall;
  }

  get url(): string {
    const url = new URL(this.#target);
    url.port = `${this.#proxy?.port}`;
    return url.href;
  }

  /** Nothing passes any more on the connections that there are. */
  forget(): void {
    this.#passing.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
  }
}

const detailOf = (url: string): string => {
  try {
    new Hosts(url);
    return "accepted";
  } catch (error) {
    return (error as StorageError).detail;
  }
};

describe("the URL of several hosts", () => {
  it("is refused by what it says of sessions that cannot write, or means nothing", () => {
    for (const attributes of ["any", "primary", "read-write"])
      expect(detailOf(`postgres://one:1,two:2/d?target_session_attrs=${attributes}`)).toBe("accepted");
    for (const attributes of ["standby", "read-only", "prefer-standby"])
      expect(detailOf(`postgres://one/d?target_session_attrs=${attributes}`)).toContain("use primary or read-write");
    expect(detailOf("postgres://one/d?target_session_attrs=master")).toContain("must be one of any, read-write");
    expect(detailOf("postgres://one/d?load_balance_hosts=yes")).toContain("must be one of disable, random");
  });

  it("is gone through in its order, and begins again after the last", () => {
    const hosts = new Hosts("postgres://u:p@one:1,two/d?application_name=a");
    const seen: string[] = [];
    for (let i = 0; i < 3; i++) {
      seen.push(hosts.url);
      hosts.failed(hosts.url);
      // By whoever met the same failure.
      hosts.failed(seen[i] as string);
    }
    const [one, two] = ["one:1", "two"].map((host) => `postgres://u:p@${host}/d?application_name=a`) as [
      string,
      string,
    ];
    expect(seen).toEqual([one, two, one]);
    const random = new Hosts("postgres://one,two/d?load_balance_hosts=random");
    expect(["postgres://one/", "postgres://two/"]).toContain(random.url.slice(0, 15));
  });
});

describe.skipIf(missing !== undefined)(`connections to Postgres (${missing ?? "found"})`, () => {
  let url: string;
  let other: Client;
  beforeAll(async () => {
    await sharedPostgres();
  }, 120_000);
  beforeEach(async () => {
    url = await (await sharedPostgres()).createDatabase();
    other = new Client({ connectionString: url });
    other.on("error", () => undefined);
    await other.connect();
  });
  afterEach(async () => {
    await other.end();
  });

  const database = () => new Database({ url, pool: POOL, prepare: true });

  it("are made to the first host of the URL that answers", async () => {
    const several = url.replace(/@/, `@127.0.0.1:${await freePort()},`);
    await using storage = await openPostgresStorage({ url: several, pool: POOL, prepare: true });
    await storage.ping();
    expect(storage.description).toContain(",127.0.0.1:");
  });

  it("are not made to a server that is read-only where the URL asks for read-write, and are without that", async () => {
    const name = new URL(url).pathname.slice(1);
    await other.query(`alter database ${name} set default_transaction_read_only = on`);
    await using reading = database();
    expect(await reading.rows("select 1 as one")).toEqual([{ one: 1 }]);
    await using writing = new Database({ url: `${url}?target_session_attrs=read-write`, pool: POOL, prepare: true });
    const refused = await writing.rows("select 1").catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "unavailable", message: expect.stringContaining("is read-only") });
  });

  it("that have died without a word are replaced, whatever lies on them, long before their answers are given up", async () => {
    await using firewall = await Firewall.start(url);
    const far = new Database({ url: firewall.url, pool: POOL, prepare: true });
    const all = () => Promise.all(Array.from({ length: POOL.max }, (_, i) => far.rows("select $1::int as i", [i])));
    await all();
    const begun = Promise.withResolvers<void>();
    const went = Promise.withResolvers<void>();
    const inTransaction = far
      .transaction(async (transaction) => {
        await transaction.rows("select 1");
        begun.resolve();
        await went.promise;
        return transaction.rows("select 2");
      })
      .catch((error: unknown) => error);
    await begun.promise;
    firewall.forget();
    went.resolve();
    const since = performance.now();
    // Half a minute is what an answer is waited for otherwise.
    expect(await all()).toEqual(Array.from({ length: POOL.max }, (_, i) => [{ i }]));
    expect(await inTransaction).toMatchObject({ code: "unavailable" });
    expect(performance.now() - since).toBeLessThan(15_000);
    await far[Symbol.asyncDispose]();
  });

  it("on which a statement takes long are left alone", async () => {
    await using patient = database();
    // Longer than a silent connection is let be.
    const slow = patient.rows<{ pid: number }>("select pg_backend_pid() as pid from pg_sleep(3)", [], { once: true });
    expect(await slow).toHaveLength(1);
  });

  it("that have lost their prepared statements, or hold outdated ones, repeat what they were asked", async () => {
    await using single = new Database({ url, pool: { ...POOL, max: 1 }, prepare: true });
    await single.rows("create table words (word text)");
    const read = () => single.rows("select * from words");
    expect(await read()).toEqual([]);
    await other.query("alter table words add column size integer");
    await other.query("insert into words values ('a', 1)");
    expect(await read()).toEqual([{ word: "a", size: 1 }]);
    const inTransaction = () => single.transaction(({ rows }) => rows("select * from words where size = 1"));
    expect(await inTransaction()).toHaveLength(1);
    await other.query("alter table words add column more integer");
    expect(await inTransaction()).toEqual([{ word: "a", size: 1, more: null }]);
    await single.rows("deallocate all");
    expect(await inTransaction()).toHaveLength(1);
    expect(await read()).toHaveLength(1);
  });

  describe.skipIf(noBouncer !== undefined)(`behind PgBouncer (${noBouncer ?? "found"})`, () => {
    it("refuse a start whose prepared statements would get lost, and only that", async () => {
      await using bouncer = await PgBouncer.start(url, documentedSettings());
      const opened = (prepare: boolean) => openPostgresStorage({ url: bouncer.url(), pool: POOL, prepare });
      if (!bouncer.keepsPreparedStatements) {
        const refused = await opened(true).catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(StorageError);
        expect((refused as StorageError).detail).toContain("Set DATABASE_PREPARE=false");
      }
      await using storage = await opened(bouncer.keepsPreparedStatements);
      await storage.ping();
      await using session = await PgBouncer.start(url, { ...documentedSettings(), pool_mode: "session" });
      await using kept = await openPostgresStorage({ url: session.url(), pool: POOL, prepare: true });
      await kept.ping();
    });

    it("go on without prepared statements where these get lost all the same", async () => {
      await using bouncer = await PgBouncer.start(url, documentedSettings());
      const limits: string[] = [];
      const onLimited = (what: string) => void limits.push(what);
      await using one = new Database({ url: bouncer.url(), pool: POOL, prepare: true, settings: false, onLimited });
      await using two = new Database({ url: bouncer.url(), pool: POOL, prepare: true, settings: false, onLimited });
      const ask = (i: number) => [one, two][i % 2]?.rows(`select ${i % 5} as i, $1::int as j from pg_sleep(0.01)`, [i]);
      const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(i)));
      expect(answers).toEqual(Array.from({ length: 60 }, (_, i) => [{ i: i % 5, j: i }]));
      if (!bouncer.keepsPreparedStatements) expect(limits).toContain("prepared statements");
    });
  });

  it("are no good while commits hang, or every write is refused: the probe says which", async () => {
    await using server = await PostgresServer.start();
    const storage = await openPostgresStorage({ url: server.url(), pool: POOL, prepare: true });
    const admin = new Client({ connectionString: server.url() });
    admin.on("error", () => undefined);
    await admin.connect();
    const reload = async (setting: string) => {
      await admin.query(`alter system ${setting}`);
      await admin.query("select pg_reload_conf()");
    };
    const lease = await storage.keeper.keep(
      { worker_id: WORKER.worker_id, instance: "i", role: "all", version: "0", capacity: 1 },
      { beat: () => undefined, lost: () => undefined },
    );
    const trouble = () =>
      storage.ping().then(
        () => "none",
        (error: Error) => error.message,
      );
    const until = async (text: string) => {
      while (!(await trouble()).includes(text)) await new Promise(setImmediate);
    };
    try {
      expect(await trouble()).toBe("none");
      await reload("set synchronous_standby_names = 'nobody'");
      await until("does not commit in time");
      expect(await storage.totals()).toBeDefined();
      await reload("reset synchronous_standby_names");
      await until("none");
      await reload("set default_transaction_read_only = on");
      await until("is read-only");
    } finally {
      await admin.end();
      await lease.end();
      await storage[Symbol.asyncDispose]();
    }
  });
});
