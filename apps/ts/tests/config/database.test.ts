import { describe, expect, it } from "bun:test";
import { ConfigError, loadConfig } from "#config";
import { tempProject } from "../graphs/temp-project.ts";

type Env = Record<string, string>;

async function load(env: Env, document?: object) {
  const files = document === undefined ? {} : { "langgraph.json": JSON.stringify({ graphs: {}, ...document }) };
  await using project = await tempProject(files, { packages: false });
  return loadConfig({ env, cwd: project.folder });
}

async function problems(env: Env, document?: object): Promise<readonly string[]> {
  const error = await load(env, document).then(
    () => expect.unreachable(),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).problems;
}

const URL = "postgres://ada:s3cr%23t-word@db.example:6543/agents?sslmode=require";

describe("the database of the configuration", () => {
  it("is the first of DATABASE_URI, DATABASE_URL and POSTGRES_URI that is set", async () => {
    const named = (name: string) => `postgres://h/${name}`;
    const all = { DATABASE_URI: named("a"), DATABASE_URL: named("b"), POSTGRES_URI: named("c") };
    expect((await load(all)).database?.url).toBe(named("a"));
    expect((await load({ ...all, DATABASE_URI: "" })).database?.url).toBe(named("b"));
    expect((await load({ POSTGRES_URI: named("c") })).database?.url).toBe(named("c"));
  });

  it("comes with its pool, in ms, and is shown without user, password and options", async () => {
    expect((await load({ DATABASE_URL: URL })).database).toEqual({
      url: URL,
      where: "db.example:6543/agents",
      pool: { min: 0, max: 10, timeoutMs: 10_000 },
      prepare: true,
    });
    const set = {
      DATABASE_POOL_MIN_SIZE: "2",
      DATABASE_POOL_MAX_SIZE: "4",
      DATABASE_POOL_TIMEOUT: "0.5",
      DATABASE_PREPARE: "false",
    };
    expect((await load({ DATABASE_URL: URL, ...set })).database).toMatchObject({
      pool: { min: 2, max: 4, timeoutMs: 500 },
      prepare: false,
    });
    const socket = await load({ DATABASE_URL: "postgresql:///agents?host=/run/postgresql" });
    expect(socket.database?.where).toBe("/run/postgresql/agents");
  });

  it("is a secret: whole, and its password as it is written and as it is meant", async () => {
    const { secrets } = await load({ DATABASE_URL: URL, REDIS_URI: "redis://:swordfish-1@cache:6380/2" });
    for (const secret of [URL, "s3cr%23t-word", "s3cr#t-word", "swordfish-1"]) expect(secrets).toContain(secret);
  });

  it("is refused by name and without its text when it is no such URL", async () => {
    for (const url of [
      "mysql://ada:hunter22@h/d",
      "postgres://ada:hunter#22@h/d",
      "postgres://ada:hunter22%@h/d",
      "h",
    ]) {
      const [problem = "", ...more] = await problems({ DATABASE_URL: url });
      expect(more).toEqual([]);
      expect(problem).toStartWith("DATABASE_URL ");
      expect(problem).not.toContain("hunter");
    }
    expect((await problems({ DATABASE_URL: URL, REDIS_URI: "http://:hunter22@h" }))[0]).toBe(
      "REDIS_URI must be a URL that starts with redis:// or rediss:// or valkey:// or valkeys://",
    );
  });

  it("has a pool whose smallest size is not above its largest", async () => {
    const env = { DATABASE_URL: URL, DATABASE_POOL_MIN_SIZE: "11" };
    expect(await problems(env)).toEqual([
      "DATABASE_POOL_MIN_SIZE is 11, more than DATABASE_POOL_MAX_SIZE, which is 10",
    ]);
  });
});

