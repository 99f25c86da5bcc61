import { dirname, resolve } from "node:path";
import { isSecretVariable } from "@fractal-agents/infra/secrets";
import type { AssistantSeeds } from "#core/assistants/system";
import type { Isolation } from "#core/graphs/registry";
import type { GraphSpec } from "#core/graphs/spec";
import type { Role } from "#core/runs/workers";
import type { StoreTtl } from "#core/store/ttl";
import { type DatabaseConfig, passwordOf, readProcesses } from "./config/database.ts";
import type { CorsConfig, ProjectSettings, Switch } from "./config/langgraph-json.ts";
import { openness } from "./config/openness.ts";
import { readProject } from "./config/project.ts";
import { refusedVariables } from "./config/refused.ts";
import { readSeeds } from "./config/seeds.ts";
import { parseSettings, SETTINGS, type SettingValues } from "./config/settings.ts";
import { readSources } from "./config/sources.ts";
import { unheardVariables } from "./config/unheard.ts";

/** Everything the server is told from outside, checked. Frozen; made once at start and handed to what needs it. */
export interface Config {
  /** Address to listen on. */
  host: string;
  /** 0 takes a free port. */
  port: number;
  /** Absolute path of the folder of the database. */
  dataDir: string;
  logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Undefined when nobody decided: JSON unless the output is a terminal. */
  logJson: boolean | undefined;
  /** NODE_ENV is "production". */
  production: boolean;
  /** Values that must never be logged: every secret setting, and every variable that is named like one. */
  secrets: readonly string[];

  /** Absolute path of langgraph.json; undefined without one. */
  configPath: string | undefined;
  /** Folder of langgraph.json, else the working directory: what `dev` watches. */
  projectDir: string;
  /** Absolute paths of the env files, there or not: what `dev` watches too. */
  envFiles: readonly string[];
  /** The process's variables over those of the env files, without empty ones. Graphs take theirs from here. */
  environment: Readonly<Record<string, string>>;
  /** The part that comes from files only. Put it into process.env before user code is imported. */
  fileEnvironment: Readonly<Record<string, string>>;

  /** Of langgraph.json or LANGSERVE_GRAPHS; empty when only the shipped agents are served. */
  graphs: readonly GraphSpec[];
  /** Config and context of the system assistants, by graph id. */
  seeds: AssistantSeeds;
  /** For graphs that do not decide themselves; undefined: each kind's own default. */
  isolation: Isolation | undefined;
  revision: string | undefined;

  /** Runs executed at the same time. */
  concurrency: number;
  /** What this process does of the work. */
  role: Role;
  /** Processes that share the port, this one included. */
  workers: number;
  /** PostgreSQL; undefined: the embedded database in `dataDir`. */
  database: DatabaseConfig | undefined;
  /** Valkey or Redis; only ever beside a database. */
  redis: { url: string; where: string } | undefined;
  /** Lease of a process on its runs. */
  leaseSeconds: number;
  /** A process whose event loop stands still for this long is given up. */
  mainStallSeconds: number;
  runTimeoutSeconds: number;
  shutdownGraceSeconds: number;
  maxAttempts: number;
  cancelGraceSeconds: number;

  eventRetentionHours: number;
  streamEndEvent: boolean;
  sqliteSynchronous: "NORMAL" | "FULL";
  /** How long items of the store live. */
  storeTtl: StoreTtl;
  /** Of threads that are created without one of their own. */
  threadTtl: { strategy: "delete" | "keep_latest"; minutes: number } | undefined;
  /** Pause between two looks for threads, items and events that are past their time. */
  sweepIntervalMinutes: number;

  maxBodyBytes: number;
  /** Of a list. */
  maxAnswerBytes: number;
  /** Undefined: the server's own origin and those of localhost. */
  cors: CorsConfig | undefined;
  /** Names that the server may be called by, besides those of the address it listens on. */
  allowedHosts: readonly string[];
  /** Parts of the API that are switched off; their routes answer 404. */
  disabled: ReadonlySet<Switch>;

  buildCommit: string;
  buildDate: string | undefined;
  /** Sentences for the banner: what was ignored, what is unsafe. */
  warnings: readonly string[];
}

/** The entry point prints every problem and exits with 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One sentence each, starting with the name of the variable or the key. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/** Shorter values would blank out ordinary words in the log. */
const SECRET_LENGTH = 8;

