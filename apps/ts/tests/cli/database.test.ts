import { afterAll, afterEach, beforeAll, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { Client } from "pg";
import { loadConfig } from "#config";
import { ANONYMOUS } from "#core/identity/scope";
import { StorageError } from "#core/storage";
import { migrate } from "#storage/postgres/migrate";
import { explainOpening } from "#storage/postgres/opening-failures";
import { openStorage } from "../../src/compose/storage.ts";
import { eventually } from "../e2e/spawn-server.ts";
import { postgresAvailable, sharedPostgres, type TestPostgres } from "../servers/postgres.ts";
import { freePort, runDoctor, runMigrate, sql, urlFor } from "./database-world.ts";
import { fractal, stopAll } from "./fractal.ts";

const logger = createLogger({ level: "silent", json: true, write: () => undefined });
let dir: string;
let server: TestPostgres;
const noPostgres = await postgresAvailable();
const withPostgres = describe.skipIf(noPostgres !== undefined);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "fractal-database-"));
  if (noPostgres === undefined) server = await sharedPostgres();
}, 60_000);

afterEach(stopAll);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function latin1Database(): Promise<string> {
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const made = "encoding 'LATIN1' locale_provider libc locale 'C' template template0";
  await sql(urlFor(url, { database: "postgres" }), `drop database ${name}`, `create database ${name} ${made}`);
  return url;
}

withPostgres("fractal migrate", () => {
  it("makes the schema once, also when two do it at the same time", async () => {
    const env = { DATABASE_URL: await server.createDatabase() };
    const both = await Promise.all([runMigrate(env, dir), runMigrate(env, dir)]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.filter(({ out }) => out.includes("was made"))).toHaveLength(1);
    expect((await runMigrate(env, dir)).out).toMatch(/\/\w+: the schema fractal has version \d+ already\n$/);
  });

  it("leaves a newer schema as it is", async () => {
    const url = await server.createDatabase();
    await runMigrate({ DATABASE_URL: url }, dir);
    await sql(url, "insert into fractal.migrations (version, compatible_from) values (900, 900)");
    const { code, out } = await runMigrate({ DATABASE_URL: url }, dir);
    expect([code, out]).toEqual([0, expect.stringContaining("has version 900, which is newer than this program's")]);
  });

  it("has nothing to do without a database server", async () => {
    expect(await runMigrate({}, dir)).toMatchObject({
      code: 0,
      out: expect.stringContaining("No DATABASE_URI is set"),
    });
  });

  it("says why it cannot, with 69 for what is out of reach and 78 for what is configured wrongly", async () => {
    const url = await server.createDatabase();
    const closed = await freePort();
    const cases: [string, number, string][] = [
      [`postgres://ada:hunter22@127.0.0.1:${closed}/agents`, 69, `127.0.0.1:${closed}/agents cannot be reached`],
      [urlFor(url, { database: "nowhere" }), 78, "no such database"],
      [urlFor(url, { password: "hunter22" }), 78, "refuses the user or the password"],
      [urlFor(url, { password: "" }), 78, "wants a password"],
      ["mysql://ada:hunter22@127.0.0.1/agents", 78, "DATABASE_URL must be a URL"],
    ];
    for (const [DATABASE_URL, wanted, text] of cases) {
      const { code, err, out } = await runMigrate({ DATABASE_URL }, dir);
      expect([code, err]).toEqual([wanted, expect.stringContaining(text)]);
      expect(`${err}${out}`).not.toContain("hunter22");
      expect(err).not.toContain("    at ");
    }
  });
});

