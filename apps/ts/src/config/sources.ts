import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { describeJsonError } from "#routes/json-error";
import { malformedLines } from "./env-file.ts";

export interface Sources {
  /** Absolute path of langgraph.json; undefined when there is none. */
  configPath: string | undefined;
  document: Readonly<Record<string, unknown>> | undefined;
  /** Everything that is set and not empty: the process's variables over the files'. */
  environment: Readonly<Record<string, string>>;
  /** What only the files set, as it is written there: graphs may tell "" from nothing, and keep spaces in quotes. */
  fromFiles: Readonly<Record<string, string>>;
  /** Absolute paths of the files that were looked for, whether or not they are there. */
  envFiles: string[];
  problems: string[];
  warnings: string[];
}

/**
 * Reads what configures the server: the process's environment, over `.env` in the working directory (Bun has put it into
 * the environment by itself, so it must rank the same on Node), over the file or map that langgraph.json calls `env`.
 */
export function readSources(given: {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  configPath?: string | undefined;
}): Sources {
  const problems: string[] = [];
  const warnings: string[] = [];
  const said = { problems, warnings };
  const configPath = findConfig(given.cwd, given.configPath);
  const document = configPath === undefined ? undefined : readJson(configPath, problems);
  const dotEnv = join(given.cwd, ".env");
  const dotEnvValues = readEnvFile(dotEnv, said);
  const named = namedEnvironment(document?.env, { configPath, dotEnv, said });
  const fromProcess = withoutEmpty(given.env);
  const fromFiles = { ...withoutEmpty(named.values), ...withoutEmpty(dotEnvValues) };
  const environment = { ...fromFiles, ...fromProcess };
  for (const name of named.expected) {
    if (!Object.hasOwn(environment, name)) {
      warnings.push(`${basename(configPath ?? "")}: env lists ${name}, which is not set`);
    }
  }
  return {
    configPath,
    document,
    environment,
    fromFiles: asWritten([named.values, dotEnvValues], fromProcess),
    envFiles: [...new Set([dotEnv, ...named.files])],
    problems,
    warnings,
  };
}

function findConfig(cwd: string, configPath: string | undefined): string | undefined {
  if (configPath !== undefined) return resolve(cwd, configPath);
  const path = join(cwd, "langgraph.json");
  return existsSync(path) ? path : undefined;
}

function readJson(path: string, problems: string[]): Record<string, unknown> | undefined {
  const name = basename(path);
  const text = readText(path, problems);
  if (text === undefined) {
    if (!existsSync(path)) problems.push(`${name}: there is no file ${path}`);
    return undefined;
  }
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === "object" && document !== null && !Array.isArray(document)) {
      return document as Record<string, unknown>;
    }
    problems.push(`${name}: must hold a JSON object`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    problems.push(`${name}: is not JSON: ${describeJsonError(text).replace("Invalid JSON at ", "")}`);
  }
  return undefined;
}

/** What is to be told about the sources; filled while they are read. */
interface Said {
  problems: string[];
  warnings: string[];
}

interface NamedEnvironment {
  values: Record<string, string>;
  /** Absolute paths of what was read. */
  files: string[];
  /** Names that must be set elsewhere. */
  expected: string[];
}

/** `env` of langgraph.json: the path of a file, a map from names to values, or a list of names that must be set. */
function namedEnvironment(
  env: unknown,
  { configPath, dotEnv, said }: { configPath: string | undefined; dotEnv: string; said: Said },
): NamedEnvironment {
  const named: NamedEnvironment = { values: {}, files: [], expected: [] };
  if (configPath === undefined || env === undefined || env === null || env === "") return named;
  const name = basename(configPath);
  if (typeof env === "string") {
    const file = resolve(dirname(configPath), env);
    if (file === dotEnv && existsSync(file)) return named;
    // A fresh clone has no .env yet, and its graphs may well do without.
    if (!existsSync(file)) said.warnings.push(`${name}: env names ${file}, which does not exist`);
    named.values = readEnvFile(file, said);
    named.files = [file];
  } else if (Array.isArray(env)) {
    if (env.every((item): item is string => typeof item === "string" && item !== "")) named.expected = env;
    else said.problems.push(`${name}: env, as a list, must hold names of variables`);
  } else if (typeof env === "object") {
    const values: Record<string, string> = {};
    for (const [key, value] of Object.entries(env)) {
      if (["string", "number", "boolean"].includes(typeof value)) values[key] = String(value);
      else said.problems.push(`${name}: env.${key} must be a string`);
    }
    named.values = values;
  } else {
    said.problems.push(`${name}: env must be the path of a file, a map from names to values or a list of names`);
  }
  if (named.values.FRACTAL_ENGINE?.trim()) {
    said.warnings.push(
      `${name}: FRACTAL_ENGINE counts only in the environment and in .env, because the engine reads what env names; it is ignored`,
    );
  }
  return named;
}

function readEnvFile(path: string, { problems, warnings }: Said): Record<string, string> {
  const text = readText(path, problems);
  if (text === undefined) return {};
  warnings.push(...malformedLines(text, basename(path)));
  return parseEnv(text) as Record<string, string>;
}

/** An empty value of a file that ranks higher hides no other value, as among settings. */
function asWritten(
  files: readonly Readonly<Record<string, string>>[],
  fromProcess: Readonly<Record<string, string>>,
): Record<string, string> {
  const written: Record<string, string> = {};
  for (const [name, value] of files.flatMap(Object.entries<string>)) {
    if (name in fromProcess || (value.trim() === "" && written[name] !== undefined)) continue;
    written[name] = value;
  }
  return written;
}

/** Undefined when the file is not there; another failure is a problem. */
function readText(path: string, problems: string[]): string | undefined {
  try {
    return readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOENT") problems.push(`${basename(path)}: ${path} cannot be read (${code})`);
    return undefined;
  }
}

/** For settings `NAME=` counts as not set. */
function withoutEmpty(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const set: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const trimmed = value?.trim();
    if (trimmed !== undefined && trimmed !== "") set[name] = trimmed;
  }
  return set;
}
