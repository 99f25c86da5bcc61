import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "#platform/sqlite";
import { openSqliteStorage } from "#storage/sqlite/open";
import { documentedSettings, PgBouncer, pgBouncerAvailable } from "../servers/pgbouncer.ts";
import { postgresAvailable, sharedPostgres, type TestPostgres } from "../servers/postgres.ts";
import { RedisServer, redisAvailable } from "../servers/redis.ts";
import { freePort, runDoctor, runMigrate, sql, urlFor } from "./database-world.ts";

let dir: string;
let server: TestPostgres;
const noPostgres = await postgresAvailable();
const withPostgres = describe.skipIf(noPostgres !== undefined);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "fractal-doctor-"));
  if (noPostgres === undefined) server = await sharedPostgres();
}, 60_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

withPostgres("fractal doctor of a PostgreSQL database", () => {
  it("is content with a fresh database and with a migrated one", async () => {
    const DATABASE_URL = await server.createDatabase();
    const fresh = await runDoctor({ DATABASE_URL }, dir);
    expect([fresh.code, fresh.ok]).toEqual([0, true]);
    expect(fresh.at("database.schema")?.text).toStartWith("There is no schema fractal yet");
    await runMigrate({ DATABASE_URL }, dir);
    const { code, at } = await runDoctor({ DATABASE_URL }, dir);
    expect(code).toBe(0);
    expect(at("database.schema")?.text).toMatch(/has version \d+$/);
    for (const id of ["reachable", "version", "writable", "permissions", "clock", "pooler", "notify", "connections"]) {
      expect([id, at(`database.${id}`)?.status]).toEqual([id, "ok"]);
    }
  });

  it("fails on a schema that this program cannot use, and not on a newer one that it can", async () => {
    const DATABASE_URL = await server.createDatabase();
    await runMigrate({ DATABASE_URL }, dir);
    const made = "insert into fractal.migrations (version, compatible_from) values";
    await sql(DATABASE_URL, `${made} (900, 1)`);
    expect((await runDoctor({ DATABASE_URL }, dir)).code).toBe(0);
    await sql(DATABASE_URL, `${made} (901, 901)`);
    expect(await runDoctor({ DATABASE_URL }, dir)).toMatchObject({
      code: 1,
      bad: expect.arrayContaining(["fail database.schema"]),
    });
  });

  it("says which rights are missing, and that a database is read-only", async () => {
    const admin = await server.createDatabase();
    const name = new URL(admin).pathname.slice(1);
    await sql(
      admin,
      `create role guest_${name} login password 'hunter22'`,
      `alter database "${name}" set default_transaction_read_only = on`,
    );
    const { code, at } = await runDoctor(
      { DATABASE_URL: urlFor(admin, { user: `guest_${name}`, password: "hunter22" }) },
      dir,
    );
    expect(code).toBe(1);
    expect(at("database.permissions")).toMatchObject({
      status: "fail",
      advice: `grant create on database ${name} to guest_${name}`,
    });
    expect(at("database.writable")?.status).toBe("fail");
  });

  it("fails for a schema whose version nobody knows", async () => {
    const DATABASE_URL = await server.createDatabase();
    await runMigrate({ DATABASE_URL }, dir);
    await sql(DATABASE_URL, "delete from fractal.migrations");
    const { code, at } = await runDoctor({ DATABASE_URL }, dir);
    expect([code, at("database.schema")]).toMatchObject([1, { status: "fail" }]);
    expect(at("database.schema")?.text).toContain("fractal.migrations is empty");
    expect(at("database.notify")?.status).toBe("ok");
  });

  it("counts the connections of all workers against the server's", async () => {
    const DATABASE_URL = await server.createDatabase();
    const { code, at } = await runDoctor({ DATABASE_URL, DATABASE_POOL_MAX_SIZE: "500", FRACTAL_WORKERS: "2" }, dir);
    expect(code).toBe(1);
    expect(at("database.connections")).toMatchObject({ status: "fail" });
    expect(at("database.connections")?.text).toContain("2 processes with up to 502 connections each");
  });

  it.skipIf(pgBouncerAvailable() !== undefined)(
    "knows a pooler in transaction mode, and what it cannot do",
    async () => {
      const url = await server.createDatabase();
      await using bouncer = await PgBouncer.start(url, documentedSettings());
      const DATABASE_URL = bouncer.url();
      const prepared = await runDoctor({ DATABASE_URL }, dir);
      const expected = bouncer.keepsPreparedStatements ? [0, "ok"] : [1, "fail"];
      expect([prepared.code, prepared.at("database.prepare")?.status as string]).toEqual(expected);
      expect(prepared.at("database.prepare")?.text).toContain(bouncer.keepsPreparedStatements ? "keeps" : "get lost");
      const { code, at } = await runDoctor({ DATABASE_URL, DATABASE_PREPARE: "false" }, dir);
      expect([code, at("database.prepare")?.status, at("database.notify")?.status]).toEqual([0, "ok", "warn"]);
      expect(at("database.pooler")?.text).toContain("transaction mode");
    },
  );

  it.skipIf(pgBouncerAvailable() !== undefined)(
    "does not take a pooler in session mode for one in transaction mode",
    async () => {
      const url = await server.createDatabase();
      await using bouncer = await PgBouncer.start(url, { ...documentedSettings(), pool_mode: "session" });
      const { code, at } = await runDoctor({ DATABASE_URL: bouncer.url() }, dir);
      expect([code, at("database.prepare"), at("database.notify")?.status]).toEqual([0, undefined, "ok"]);
      expect(at("database.pooler")?.text).toContain("one backend per connection");
    },
  );

  it.skipIf(redisAvailable() !== undefined)("looks at Valkey or Redis as well", async () => {
    const DATABASE_URL = await server.createDatabase();
    await using redis = await RedisServer.start({ "maxmemory-policy": "allkeys-lru", requirepass: "hunter22" });
    const good = await runDoctor({ DATABASE_URL, REDIS_URI: redis.url.replace("//", "//:hunter22@") }, dir);
    expect(good.code).toBe(0);
    expect(["reachable", "version", "eviction", "writes"].map((id) => good.at(`redis.${id}`)?.status)).toEqual([
      "ok",
      "ok",
      "warn",
      "ok",
    ]);
    const refused = await runDoctor({ DATABASE_URL, REDIS_URI: redis.url.replace("//", "//:hunter33@") }, dir);
    expect([refused.code, refused.at("redis.reachable")?.text]).toEqual([1, expect.stringContaining("refuses")]);
    expect(JSON.stringify([good.checks, refused.checks])).not.toContain("hunter");
  });
});