withPostgres("fractal migrate, when the database is not as it must be", () => {
  it("refuses one that is not UTF-8", async () => {
    const url = await latin1Database();
    expect(await runMigrate({ DATABASE_URL: url }, dir)).toMatchObject({
      code: 78,
      err: expect.stringContaining("stores texts as LATIN1"),
    });
    expect(await sql(url, "select 1 from pg_namespace where nspname = 'fractal'")).toEqual([]);
  });

  it("says that another session holds a lock, and has changed nothing", async () => {
    const url = await server.createDatabase();
    const holder = new Client({ connectionString: url });
    await holder.connect();
    try {
      await holder.query("begin");
      await holder.query("create schema fractal");
      const error = await migrate(url, 100).then(
        () => expect.unreachable(),
        (thrown: unknown) => explainOpening(thrown, "h/d"),
      );
      expect(error).toMatchObject({ inUse: true, detail: expect.stringContaining("Another session holds a lock") });
    } finally {
      await holder.end();
    }
    expect((await runMigrate({ DATABASE_URL: url }, dir)).out).toContain("was made");
  });

  it("says what to grant to a user who may not make the schema, or not use it", async () => {
    const admin = await server.createDatabase();
    const user = `migrant_${new URL(admin).pathname.slice(1)}`;
    await sql(admin, `create role ${user} login password 'hunter22'`);
    const env = { DATABASE_URL: urlFor(admin, { user, password: "hunter22" }) };
    const refused = async () => {
      const { code, err } = await runMigrate(env, dir);
      expect(err).not.toContain("    at ");
      return [code, err];
    };
    expect(await refused()).toEqual([78, expect.stringContaining("grant it CREATE on the database")]);
    await runMigrate({ DATABASE_URL: admin }, dir);
    expect(await refused()).toEqual([78, expect.stringContaining("grant it USAGE on the schema")]);
    await sql(admin, `grant usage on schema fractal to ${user}`);
    expect(await refused()).toEqual([78, expect.stringContaining("on all tables of the schema fractal")]);
  });

  it("refuses a schema whose version nobody knows, and one with tables of somebody else", async () => {
    const emptied = await server.createDatabase();
    await runMigrate({ DATABASE_URL: emptied }, dir);
    await sql(emptied, "delete from fractal.migrations");
    const taken = await server.createDatabase();
    await sql(taken, "create schema fractal", "create table fractal.assistants (name text)");
    for (const [DATABASE_URL, text] of [
      [emptied, "fractal.migrations is empty"],
      [taken, "holds something that does not belong there"],
    ] as const) {
      const { code, err } = await runMigrate({ DATABASE_URL }, dir);
      expect([code, err]).toEqual([78, expect.stringContaining(text)]);
      expect(err).not.toContain("    at ");
    }
  });
});

