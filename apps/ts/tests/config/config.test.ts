import { describe, expect, it } from "bun:test";
import { join } from "node:path";
import { type Config, ConfigError, loadConfig } from "#config";
import { FIXTURES } from "../graphs/project.ts";
import { tempProject } from "../graphs/temp-project.ts";

type Env = Record<string, string | undefined>;

/** The configuration of a folder with these files; what loadConfig throws is thrown. */
async function load(
  env: Env,
  files: Record<string, unknown> = {},
  configPath?: string,
): Promise<Config & { cwd: string }> {
  const texts = Object.entries(files).map(([name, text]) => [
    name,
    typeof text === "string" ? text : JSON.stringify(text),
  ]);
  await using project = await tempProject(Object.fromEntries(texts), { packages: false });
  return { ...loadConfig({ env, cwd: project.folder, configPath }), cwd: project.folder };
}

async function problems(
  env: Env,
  files: Record<string, unknown> = {},
  configPath?: string,
): Promise<readonly string[]> {
  return load(env, files, configPath).then(
    () => expect.unreachable(),
    (error) => {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as ConfigError).problems;
    },
  );
}

describe("settings", () => {
  it("have the documented defaults when nothing is set", async () => {
    const config = await load({});
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 3000,
      dataDir: join(config.cwd, ".fractal"),
      logLevel: "info",
      production: false,
      concurrency: 100,
      runTimeoutSeconds: 3600,
      shutdownGraceSeconds: 180,
      maxAttempts: 3,
      cancelGraceSeconds: 10,
      maxBodyBytes: 100 * 1024 * 1024,
      eventRetentionHours: 24,
      streamEndEvent: true,
      sqliteSynchronous: "NORMAL",
      storeTtl: { minutes: null, refreshOnRead: true },
      sweepIntervalMinutes: 1,
      role: "all",
      workers: 1,
      leaseSeconds: 15,
      mainStallSeconds: 300,
      graphs: [],
      seeds: {},
      warnings: [],
      buildCommit: "dev",
    });
    expect([config.database, config.redis, config.threadTtl]).toEqual(Array(3).fill(undefined));
    expect([config.isolation, config.revision, config.cors, config.logJson, config.configPath]).toEqual(
      Array(5).fill(undefined),
    );
    expect(config.disabled.size).toBe(0);
    expect(config.projectDir).toBe(config.cwd);
  });

  it("are read in any spelling that people use", async () => {
    const config = await load({
      LOG_LEVEL: "WARNING",
      LOG_JSON: "yes",
      FRACTAL_STREAM_END_EVENT: "0",
      FRACTAL_SQLITE_SYNCHRONOUS: "full",
      NODE_ENV: "production",
      PORT: " 0 ",
      BG_JOB_TIMEOUT_SECS: "1.5",
      CHECKPOINT_ISOLATION: "Assistant",
      FRACTAL_DATA_DIR: "/data/x",
    });
    expect(config).toMatchObject({
      logLevel: "warn",
      logJson: true,
      streamEndEvent: false,
      sqliteSynchronous: "FULL",
      production: true,
      port: 0,
      runTimeoutSeconds: 1.5,
      isolation: "assistant",
      dataDir: "/data/x",
    });
  });

  it("that are empty count as not set", async () => {
    expect((await load({ PORT: "", MODEL_NAME: "  ", DATABASE_URL: "" }, { ".env": "PORT=4000\n" })).port).toBe(4000);
  });

  it("that are wrong are all reported at once, by name", async () => {
    const found = await problems({
      PORT: "70000",
      LOG_LEVEL: "loud",
      FRACTAL_ALLOWED_HOSTS: "a.example, https://b.example",
      FRACTAL_EGRESS_ALLOW: "*",
      N_JOBS_PER_WORKER: "1e3",
      BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS: "3601",
      FRACTAL_STREAM_END_EVENT: "constructor",
      OPENAI_BASE_URL: "localhost:8000",
      LANGGRAPH_CONFIG: "{oops",
      SUPABASE_URL: "https://x",
    });
    expect(found.map((problem) => problem.split(/[: ]/)[0])).toEqual([
      "PORT",
      "LOG_LEVEL",
      "FRACTAL_ALLOWED_HOSTS",
      "FRACTAL_EGRESS_ALLOW",
      "OPENAI_BASE_URL",
      "LANGGRAPH_CONFIG",
      "N_JOBS_PER_WORKER",
      "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS",
      "FRACTAL_STREAM_END_EVENT",
      "SUPABASE_URL",
    ]);
    expect(found[0]).toBe('PORT must be a whole number, 0 to 65535, not "70000"');
    expect(found.find((problem) => problem.startsWith("LANGGRAPH_CONFIG"))).toStartWith(
      "LANGGRAPH_CONFIG must be JSON: ",
    );
  });

  it("name their problems in the error's own text, one per line", async () => {
    const error = await load({ PORT: "x", SUPABASE_KEY: "y" }).catch((thrown: ConfigError) => thrown);
    expect((error as ConfigError).message.split("\n")).toHaveLength(3);
    // What is refused may be a secret.
    expect((error as ConfigError).message).not.toContain('"y"');
  });

  it("cannot be changed afterwards", async () => {
    const config = loadConfig({ env: {}, cwd: FIXTURES });
    expect(Object.isFrozen(config) && Object.isFrozen(config.warnings) && Object.isFrozen(config.graphs)).toBe(true);
  });
});