describe("fractal doctor", () => {
  it("reports what cannot be reached, without the password", async () => {
    const port = await freePort();
    const env = {
      DATABASE_URL: `postgres://ada:hunter22@127.0.0.1:${port}/d`,
      REDIS_URI: `redis://:hunter22@127.0.0.1:${port}`,
    };
    const { code, bad, checks } = await runDoctor(env, dir);
    expect([code, bad]).toEqual([1, ["fail database.reachable", "fail redis.reachable"]]);
    expect(JSON.stringify(checks)).not.toContain("hunter22");
  });

  it("lists the problems of the configuration", async () => {
    const { code, checks } = await runDoctor({ PORT: "x", FRACTAL_WORKERS: "2" }, dir);
    expect(code).toBe(1);
    expect(checks.map(({ id, status, text }) => [id, status, text.split(" ")[0]])).toEqual([
      ["configuration", "fail", "PORT"],
    ]);
  });

  it("looks at the folder of the embedded database", async () => {
    writeFileSync(join(dir, "file"), "");
    expect(await runDoctor({ FRACTAL_DATA_DIR: "new/deep" }, dir)).toMatchObject({ code: 0, bad: [] });
    expect(await runDoctor({ FRACTAL_DATA_DIR: "file" }, dir)).toMatchObject({ code: 1, bad: ["fail data.directory"] });
    expect(await runDoctor({ FRACTAL_DATA_DIR: "file/data" }, dir)).toMatchObject({
      code: 1,
      bad: ["fail data.directory"],
    });
  });

  it("looks into the file of the embedded database, also while a server has it open", async () => {
    const dataDir = join(dir, "healthy");
    const look = () => runDoctor({ FRACTAL_DATA_DIR: dataDir }, dir);
    const storage = await openSqliteStorage({ dataDir });
    expect(await look()).toMatchObject({ code: 0, bad: [] });
    await storage[Symbol.asyncDispose]();
    const before = readdirSync(dataDir);
    const { code, at } = await look();
    expect([code, at("data.file")]).toMatchObject([0, { status: "ok" }]);
    expect(at("data.file")?.text).toContain("is not damaged");
    expect(readdirSync(dataDir)).toEqual(before);
  });

  it("fails for a file that a start would refuse: damaged, not a database, of a newer version", async () => {
    const found = async (name: string) => {
      const { code, at } = await runDoctor({ FRACTAL_DATA_DIR: name }, dir);
      return [code, at("data.file")?.status, at("data.file")?.text];
    };
    const refused = (text: string) => [1, "fail", expect.stringContaining(text)];
    const path = (name: string) => join(dir, name, "fractal.db");
    for (const name of ["garbage", "hurt", "newer"]) {
      await (await openSqliteStorage({ dataDir: join(dir, name) }))[Symbol.asyncDispose]();
    }
    writeFileSync(path("garbage"), "not a database, ".repeat(1000));
    expect(await found("garbage")).toEqual(refused("damaged"));
    // A page that opening alone would never read.
    const pages = readFileSync(path("hurt"));
    writeFileSync(path("hurt"), pages.fill(0xee, pages.length - 4096, pages.length - 3072));
    expect(await found("hurt")).toEqual(refused("damaged"));
    const db = await openSqlite(path("newer"));
    db.exec("pragma user_version = 99");
    db.close();
    expect(await found("newer")).toEqual(refused("newer version"));
  });
});