withPostgres("openStorage", () => {
  const open = (env: Record<string, string>) =>
    openStorage(loadConfig({ env: { FRACTAL_DATA_DIR: join(dir, "embedded"), ...env }, cwd: dir }), { logger });

  async function failure(env: Record<string, string>): Promise<StorageError> {
    const error = await open(env).then(
      async (storage) => {
        await storage[Symbol.asyncDispose]();
        return expect.unreachable(`opened ${storage.description}`);
      },
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(StorageError);
    return error as StorageError;
  }

  it("opens what is configured: the embedded database, or PostgreSQL with its pool", async () => {
    await using embedded = await open({});
    expect([embedded.shared, embedded.connections]).toEqual([false, undefined]);
    await using shared = await open({ DATABASE_URL: await server.createDatabase(), DATABASE_POOL_MAX_SIZE: "3" });
    expect([shared.shared, shared.connections?.max]).toEqual([true, 3]);
    await shared.ping();
  });

  it("never falls back: out of reach is 69, anything else of the database 78", async () => {
    const url = await server.createDatabase();
    const closed = await freePort();
    expect((await failure({ DATABASE_URL: `postgres://u@127.0.0.1:${closed}/d` })).inUse).toBe(true);
    expect((await failure({ DATABASE_URL: urlFor(url, { database: "nowhere" }) })).inUse).toBe(false);
    await runMigrate({ DATABASE_URL: url }, dir);
    await sql(url, "insert into fractal.migrations (version, compatible_from) values (900, 900)");
    const newer = await failure({ DATABASE_URL: url });
    expect([newer.inUse, newer.detail]).toEqual([false, expect.stringContaining("900")]);
  });

  it("refuses a database that is not UTF-8, and a schema whose version nobody knows", async () => {
    expect(await failure({ DATABASE_URL: await latin1Database() })).toMatchObject({
      inUse: false,
      detail: expect.stringContaining("stores texts as LATIN1"),
    });
    const url = await server.createDatabase();
    await runMigrate({ DATABASE_URL: url }, dir);
    await sql(url, "delete from fractal.migrations");
    expect(await failure({ DATABASE_URL: url })).toMatchObject({
      inUse: false,
      detail: expect.stringContaining("fractal.migrations is empty"),
    });
  });

  it("refuses a user with too few rights, one right after the other, as `fractal doctor` does, and says what to grant", async () => {
    const admin = await server.createDatabase();
    await runMigrate({ DATABASE_URL: admin }, dir);
    const user = `server_${new URL(admin).pathname.slice(1)}`;
    await sql(
      admin,
      `create role ${user} login password 'hunter22'`,
      "revoke execute on all functions in schema fractal from public",
      // Of a user who may read everything, the right to write is what is missed.
      `grant select on all tables in schema fractal to ${user}`,
    );
    const DATABASE_URL = urlFor(admin, { user, password: "hunter22" });
    for (const grant of [
      `grant usage on schema fractal to ${user}`,
      `grant select, insert, update, delete on all tables in schema fractal to ${user}`,
      `grant execute on all functions in schema fractal to ${user}`,
    ]) {
      const { inUse, detail } = await failure({ DATABASE_URL });
      expect([inUse, detail]).toEqual([false, expect.stringContaining(grant)]);
      const { code, at } = await runDoctor({ DATABASE_URL }, dir);
      expect([code, at("database.permissions")]).toMatchObject([1, { status: "fail", advice: grant }]);
      await sql(admin, grant);
    }
    expect(await runDoctor({ DATABASE_URL }, dir)).toMatchObject({ code: 0, ok: true });
    await using storage = await open({ DATABASE_URL });
    const made = await storage.threads.insert(ANONYMOUS, { thread_id: crypto.randomUUID(), metadata: {} });
    expect(made).toBeDefined();
  });

  it("leaves no connection behind when Valkey cannot be reached", async () => {
    const url = await server.createDatabase();
    const { inUse } = await failure({ DATABASE_URL: url, REDIS_URI: `redis://127.0.0.1:${await freePort()}` });
    expect(inUse).toBe(true);
    const name = new URL(url).pathname.slice(1);
    const look = `select pid from pg_stat_activity where datname = '${name}'`;
    await eventually(
      () => sql(urlFor(url, { database: "postgres" }), look),
      (rows) => rows.length === 0,
    );
  });
});

withPostgres("fractal start", () => {
  it("ends with 78 and a sentence when the database refuses its first statements", async () => {
    const admin = await server.createDatabase();
    await runMigrate({ DATABASE_URL: admin }, dir);
    const user = `limited_${new URL(admin).pathname.slice(1)}`;
    await sql(
      admin,
      `create role ${user} login password 'hunter22'`,
      `grant usage on schema fractal to ${user}`,
      `grant select, insert, update, delete on all tables in schema fractal to ${user}`,
      // Has every right, and still may not.
      "alter table fractal.assistants enable row level security",
    );
    const env = { DATABASE_URL: urlFor(admin, { user, password: "hunter22" }), PORT: "0" };
    const started = fractal(["start"], { cwd: dir, env });
    expect((await started.exit)[0]).toBe(78);
    const said = started.err.seen();
    expect(said).toContain("The user may not do what is needed");
    expect(said).not.toContain("    at ");
    expect(said).not.toContain("ended unexpectedly");
  }, 30_000);
});

describe("the URL of a database", () => {
  it("is refused for what it says of TLS and does not mean anything, by name", async () => {
    const there = join(dir, "no-certificate.pem");
    writeFileSync(there, "hello\n");
    const missing = join(dir, "missing.pem");
    for (const [parameters, text] of [
      ["sslmode=nonsense", "sslmode=nonsense"],
      ["sslmode=Require", "sslmode=Require"],
      ["ssl=false", "ssl=false"],
      ["sslmode=verify-ca", "needs sslrootcert"],
      [`sslmode=verify-full&sslrootcert=${missing}`, `${missing}, which the URL of the database names as sslrootcert`],
      [`sslmode=verify-full&sslrootcert=${there}`, "holds no certificate"],
      [`sslmode=verify-full&sslkey=${dir}`, "names as sslkey, cannot be read (EISDIR)"],
    ] as const) {
      const DATABASE_URL = `postgres://ada:hunter22@127.0.0.1:1/d?${parameters}`;
      const { code, err } = await runMigrate({ DATABASE_URL }, dir);
      expect([code, err]).toEqual([78, expect.stringContaining(text)]);
      const { at } = await runDoctor({ DATABASE_URL }, dir);
      expect(at("database.reachable")).toMatchObject({ status: "fail", text: expect.stringContaining(text) });
      const opened = openStorage(loadConfig({ env: { DATABASE_URL }, cwd: dir }), { logger });
      expect(await opened.catch((error: unknown) => error)).toMatchObject({
        inUse: false,
        detail: expect.stringContaining(text),
      });
    }
  });

  it("may name the folder of a Unix socket, which is out of reach when it is not there", async () => {
    const { code, err } = await runMigrate({ DATABASE_URL: `postgres:///d?host=${join(dir, "nowhere")}` }, dir);
    expect([code, err]).toEqual([69, expect.stringContaining("cannot be reached (ENOENT)")]);
  });
});

describe("explainOpening", () => {
  const explain = (error: unknown) => explainOpening(error, "h/d") as StorageError;
  const coded = (code: string, message = "text of the server") => Object.assign(new Error(message), { code });

  it("knows a refused password, a missing one, a replica and a full server", () => {
    expect(explain(coded("28P01")).detail).toContain("refuses the user or the password");
    const missing = new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string");
    expect(explain(missing).detail).toContain("wants a password");
    expect(explain(coded("25006")).detail).toContain("read-only");
    expect([explain(coded("53300")).inUse, explain(coded("57P03")).inUse]).toEqual([true, true]);
    expect(explain(coded("28P01")).inUse).toBe(false);
  });

  it("says what to grant by what was refused", () => {
    for (const [refused, grant] of [
      ["database agents", "CREATE on the database"],
      ["schema fractal", "USAGE on the schema"],
      ["table assistants", "on all tables of the schema"],
      ["function claim_v1", "EXECUTE on all functions"],
      ["sequence runs_seq_seq", "USAGE on all sequences"],
    ] as const) {
      expect(explain(coded("42501", `permission denied for ${refused}`)).detail).toContain(grant);
    }
    expect(explain(coded("42501", "must be owner of table runs")).detail).toContain("the user that made the schema");
    expect(explain(coded("42501", "keine Berechtigung für Tabelle runs")).detail).toContain("`fractal doctor`");
  });

  it("tells one fault of a certificate from another", () => {
    for (const [code, text] of [
      ["ERR_TLS_CERT_ALTNAME_INVALID", "for another host"],
      ["CERT_HAS_EXPIRED", "not valid now"],
      ["SELF_SIGNED_CERT_IN_CHAIN", "sslrootcert"],
      ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "sslrootcert"],
    ] as const) {
      expect(explain(coded(code))).toMatchObject({ inUse: false, detail: expect.stringContaining(text) });
    }
    for (const code of ["ERR_TLS_CERT_ALTNAME_INVALID", "CERT_HAS_EXPIRED"]) {
      expect(explain(coded(code)).detail).not.toContain("sslrootcert");
    }
  });

  it("does not take a file that is missing for a network that is", () => {
    const missing = Object.assign(coded("ENOENT", "no such file or directory, open '/ca.pem'"), { syscall: "open" });
    expect(explainOpening(missing, "h/d")).toBe(missing);
    expect(explain(Object.assign(coded("ENOENT"), { syscall: "connect" })).inUse).toBe(true);
  });

  it("finds the reason below errors that wrap it", () => {
    const wrapped = new Error("The database does not answer", { cause: new AggregateError([coded("ECONNREFUSED")]) });
    expect(explain(wrapped)).toMatchObject({ inUse: true, detail: expect.stringContaining("ECONNREFUSED") });
  });

  it("leaves alone what it does not know, and what is explained already", () => {
    for (const error of [new Error("a bug"), new StorageError("said")])
      expect(explainOpening(error, "h/d")).toBe(error);
  });
});
