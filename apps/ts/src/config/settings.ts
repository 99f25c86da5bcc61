import { egressProblem } from "@fractal-agents/infra/egress/rules";
import { hostNameProblem } from "@fractal-agents/infra/host-names";
import { z } from "zod";
import { choice, connection, flag, integer, json, list, number, type Setting, secret, text, url } from "./kinds.ts";

const SERVER = "Server";
const MODELS = "Models";
const GRAPHS = "Graphs";
const RUNS = "Runs";
const STREAMS = "Streams and storage";
const DATABASE = "PostgreSQL and several processes";
const BUILD = "Build information";

const POSTGRES_SCHEMES = ["postgres", "postgresql"];

/** Every environment variable that the server reads, in the order of the reference. */
export const SETTINGS = {
  HOST: text({
    section: SERVER,
    description: "Address to listen on. 0.0.0.0 lets other machines in; there is no authentication yet.",
    default: "127.0.0.1",
  }),
  PORT: integer(
    { section: SERVER, description: "Port to listen on; 0 takes a free one.", default: "3000" },
    { min: 0, max: 65535 },
  ),
  LOG_LEVEL: choice(
    { section: SERVER, description: "The least important messages that are logged.", default: "info" },
    ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    { warning: "warn", critical: "fatal" },
  ),
  LOG_JSON: flag({
    section: SERVER,
    description: "One JSON object per log line instead of readable text; no banner at the start then.",
    shownDefault: "true unless the output is a terminal",
  }),
  NODE_ENV: text({
    section: SERVER,
    description: "`production` never answers with the built-in demonstration model.",
    default: "development",
  }),
  CORS_ALLOW_ORIGINS: list({
    section: SERVER,
    description:
      "Web origins whose pages may use the server, besides its own: URLs, `localhost` for every page on this machine, " +
      "`studio` for LangSmith Studio, `*` for every page of the web. Wins over `http.cors` of langgraph.json.",
    shownDefault: "`localhost`",
  }),
  CORS_CONFIG: json({ section: SERVER, description: "`http.cors` of langgraph.json; wins over it." }),
  FRACTAL_ALLOWED_HOSTS: list(
    {
      section: SERVER,
      description:
        "Names that the server may be called by, `.example.com` for all below it. On a loopback address they are added " +
        "to `localhost`; elsewhere nothing is checked without it.",
    },
    hostNameProblem,
  ),
  FRACTAL_EGRESS_ALLOW: list(
    {
      section: SERVER,
      description:
        "Hosts that a URL from a request may point to although they are not public: names, `.example.com`, addresses, " +
        "`10.0.0.0/8`.",
    },
    egressProblem,
  ),
  FRACTAL_MAX_BODY_MB: integer(
    { section: SERVER, description: "Largest request body, in megabytes.", default: "100" },
    { min: 1, max: 2048 },
  ),
  FRACTAL_ANSWER_MAX_MB: integer(
    {
      section: SERVER,
      description: "Largest answer to a list, in megabytes; one row alone is always answered.",
      default: "100",
    },
    { min: 1, max: 65_536 },
  ),
  FRACTAL_ENGINE: choice(
    {
      section: SERVER,
      description: "Engine that `fractal` starts the server on.",
      shownDefault: "Bun if it runs here, else Node",
    },
    ["bun", "node"],
  ),
  MODEL_NAME: text({
    section: MODELS,
    description: "Default model of the shipped agents, `provider:model`.",
    shownDefault: "by the first key below that is set, else `fake:demo`",
  }),
  OPENAI_API_KEY: secret({ section: MODELS, description: "Key for OpenAI." }),
  ANTHROPIC_API_KEY: secret({ section: MODELS, description: "Key for Anthropic." }),
  GOOGLE_API_KEY: secret({ section: MODELS, description: "Key for Google Gemini." }),
  OPENAI_API_BASE: url({ section: MODELS, description: "OpenAI-compatible endpoint in place of OpenAI's." }),
  OPENAI_BASE_URL: url({
    section: MODELS,
    description: "The same under the name that OpenAI's client uses; wins over OPENAI_API_BASE.",
  }),
  ANTHROPIC_BASE_URL: url({ section: MODELS, description: "Endpoint in place of Anthropic's." }),
  GOOGLE_GEMINI_BASE_URL: url({ section: MODELS, description: "Endpoint in place of Google's." }),
  LANGSERVE_GRAPHS: json({ section: GRAPHS, description: "`graphs` of langgraph.json; wins over it." }),
  LANGGRAPH_CONFIG: json({
    section: GRAPHS,
    description: "Graph id to the config (with `context` inside) of its system assistant.",
  }),
  LANGGRAPH_STORE: json({ section: GRAPHS, description: "`store` of langgraph.json; wins over it." }),
  LANGGRAPH_HTTP: json({ section: GRAPHS, description: "`http` of langgraph.json; wins over it." }),
  LANGGRAPH_AUTH: json({ section: GRAPHS, description: "`auth` of langgraph.json; refused until it is implemented." }),
  LANGGRAPH_CHECKPOINTER: json({ section: GRAPHS, description: "`checkpointer` of langgraph.json; wins over it." }),
  LANGGRAPH_ENCRYPTION: json({
    section: GRAPHS,
    description: "`encryption` of langgraph.json; refused until it is implemented.",
  }),
  LANGGRAPH_WEBHOOKS: json({
    section: GRAPHS,
    description: "`webhooks` of langgraph.json; refused until it is implemented.",
  }),
  LANGGRAPH_UI: json({ section: GRAPHS, description: "`ui` of langgraph.json; refused until it is implemented." }),
  CHECKPOINT_ISOLATION: choice(
    {
      section: GRAPHS,
      description: "Whether the assistants on one thread share its state (`thread`) or each has its own (`assistant`).",
      shownDefault: "`assistant` for the shipped agents, `thread` for yours",
    },
    ["assistant", "thread"],
  ),
  FRACTAL_REVISION: text({
    section: GRAPHS,
    description: "Revision that runs record for their graph.",
    shownDefault: "hash of the graph's file",
  }),
  N_JOBS_PER_WORKER: integer(
    { section: RUNS, description: "Runs executed at the same time in one process.", default: "100" },
    { min: 1, max: 10_000 },
  ),
  BG_JOB_TIMEOUT_SECS: number(
    { section: RUNS, description: "Longest time that one attempt of a run may take, in seconds.", default: "3600" },
    // setTimeout fires at once beyond 2^31 ms.
    { min: 1, max: 2_147_000 },
  ),
  BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS: number(
    { section: RUNS, description: "How long a stop waits for running runs, in seconds.", default: "180" },
    { min: 0, max: 3600 },
  ),
  FRACTAL_MAIN_STALL_SECONDS: number(
    {
      section: RUNS,
      description: "How long user code may block the event loop before the process ends itself, in seconds.",
      default: "300",
    },
    { min: 5, max: 86_400 },
  ),
  FRACTAL_MAX_ATTEMPTS: integer(
    {
      section: RUNS,
      description: "How often a run may end the process that executes it before it is given up.",
      default: "3",
    },
    { min: 1, max: 100 },
  ),
  FRACTAL_CANCEL_GRACE_SECONDS: number(
    {
      section: RUNS,
      description: "How long a cancelled run that does not stop may keep its thread, in seconds.",
      default: "10",
    },
    { min: 0, max: 3600 },
  ),
  FRACTAL_DATA_DIR: text({ section: STREAMS, description: "Folder of the database.", default: ".fractal" }),
  FRACTAL_SQLITE_SYNCHRONOUS: choice(
    {
      section: STREAMS,
      description: "`FULL` also survives a power cut at any moment, at the price of speed.",
      default: "NORMAL",
    },
    ["NORMAL", "FULL"],
  ),
  FRACTAL_EVENT_RETENTION_HOURS: number(
    { section: STREAMS, description: "How long the events of an ended run can be replayed, in hours.", default: "24" },
    { min: 0.01, max: 87_600 },
  ),
  FRACTAL_STREAM_END_EVENT: flag({
    section: STREAMS,
    description: "Close a run's stream with `event: end`; false for clients that compare exact sets of events.",
    default: "true",
  }),
  DATABASE_URI: connection(
    {
      section: DATABASE,
      description:
        "PostgreSQL 15 or newer in place of the embedded database, `postgres://user:password@host:5432/database`.",
    },
    POSTGRES_SCHEMES,
  ),
  DATABASE_URL: connection(
    { section: DATABASE, description: "The same under its most common name; DATABASE_URI wins." },
    POSTGRES_SCHEMES,
  ),
  POSTGRES_URI: connection(
    { section: DATABASE, description: "The same under a third name; the two above win." },
    POSTGRES_SCHEMES,
  ),
  DATABASE_POOL_MIN_SIZE: integer(
    { section: DATABASE, description: "Connections that a process keeps open when it is idle.", default: "0" },
    { min: 0, max: 1000 },
  ),
  DATABASE_POOL_MAX_SIZE: integer(
    {
      section: DATABASE,
      description: "Most connections that a process opens, besides two of its own for the lease and for hints.",
      default: "10",
    },
    { min: 1, max: 1000 },
  ),
  DATABASE_POOL_TIMEOUT: number(
    {
      section: DATABASE,
      description: "How long a request waits for a connection before it is answered 503, in seconds.",
      default: "10",
    },
    { min: 0.1, max: 30 },
  ),
  DATABASE_PREPARE: flag({
    section: DATABASE,
    description: "Prepared statements; `false` behind a pooler that cannot keep them (PgBouncer before 1.21).",
    default: "true",
  }),
  REDIS_URI: connection(
    {
      section: DATABASE,
      description: "Valkey or Redis 7 or newer for hints and live streams between processes; it needs a database too.",
    },
    ["redis", "rediss", "valkey", "valkeys"],
  ),
  FRACTAL_ROLE: choice(
    {
      section: DATABASE,
      description: "What this process does: `api` answers requests, `worker` executes runs, `all` does both.",
      default: "all",
    },
    ["all", "api", "worker"],
  ),
  FRACTAL_WORKERS: integer(
    {
      section: DATABASE,
      description: "Processes that `fractal start` runs on one port; also `--workers`. More than one needs a database.",
      default: "1",
    },
    { min: 1, max: 256 },
  ),
  FRACTAL_LEASE_SECONDS: number(
    {
      section: DATABASE,
      description: "How long the runs of a process that died stay its own before others take them, in seconds.",
      default: "15",
    },
    { min: 3, max: 300 },
  ),
  BUILD_COMMIT: text({ section: BUILD, description: "Commit shown by /info.", default: "dev" }),
  BUILD_DATE: text({ section: BUILD, description: "Build date shown by /info." }),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

export type SettingName = keyof typeof SETTINGS;

type ValueOf<S> = S extends { parse: z.ZodType<infer T, string>; default: infer D }
  ? D extends string
    ? T
    : T | undefined
  : never;

/** Parsed values; one without a default is undefined when it is not set. */
export type SettingValues = { readonly [K in SettingName]: ValueOf<(typeof SETTINGS)[K]> };

/** Problems are sentences that start with the variable's name. The value of a secret is in none of them. */
export function parseSettings(environment: Readonly<Record<string, string>>): {
  values: SettingValues | undefined;
  problems: string[];
} {
  const shape = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, { parse, default: fallback }]) => [
      name,
      fallback === undefined ? parse.optional() : (parse as z.ZodType<unknown, string>).prefault(fallback),
    ]),
  );
  const parsed = z.object(shape).safeParse(environment);
  if (parsed.success) return { values: parsed.data as unknown as SettingValues, problems: [] };
  return {
    values: undefined,
    problems: parsed.error.issues.map((issue) => `${issue.path.join(".")} ${issue.message}`),
  };
}
