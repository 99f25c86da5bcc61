import { hostUrls } from "@fractal-agents/infra/host-urls";
import type { Role } from "#core/runs/workers";
import type { SettingName, SettingValues } from "./settings.ts";

/** How to reach PostgreSQL. */
export interface DatabaseConfig {
  /** With the password: never shown. */
  url: string;
  /** "db.example.com:5432/agents": what is shown in its place. */
  where: string;
  pool: {
    min: number;
    max: number;
    /** How long a caller waits for a free connection. */
    timeoutMs: number;
  };
  /** Whether statements are prepared. */
  prepare: boolean;
}

/** The part of the configuration that says where the data is and how many processes work on it. */
export interface ProcessSettings {
  role: Role;
  workers: number;
  database: DatabaseConfig | undefined;
  redis: { url: string; where: string } | undefined;
  leaseSeconds: number;
  mainStallSeconds: number;
}

/** Strongest first. */
const DATABASE_NAMES = ["DATABASE_URI", "DATABASE_URL", "POSTGRES_URI"] as const satisfies readonly SettingName[];
const SET_ONE = "set DATABASE_URL";

/** @returns Problems are sentences that start with the variable's name. */
export function readProcesses(values: SettingValues): { settings: ProcessSettings; problems: string[] } {
  const name = DATABASE_NAMES.find((candidate) => values[candidate] !== undefined);
  const url = name === undefined ? undefined : values[name];
  const settings: ProcessSettings = {
    role: values.FRACTAL_ROLE,
    workers: values.FRACTAL_WORKERS,
    database:
      url === undefined
        ? undefined
        : {
            url,
            where: describeUrl(url),
            pool: {
              min: values.DATABASE_POOL_MIN_SIZE,
              max: values.DATABASE_POOL_MAX_SIZE,
              timeoutMs: Math.round(values.DATABASE_POOL_TIMEOUT * 1_000),
            },
            prepare: values.DATABASE_PREPARE,
          },
    redis: values.REDIS_URI === undefined ? undefined : { url: values.REDIS_URI, where: describeUrl(values.REDIS_URI) },
    leaseSeconds: values.FRACTAL_LEASE_SECONDS,
    mainStallSeconds: values.FRACTAL_MAIN_STALL_SECONDS,
  };
  return { settings, problems: contradictions(settings) };
}

function contradictions({ database, redis, role, workers }: ProcessSettings): string[] {
  if (database !== undefined) {
    const { min, max } = database.pool;
    return min > max ? [`DATABASE_POOL_MIN_SIZE is ${min}, more than DATABASE_POOL_MAX_SIZE, which is ${max}`] : [];
  }
  const problems: string[] = [];
  if (redis !== undefined) {
    problems.push(
      `REDIS_URI only connects processes that share a PostgreSQL database, and none is set: ${SET_ONE}, or unset REDIS_URI`,
    );
  }
  if (role !== "all") {
    problems.push(
      `FRACTAL_ROLE is ${role}, but the embedded database belongs to one process, which must do all: ${SET_ONE}, or unset FRACTAL_ROLE`,
    );
  }
  if (workers > 1) {
    problems.push(
      `FRACTAL_WORKERS is ${workers}, but the embedded database belongs to one process: ${SET_ONE}, or run one process`,
    );
  }
  return problems;
}

/** Where it is, without who asks. */
function describeUrl(url: string): string {
  const urls = hostUrls(url).map((each) => new URL(each));
  const [first] = urls;
  if (first === undefined) return "the configured address";
  const path = decoded(first.pathname.replace(/^\//, ""));
  return `${urls.map(describeHost).join(",")}${path && `/${path}`}`;
}

function describeHost({ hostname, port, searchParams }: URL): string {
  const host = hostname || searchParams.get("host") || "localhost";
  return `${host}${port && `:${port}`}`;
}

/** The password of a URL, as it is written there and as it is meant; nothing when the value is no URL or has none. */
export function passwordOf(value: string): string[] {
  const [url = ""] = hostUrls(value);
  const password = URL.parse(url)?.password ?? "";
  return password === "" ? [] : [password, decoded(password)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not encoded as a whole: then it means what it says.
    return text;
  }
}
