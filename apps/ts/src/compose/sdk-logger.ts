import type { Logger } from "@fractal-agents/infra/logger";
import { currentRun } from "#core/runs/current-run";

/** Where `getLogger()` of @langchain/langgraph-sdk/logging looks; without it the call throws. */
const LOGGER = Symbol.for("langgraph.api.sdk-logger");
/** Where every copy of LangChain keeps the config of the node whose code runs. */
const LANGCHAIN_CONTEXT = Symbol.for("ls:tracing_async_local_storage");
const NODE_CONFIG = Symbol.for("lc:child_config");

type Level = "trace" | "debug" | "info" | "warn" | "error";

/** The levels that the SDK's type names, and the further ones of winston, whose loggers people expect there. */
const LEVELS: Readonly<Record<string, Level>> = {
  error: "error",
  warn: "warn",
  help: "info",
  data: "info",
  info: "info",
  debug: "debug",
  prompt: "info",
  http: "debug",
  verbose: "debug",
  input: "debug",
  silly: "trace",
};
/** Fields of every line, which a caller's own must not replace. */
const RESERVED = new Set(["level", "time", "msg"]);

/** Lets graph code write to this server's log by `getLogger()`. A line names the run and the node that wrote it. */
export function offerLogger(logger: Logger): void {
  Object.assign(globalThis, { [LOGGER]: sdkLogger(logger) });
}

function sdkLogger(logger: Logger): object {
  const write = (level: Level, given: readonly unknown[]) => {
    const { message, facts } = entryOf(given);
    logger[level]({ ...facts, ...place() }, message);
  };
  const levels = Object.entries(LEVELS).map(([name, level]) => [
    name,
    (...given: unknown[]) => {
      write(level, given);
      return offered;
    },
  ]);
  const offered: object = {
    ...Object.fromEntries(levels),
    log(level: unknown, ...given: unknown[]) {
      // `log({ level, message })` is the same call in one object.
      const { level: named = "info", ...rest } = isRecord(level) ? level : { level };
      write(LEVELS[String(named)] ?? "info", isRecord(level) ? [rest, ...given] : given);
      return offered;
    },
    child: (facts: object) => sdkLogger(logger.child(factsOf(facts))),
  };
  return offered;
}

/** winston's forms: a text with facts behind it, an error, or one object with its text under `message`. */
function entryOf([first, ...more]: readonly unknown[]): { message: string; facts: Record<string, unknown> } {
  const facts: Record<string, unknown> = {};
  for (const value of more) {
    if (isRecord(value)) Object.assign(facts, factsOf(value));
    else facts.data = facts.data === undefined ? value : [facts.data, value].flat();
  }
  if (first instanceof Error) return { message: first.message, facts: { ...facts, err: first } };
  if (!isRecord(first)) return { message: String(first), facts };
  const { message, ...rest } = first;
  return { message: String(message ?? ""), facts: { ...factsOf(rest), ...facts } };
}

function factsOf(value: object): Record<string, unknown> {
  if (value instanceof Error) return { err: value };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [RESERVED.has(key) ? `${key}_` : key, item]));
}

function place(): object {
  const storage = Reflect.get(globalThis, LANGCHAIN_CONTEXT) as { getStore?(): unknown } | undefined;
  const store = storage?.getStore?.() as { extra?: Record<symbol, unknown> } | undefined;
  const config = store?.extra?.[NODE_CONFIG] as { metadata?: { langgraph_node?: unknown } } | undefined;
  const node = config?.metadata?.langgraph_node;
  return { ...currentRun(), ...(typeof node === "string" && { node }) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