/**
 * @param given.env The process's environment; values of the command line go in here under the variable's name.
 * @param given.configPath langgraph.json, relative to cwd; then it must exist. Without it, the one in cwd if there is one.
 * Throws ConfigError with every problem at once. Reads files, changes nothing.
 */
export function loadConfig(given: {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  configPath?: string | undefined;
}): Config {
  const sources = readSources(given);
  const { values, problems: invalid } = parseSettings(sources.environment);
  const problems = [...sources.problems, ...invalid, ...refusedVariables(sources.environment)];
  const processes = values === undefined ? undefined : readProcesses(values);
  problems.push(...(processes?.problems ?? []));
  const project = readProject(sources, { values, cwd: given.cwd });
  const seeds = readSeeds(values?.LANGGRAPH_CONFIG);
  problems.push(...project.problems, ...seeds.problems);
  if (values === undefined || processes === undefined || project.settings === undefined || problems.length > 0)
    throw new ConfigError(problems);
  const cors = corsOf(values, project.settings);
  return freeze({
    ...fromSettings(values, given.cwd),
    ...processes.settings,
    ...project.settings,
    cors,
    secrets: secretsOf(sources.environment),
    configPath: sources.configPath,
    projectDir: sources.configPath === undefined ? given.cwd : dirname(sources.configPath),
    envFiles: sources.envFiles,
    environment: sources.environment,
    fileEnvironment: sources.fromFiles,
    seeds: seeds.seeds,
    warnings: [
      ...sources.warnings,
      ...project.warnings,
      ...unheardVariables(sources.environment, processes.settings),
      ...openness({ host: values.HOST, allowedHosts: values.FRACTAL_ALLOWED_HOSTS ?? [], cors }),
    ],
  });
}

function fromSettings(values: SettingValues, cwd: string) {
  return {
    host: values.HOST,
    port: values.PORT,
    dataDir: resolve(cwd, values.FRACTAL_DATA_DIR),
    logLevel: values.LOG_LEVEL,
    logJson: values.LOG_JSON,
    production: values.NODE_ENV === "production",
    isolation: values.CHECKPOINT_ISOLATION,
    revision: values.FRACTAL_REVISION,
    concurrency: values.N_JOBS_PER_WORKER,
    runTimeoutSeconds: values.BG_JOB_TIMEOUT_SECS,
    shutdownGraceSeconds: values.BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS,
    maxAttempts: values.FRACTAL_MAX_ATTEMPTS,
    cancelGraceSeconds: values.FRACTAL_CANCEL_GRACE_SECONDS,
    eventRetentionHours: values.FRACTAL_EVENT_RETENTION_HOURS,
    streamEndEvent: values.FRACTAL_STREAM_END_EVENT,
    sqliteSynchronous: values.FRACTAL_SQLITE_SYNCHRONOUS,
    allowedHosts: values.FRACTAL_ALLOWED_HOSTS ?? [],
    maxBodyBytes: values.FRACTAL_MAX_BODY_MB * 1024 * 1024,
    maxAnswerBytes: values.FRACTAL_ANSWER_MAX_MB * 1024 * 1024,
    buildCommit: values.BUILD_COMMIT,
    buildDate: values.BUILD_DATE,
  };
}

/** CORS_ALLOW_ORIGINS names all origins there are, so a pattern of the file must not let in more. */
function corsOf(values: SettingValues, project: ProjectSettings): CorsConfig | undefined {
  const origins = values.CORS_ALLOW_ORIGINS;
  if (origins === undefined) return project.cors;
  const { allow_origin_regex: _, ...rest } = project.cors ?? {};
  return { ...rest, allow_origins: origins };
}

function secretsOf(environment: Readonly<Record<string, string>>): string[] {
  const secret = (name: string) =>
    isSecretVariable(name) || (Object.hasOwn(SETTINGS, name) && SETTINGS[name as keyof typeof SETTINGS].secret);
  const values = Object.entries(environment).flatMap(([name, value]) => (secret(name) ? [value] : []));
  // Drivers and their errors may show the password of a URL alone.
  const passwords = values.flatMap((value) => passwordOf(value));
  return [...new Set([...values, ...passwords].filter((value) => value.length >= SECRET_LENGTH))];
}

function freeze(config: Config): Config {
  for (const value of Object.values(config)) if (Array.isArray(value)) Object.freeze(value);
  return Object.freeze(config);
}
