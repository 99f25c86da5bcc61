import { type LogFn, type Logger as PinoLogger, pino } from "pino";
import { type Ansi, createAnsi } from "./ansi.ts";
import { createRedactor, type Redactor } from "./redact.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What every part gets by parameter: facts first, then a sentence. An error goes under the key `err`. */
export interface Logger {
  trace(facts: object, message?: string): void;
  debug(facts: object, message?: string): void;
  info(facts: object, message?: string): void;
  warn(facts: object, message?: string): void;
  error(facts: object, message?: string): void;
  fatal(facts: object, message?: string): void;
  /** A logger whose lines all carry these facts. */
  child(facts: object): Logger;
}

export interface LoggerOptions {
  level: LogLevel;
  /** One JSON object a line (for machines), or readable lines (for a terminal). */
  json: boolean;
  colour?: boolean;
  /** Values replaced wherever they turn up in a line. */
  secrets?: readonly (string | undefined)[];
  /** Takes finished lines, newline included; synchronous, so that nothing is lost when the process ends. */
  write(line: string): void;
}

/**
 * Secrets never reach a line: strings below keys that name one are redacted, and so are known values, `Bearer` texts
 * and URL passwords anywhere in it.
 */
export function createLogger(options: LoggerOptions): Logger {
  const redactor = createRedactor(options.secrets);
  const ansi = createAnsi(options.colour === true);
  const write = options.json ? options.write : (line: string) => options.write(readable(line, ansi));
  return wrap(
    pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        // Errors are turned into plain objects by the redactor, whatever key they stand under.
        serializers: { err: (value: unknown) => value },
        formatters: {
          level: (label) => ({ level: label }),
          log: (facts) => redactor.object(facts),
          bindings: (facts) => redactor.object(facts),
        },
        hooks: { streamWrite: (line) => redactor.text(line) },
      },
      { write },
    ),
    redactor,
  );
}

function wrap(pinoLogger: PinoLogger, redactor: Redactor): Logger {
  const at = (level: Exclude<LogLevel, "silent">) => {
    if (!pinoLogger.isLevelEnabled(level)) return () => undefined;
    const log: LogFn = pinoLogger[level];
    return (facts: object, message?: string) => {
      // pino takes a bare Error apart by itself, past the redactor.
      log.call(pinoLogger, facts instanceof Error ? { err: facts } : facts, message && redactor.short(message));
    };
  };
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    fatal: at("fatal"),
    child: (facts) => wrap(pinoLogger.child(facts), redactor),
  };
}

/** Of a line with a duration, what is read without its name: `run finished agent success 182 ms thread=...`. */
const SAID = ["method", "path", "graph", "status"];

/** `12:04:31 warn  message key=value`, the stack of an error indented below. */
function readable(line: string, ansi: Ansi): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const { said, facts } = sentence(rest);
  const name = String(level);
  const paint = name === "error" || name === "fatal" ? ansi.red : name === "warn" ? ansi.yellow : ansi.dim;
  let text = `${ansi.dim(new Date(String(time)).toTimeString().slice(0, 8))} ${paint(name.padEnd(5))} ${[msg ?? "", ...said].join(" ")}`;
  const below: string[] = [];
  for (const [key, value] of Object.entries(facts)) {
    if (isError(value)) below.push(...errorLines(value));
    else text += ` ${ansi.dim(`${key}=`)}${typeof value === "string" ? value : JSON.stringify(value)}`;
  }
  return `${[text.trimEnd(), ...below.map((row) => ansi.dim(`  ${row}`))].join("\n")}\n`;
}

function sentence(rest: Record<string, unknown>): { said: string[]; facts: Record<string, unknown> } {
  const { ms, ...facts } = rest;
  if (typeof ms !== "number") return { said: [], facts: rest };
  const said: string[] = [];
  for (const key of SAID) {
    if (key in facts) said.push(String(facts[key]));
    delete facts[key];
  }
  return { said: [...said, `${ms} ms`], facts };
}

interface LoggedError {
  type: string;
  message: string;
  stack?: string;
  cause?: unknown;
}

function isError(value: unknown): value is LoggedError {
  return typeof value === "object" && value !== null && "type" in value && "message" in value;
}

function errorLines(error: LoggedError): string[] {
  const own = stackOf(error).split("\n");
  if (!isError(error.cause)) return own;
  const [first = "", ...rest] = errorLines(error.cause);
  return [...own, `caused by ${first}`, ...rest];
}

/** Not every stack begins with the message: it may have been set when the error was there. */
function stackOf({ type, message, stack = "" }: LoggedError): string {
  if (stack !== "" && stack.includes(message)) return stack;
  const frames = stack.split("\n").filter((row) => /^\s+at /.test(row));
  return [`${type}: ${message}`, ...frames].join("\n");
}