describe("several processes", () => {
  it("are a role, a number, a lease and Valkey, beside a database", async () => {
    const env = {
      DATABASE_URL: URL,
      REDIS_URI: "redis://cache",
      FRACTAL_ROLE: "Worker",
      FRACTAL_WORKERS: "3",
      FRACTAL_LEASE_SECONDS: "5",
      FRACTAL_MAIN_STALL_SECONDS: "60",
    };
    expect(await load(env)).toMatchObject({
      redis: { url: "redis://cache", where: "cache" },
      role: "worker",
      workers: 3,
      leaseSeconds: 5,
      mainStallSeconds: 60,
    });
  });

  it("are refused, each by name, where the database belongs to one process", async () => {
    const found = await problems({ REDIS_URI: "redis://cache", FRACTAL_ROLE: "api", FRACTAL_WORKERS: "2" });
    expect(found.map((problem) => problem.split(" ")[0])).toEqual(["REDIS_URI", "FRACTAL_ROLE", "FRACTAL_WORKERS"]);
    for (const problem of found) expect(problem).toContain("set DATABASE_URL");
    expect((await load({ FRACTAL_ROLE: "all", FRACTAL_WORKERS: "1" })).workers).toBe(1);
  });

  it("have leases of 3 to 300 seconds", async () => {
    const set = (value: string) => ({ DATABASE_URL: URL, FRACTAL_LEASE_SECONDS: value });
    for (const value of ["2", "301"]) expect((await problems(set(value)))[0]).toStartWith("FRACTAL_LEASE_SECONDS ");
    for (const value of ["3", "300"]) expect((await load(set(value))).leaseSeconds).toBe(Number(value));
  });
});

describe("checkpointer.ttl and store.ttl of langgraph.json", () => {
  it("give threads and items a time to live, and both one interval of sweeping", async () => {
    const config = await load(
      {},
      {
        checkpointer: { ttl: { strategy: "keep_latest", default_ttl: 60, sweep_interval_minutes: 10 } },
        store: { ttl: { default_ttl: 30, sweep_interval_minutes: 5 } },
      },
    );
    expect(config).toMatchObject({
      threadTtl: { strategy: "keep_latest", minutes: 60 },
      storeTtl: { minutes: 30, refreshOnRead: true },
      sweepIntervalMinutes: 5,
      warnings: [],
    });
    const still = await load({}, { store: { ttl: { refresh_on_read: false } } });
    expect([still.storeTtl, still.warnings]).toEqual([{ minutes: null, refreshOnRead: false }, []]);
    expect((await load({}, { checkpointer: { ttl: { default_ttl: 1.5 } } })).threadTtl).toEqual({
      strategy: "delete",
      minutes: 1.5,
    });
    expect((await load({}, { checkpointer: { ttl: { sweep_interval_minutes: 2 } } })).threadTtl).toBeUndefined();
  });

  it("are refused where they make no sense", async () => {
    for (const ttl of [
      { default_ttl: 0 },
      { default_ttl: -1 },
      { strategy: "archive" },
      { sweep_interval_minutes: 99_999 },
    ]) {
      expect((await problems({}, { checkpointer: { ttl } }))[0]).toStartWith("langgraph.json: checkpointer.ttl.");
    }
  });
});

describe("several hosts of one database", () => {
  it("may stand in the URL as PostgreSQL's own clients have them, and are shown without the secret", async () => {
    const named = "postgres://ada:s3cr%23t-word@one:6543,[::1]:7,two/agents?target_session_attrs=primary";
    const { database, secrets } = await load({ DATABASE_URL: named });
    expect([database?.url, database?.where]).toEqual([named, "one:6543,[::1]:7,two/agents"]);
    expect(secrets).toContain("s3cr#t-word");
    const apart = await load({ DATABASE_URL: "postgres:///agents?host=one,two&port=6543" });
    expect(apart.database?.where).toContain("one,two");
    for (const url of ["postgres://ada:hunter22@one:x,two/d", "postgres:///d?host=a,b,c&port=1,2"]) {
      const [problem = ""] = await problems({ DATABASE_URL: url });
      expect(problem).toStartWith("DATABASE_URL is not a valid URL");
      expect(problem).not.toContain("hunter");
    }
  });
});