describe("the environment", () => {
  it("is the process over .env over what langgraph.json names", async () => {
    const files = {
      "langgraph.json": { graphs: {}, env: "./conf/my.env" },
      "conf/my.env": "A=json\nB=json\nC='json file'\nPORT=1111\n",
      ".env": "A=dotenv\nB=dotenv\nPORT=2222\n",
    };
    const config = await load({ A: "process" }, files);
    expect(config.environment).toMatchObject({ A: "process", B: "dotenv", C: "json file" });
    expect(config.port).toBe(2222);
    expect(config.fileEnvironment).toEqual({ B: "dotenv", C: "json file", PORT: "2222" });
    expect(config.envFiles).toEqual([join(config.cwd, ".env"), join(config.cwd, "conf/my.env")]);
  });

  it("may be a map in langgraph.json", async () => {
    const config = await load({}, { "langgraph.json": { graphs: {}, env: { PORT: 4444, GREETING: "hi" } } });
    expect(config.port).toBe(4444);
    expect(config.fileEnvironment).toEqual({ PORT: "4444", GREETING: "hi" });
    expect(await problems({}, { "langgraph.json": { graphs: {}, env: 7 } })).toEqual([
      "langgraph.json: env must be the path of a file, a map from names to values or a list of names",
    ]);
  });

  it("may be a list of names in langgraph.json; those that are set nowhere are named", async () => {
    const document = { graphs: {}, env: ["OPENAI_API_KEY", "FROM_FILE", "EMPTY", "NOWHERE"] };
    const config = await load(
      { OPENAI_API_KEY: "sk-1234567890", EMPTY: "" },
      { "langgraph.json": document, ".env": "FROM_FILE=1\n" },
    );
    expect(config.warnings).toEqual([
      "langgraph.json: env lists EMPTY, which is not set",
      "langgraph.json: env lists NOWHERE, which is not set",
    ]);
    expect(await problems({}, { "langgraph.json": { graphs: {}, env: ["A", 7] } })).toEqual([
      "langgraph.json: env, as a list, must hold names of variables",
    ]);
  });

  it("tells the numbers of the lines of an env file that set nothing, and not what they hold", async () => {
    const lines = [
      "# a comment",
      "",
      "export A=1",
      "secret-without-a-name",
      "B: secret",
      'C="two',
      "lines, no = here",
      'end"',
      "D = 'one' # and a comment",
      "MY NAME=secret",
      "=secret",
      "  E=a=b # c",
      "F='secret",
    ];
    const expected = [4, 5, 10, 11].map((line) => `my.env: line ${line} is not NAME=value; it is ignored`);
    expected.push("my.env: line 13 opens a quotation that does not end");
    for (const end of ["\n", "\r\n"]) {
      const files = { "langgraph.json": { graphs: {}, env: "my.env" }, "my.env": lines.join(end) };
      expect((await load({}, files)).warnings).toEqual(expected);
    }
    expect((await load({}, { ".env": "oops\n" })).warnings).toEqual([".env: line 1 is not NAME=value; it is ignored"]);
    // The same file by two names is one file.
    const twice = { "langgraph.json": { graphs: {}, env: "./.env" }, ".env": "oops\nA=1\n" };
    expect((await load({}, twice)).warnings).toHaveLength(1);
  });

  it("cannot choose the engine from what langgraph.json names, and says so", async () => {
    const document = { graphs: {}, env: { FRACTAL_ENGINE: "node" } };
    expect((await load({}, { "langgraph.json": document })).warnings).toEqual([
      "langgraph.json: FRACTAL_ENGINE counts only in the environment and in .env, because the engine reads what env names; it is ignored",
    ]);
    const files = { "langgraph.json": { graphs: {}, env: ".env" }, ".env": "FRACTAL_ENGINE=node\n" };
    expect((await load({}, files)).warnings).toEqual([]);
  });

  it("goes without an env file that is not there, and says so", async () => {
    const config = await load({}, { "langgraph.json": { graphs: {}, env: ".env.local" } });
    expect(config.warnings).toEqual([`langgraph.json: env names ${config.cwd}/.env.local, which does not exist`]);
  });

  it("tells which values are secret, whoever set them", async () => {
    const config = await load(
      { OPENAI_API_KEY: "sk-1234567890", MY_DB_PASSWORD: "hunter2-hunter2", SHORT_KEY: "abc" },
      { ".env": "X_TOKEN=tok-12345678\nNAME=visible-name\n" },
    );
    expect([...config.secrets].sort()).toEqual(["hunter2-hunter2", "sk-1234567890", "tok-12345678"]);
  });
});

