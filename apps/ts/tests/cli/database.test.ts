import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@fractal-agents/infra/logger";
import { loadConfig } from "#config";
import { StorageError } from "#core/storage";
import { explainOpening } from "#storage/postgres/opening-failures";
import { openStorage } from "../../src/compose/storage.ts";
import { eventually } from "../e2e/spawn-server.ts";
import { postgresAvailable, sharedPostgres, type TestPostgres } from "../servers/postgres.ts";
import { freePort, runMigrate, sql, urlFor } from "./database-world.ts";

const logger = createLogger({ level: "silent", json: true, write: () => undefined });
let dir: string;
let server: TestPostgres;
const noPostgres = await postgresAvailable();
const withPostgres = describe.skipIf(noPostgres !== undefined);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "fractal-database-"));
  if (noPostgres === undefined) server = await sharedPostgres();
}, 60_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

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

  it("finds the reason below errors that wrap it", () => {
    const wrapped = new Error("The database does not answer", { cause: new AggregateError([coded("ECONNREFUSED")]) });
    expect(explain(wrapped)).toMatchObject({ inUse: true, detail: expect.stringContaining("ECONNREFUSED") });
  });

  it("leaves alone what it does not know, and what is explained already", () => {
    for (const error of [new Error("a bug"), new StorageError("said")])
      expect(explainOpening(error, "h/d")).toBe(error);
  });
});
