import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import pg from "pg";
import { eventually } from "../e2e/spawn-server.ts";
import { PgBouncer, pgBouncerAvailable } from "./pgbouncer.ts";
import { PostgresServer, postgresAvailable, sharedPostgres } from "./postgres.ts";
import { RedisServer, redisAvailable } from "./redis.ts";

// A server takes a second or two to appear, several on a busy machine.
setDefaultTimeout(60_000);

const noPostgres = await postgresAvailable();
const noPgBouncer = noPostgres ?? pgBouncerAvailable();
const noRedis = redisAvailable();

async function ask(url: string, sql: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows[0];
  } finally {
    await client.end();
  }
}

describe.skipIf(noPostgres !== undefined)(`a Postgres server for tests (${noPostgres ?? "found"})`, () => {
  it("keeps its data over a crash, a clean restart and a kill, and leaves nothing", async () => {
    const server = await PostgresServer.start();
    const { folder } = await ask(server.url(), "select current_setting('data_directory') as folder");
    await ask(server.url(), "create table kept as select 7 as n");
    await server.restart("immediate");
    expect(server.logs()).toContain("not properly shut down");
    expect(await ask(server.url(), "select n from kept")).toEqual({ n: 7 });
    await server.restart("fast");
    expect(server.logs()).not.toContain("not properly shut down");
    await server.kill();
    await server.start();
    expect(await ask(server.url(), "select n from kept")).toEqual({ n: 7 });
    const url = server.url();
    await server[Symbol.asyncDispose]();
    await expect(ask(url, "select 1")).rejects.toThrow("ECONNREFUSED");
    expect(existsSync(folder as string)).toBe(false);
  });

  it("asks for its password and sorts text as people do", async () => {
    const server = await sharedPostgres();
    const url = await server.createDatabase();
    const wrong = new URL(url);
    wrong.password = "wrong";
    await expect(ask(wrong.href, "select 1")).rejects.toThrow("password authentication failed");
    expect(await ask(url, "select 'a' < 'B' as human")).toEqual({ human: true });
  });

  it("does not answer while it is paused, not even on connections it has", async () => {
    await using server = await PostgresServer.start();
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    await server.pause();
    const backend = (client as unknown as { processID: number }).processID;
    // T is a stopped process: nothing has to wait for an answer that does not come.
    expect(spawnSync("ps", ["-o", "stat=", "-p", `${backend}`], { encoding: "utf8" }).stdout).toStartWith("T");
    const answer = client.query("select 1 as n");
    await server.resume();
    expect((await answer).rows).toEqual([{ n: 1 }]);
    await client.end();
  });

  it("ends when its test process is killed, with its files", async () => {
    const probe = fileURLToPath(new URL("./killed-probe.ts", import.meta.url));
    const child = spawn(process.execPath, [probe], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const { url, folder } = JSON.parse(line.toString());
    expect(await ask(url, "select 1 as n")).toEqual({ n: 1 });
    child.kill("SIGKILL");
    await once(child, "exit");
    await eventually(
      async () => existsSync(folder),
      (there) => !there,
    );
    await expect(ask(url, "select 1")).rejects.toThrow("ECONNREFUSED");
  });
});

describe.skipIf(noPgBouncer !== undefined)(`PgBouncer for tests (${noPgBouncer ?? "found"})`, () => {
  it("hands a server connection to another client after each transaction", async () => {
    const postgres = await sharedPostgres();
    await using bouncer = await PgBouncer.start(await postgres.createDatabase(), { default_pool_size: "1" });
    const clients = [1, 2].map(() => new pg.Client({ connectionString: bouncer.url() }));
    const backends: unknown[] = [];
    for (const client of clients) {
      await client.connect();
      backends.push((await client.query("select pg_backend_pid() as pid")).rows[0].pid);
    }
    expect(backends[1]).toBe(backends[0]);
    for (const client of clients) await client.end();
  });
});

describe.skipIf(noRedis !== undefined)(`a Redis server for tests (${noRedis ?? "found"})`, () => {
  it("answers, forgets on demand and over a restart, and leaves nothing", async () => {
    const server = await RedisServer.start();
    const { url } = server;
    await using client = disposable(new Redis(url));
    expect(await client.redis.ping()).toBe("PONG");
    const [, folder] = (await client.redis.config("GET", "dir")) as string[];
    await client.redis.set("a", "1");
    await server.flushall();
    expect(await client.redis.get("a")).toBeNull();
    await client.redis.set("a", "2");
    await server.restart();
    expect(server.url).toBe(url);
    expect(await client.redis.get("a")).toBeNull();
    await server.pause();
    const answer = client.redis.ping();
    await server.resume();
    expect(await answer).toBe("PONG");
    await server[Symbol.asyncDispose]();
    expect(existsSync(folder as string)).toBe(false);
    await expect(once(new Redis(url, { retryStrategy: null }), "error")).resolves.toMatchObject([
      { code: "ECONNREFUSED" },
    ]);
  });
});

/** Ends the client before the test goes on with what it leaves; lost connections are expected here. */
function disposable(redis: Redis) {
  redis.on("error", () => {});
  return { redis, [Symbol.asyncDispose]: async () => redis.disconnect() };
}