describe("settings that are not implemented", () => {
  it("refuse to start, each by name", async () => {
    const names = [
      "SUPABASE_URL",
      "SUPABASE_KEY",
      "SUPABASE_SECRET",
      "SUPABASE_JWT_SECRET",
      "LANGFUSE_SECRET_KEY",
      "LANGFUSE_PUBLIC_KEY",
      "MOUNT_PREFIX",
      "LANGGRAPH_AES_KEY",
    ];
    for (const name of names) expect((await problems({ [name]: "x" }))[0]).toStartWith(`${name}: `);
    expect((await problems({ AGENT_SYNC_SCOPE: "all" }))[0]).toStartWith("AGENT_SYNC_SCOPE: ");
    expect((await problems({ SEMANTIC_ROUTER_ENABLED: "true" }))[0]).toStartWith("SEMANTIC_ROUTER_ENABLED: ");
    const all = Object.fromEntries(names.map((name) => [name, "x"]));
    expect(await problems(all)).toHaveLength(names.length);
  });

  it("refuse to start when only a file sets them", async () => {
    expect((await problems({}, { ".env": "SUPABASE_URL=https://x\n" }))[0]).toStartWith("SUPABASE_URL: ");
  });

  it("may be switched off or left empty", async () => {
    const config = await load({
      AGENT_SYNC_SCOPE: "none",
      SEMANTIC_ROUTER_ENABLED: "false",
      LANGFUSE_BASE_URL: "https://x",
      DATABASE_URL: "",
    });
    expect(config.warnings).toEqual([]);
  });

  it("refuse to start as keys of langgraph.json, each by its path", async () => {
    const document = {
      graphs: {},
      auth: { path: "./auth.ts:auth" },
      encryption: { path: "./e.ts:e" },
      http: {
        app: "./app.ts:app",
        middleware_order: "auth_first",
        mount_prefix: "/api",
        configurable_headers: { includes: ["x-*"] },
      },
      store: { index: { dims: 3, embed: "openai:x" } },
      checkpointer: { path: "./saver.ts:saver" },
      webhooks: { url: {} },
      ui: { agent: "./ui.tsx" },
    };
    const found = await problems({}, { "langgraph.json": document });
    expect(found.map((problem) => problem.split(": ")[1]).sort()).toEqual([
      "auth",
      "checkpointer.path",
      "encryption",
      "http.app",
      "http.configurable_headers",
      "http.middleware_order",
      "http.mount_prefix",
      "store.index",
      "ui",
      "webhooks",
    ]);
  });

  it("do not mind keys that ask for nothing", async () => {
    const document = { graphs: {}, auth: null, http: { app: "" }, ui: {}, webhooks: {}, store: { index: null } };
    expect((await load({}, { "langgraph.json": document })).warnings).toEqual([]);
  });

  it("refuse to start as variables of the official image", async () => {
    expect((await problems({ LANGGRAPH_AUTH: '{"path":"./a.ts:auth"}' }))[0]).toStartWith("LANGGRAPH_AUTH: ");
    expect((await problems({ LANGGRAPH_HTTP: '{"app":"./a.ts:app"}' }))[0]).toStartWith("LANGGRAPH_HTTP.app: ");
    expect((await problems({ LANGGRAPH_STORE: '{"index":{"dims":3}}' }))[0]).toStartWith("LANGGRAPH_STORE.index: ");
    expect((await problems({ LANGGRAPH_UI: '{"a":"./ui.tsx"}' }))[0]).toStartWith("LANGGRAPH_UI: ");
    for (const [name, value] of [
      ["LANGGRAPH_ENCRYPTION", '{"path":"./e.ts:e"}'],
      ["LANGGRAPH_WEBHOOKS", '{"url":{"require_https":true}}'],
    ] as const) {
      expect((await problems({ [name]: value }))[0]).toStartWith(`${name}: `);
      expect((await load({ [name]: "{}" })).warnings).toEqual([]);
    }
  });
});

describe("warnings", () => {
  it("tell of an address that lets others in", async () => {
    expect((await load({ HOST: "0.0.0.0" })).warnings).toEqual([
      "HOST is 0.0.0.0: anyone who can reach this address can use the server; there is no authentication yet",
    ]);
  });

  it("tell of what lets every web page in", async () => {
    const { warnings } = await load({
      CORS_ALLOW_ORIGINS: "*",
      CORS_CONFIG: '{"allow_credentials":true}',
      FRACTAL_ALLOWED_HOSTS: "*",
    });
    expect(warnings).toEqual([
      expect.stringContaining("CORS allows every origin (*)"),
      expect.stringContaining("http.cors.allow_credentials has no effect"),
      expect.stringContaining("FRACTAL_ALLOWED_HOSTS is *"),
    ]);
    expect((await load({ CORS_ALLOW_ORIGINS: "studio", FRACTAL_ALLOWED_HOSTS: ".corp.example" })).warnings).toEqual([]);
  });

  it("tell of mistyped names, with what was meant", async () => {
    const config = await load({
      FRACTAL_DATADIR: "x",
      FRACTAL_NOTHING_SUCH: "x",
      FRACTAL_SUPERVISED: "1",
      DATABASE_ULR: "postgres://u:secret@h/d",
      POSTGRES_URL: "postgres://u:secret@h/d",
      N_JOBS_PER_WORKERS: "5",
      LOG_LEVL: "debug",
    });
    expect(config.warnings).toEqual([
      "FRACTAL_DATADIR is not a setting of this server; did you mean FRACTAL_DATA_DIR?",
      "FRACTAL_NOTHING_SUCH is not a setting of this server; it is ignored",
      "DATABASE_ULR is not a setting of this server; did you mean DATABASE_URL?",
      "POSTGRES_URL is not a setting of this server; did you mean POSTGRES_URI?",
      "N_JOBS_PER_WORKERS is not a setting of this server; did you mean N_JOBS_PER_WORKER?",
      "LOG_LEVL is not a setting of this server; did you mean LOG_LEVEL?",
    ]);
  });

  it("do not tell of names that are other programs', or whose setting is set", async () => {
    const others = { REDIS_URL: "redis://h", PORTS: "1", LANGGRAPH_API_URL: "x", LANGSMITH_API_KEY: "x", POST: "x" };
    expect((await load({ ...others, HOSTNAME: "x", HOST: "localhost" })).warnings).toEqual([]);
    const DATABASE_URL = "postgres://u:secret@h/d";
    const withDatabase = await load({ DATABASE_URL, POSTGRES_URL: DATABASE_URL, REDIS_URL: "redis://h" });
    expect(withDatabase.warnings).toEqual(["REDIS_URL is not a setting of this server; did you mean REDIS_URI?"]);
    const all = { DATABASE_URL, POSTGRES_URL: DATABASE_URL, REDIS_URL: "redis://h", REDIS_URI: "redis://h" };
    expect((await load(all)).warnings).toEqual([]);
  });

  it("tell of settings that only PostgreSQL heeds, where there is none", async () => {
    const settings = { FRACTAL_LEASE_SECONDS: "20", DATABASE_PREPARE: "false" };
    expect((await load(settings)).warnings).toEqual(
      ["DATABASE_PREPARE", "FRACTAL_LEASE_SECONDS"].map(
        (name) => `${name} has no effect without PostgreSQL: set DATABASE_URL, or unset it`,
      ),
    );
    expect((await load({ ...settings, DATABASE_URI: "postgres://u@h/d" })).warnings).toEqual([]);
  });
});
