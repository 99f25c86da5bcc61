import { RuntimeError } from "#core/errors";
import { hasLongNumber, MOST_DIGITS, parseStored, TOO_LONG } from "#core/exact-numbers";
import type { JsonObject } from "#schemas/common";
import { pathText } from "./issues.ts";
import { describeJsonError } from "./json-error.ts";
import { EACH, type Path } from "./stored-paths.ts";

/** As LangGraph Platform says it, of a body that is missing too. */
export const INVALID_JSON = "Invalid JSON in request body";

/** Deeper JSON is refused: nothing real needs it, and later code walks values recursively. */
export const MAX_JSON_DEPTH = 64;

/**
 * Parses a request body and refuses what a store or a recursive walk could choke on, and what would be changed silently.
 * Numbers below `stored` keep their value (see core/exact-numbers); others are the nearest double.
 * RuntimeError invalid: not JSON, with the position; too deep, NUL, unpaired surrogate, prototype keys, a number beyond
 * the largest double.
 */
export function parseJsonBody(text: string, stored: readonly Path[] = []): unknown {
  const value = parse(text);
  // NUL and lone surrogates can only come from escapes: JSON forbids raw control characters, UTF-8 the surrogates.
  inspect(value, text.includes("\\u"));
  if (stored.length > 0 && hasLongNumber(text)) {
    const exact = parseStored(text);
    for (const path of stored) keep(path, value, exact);
  }
  return value;
}

/** Puts what stands at a path of `exact` into `value`, which has the same shape. */
function keep(path: Path, value: unknown, exact: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const [step, ...rest] = path;
  if (step === undefined) return;
  const members = step === EACH ? [...(Array.isArray(value) ? value.keys() : [])] : [step];
  for (const member of members) {
    if (!Object.hasOwn(value, member)) continue;
    const from = (exact as JsonObject)[member];
    if (rest.length > 0) keep(rest, (value as JsonObject)[member], from);
    else {
      const [at] = find(from, (part) => part === TOO_LONG) ?? [];
      if (at !== undefined) {
        const place = pathText([member, ...at]);
        throw new RuntimeError("invalid", `${place}: the number has more than ${MOST_DIGITS} digits`);
      }
      (value as JsonObject)[member] = from;
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // A RangeError is the engine's own recursion limit: the text may be fine, but it is deeper than we take.
    if (error instanceof RangeError) throw tooDeep();
    const place = describeJsonError(text).replace("Invalid JSON ", "");
    throw new RuntimeError("invalid", `${INVALID_JSON} ${place}`, { cause: error });
  }
}

function tooDeep(): RuntimeError {
  return new RuntimeError("invalid", `body: JSON is nested deeper than ${MAX_JSON_DEPTH} levels`);
}

/** Level by level, on purpose: a walk that recursed would itself be what deep input overflows. */
function inspect(root: unknown, escapes: boolean): void {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_JSON_DEPTH + 1) throw tooDeep();
    const below: unknown[] = [];
    for (const node of level) {
      if (typeof node === "object" && node !== null) collect(node, below, escapes);
      else if (isFault(node, escapes)) throw faulty(root);
    }
    level = below;
  }
}

/** A value that cannot be taken as it is; JSON.parse gives infinity for a number beyond the largest double. */
function isFault(node: unknown, escapes: boolean): boolean {
  if (typeof node === "number") return !Number.isFinite(node);
  return escapes && typeof node === "string" && stringProblem(node) !== undefined;
}

function collect(node: object, below: unknown[], escapes: boolean): void {
  if (Array.isArray(node)) {
    for (const item of node) below.push(item);
    return;
  }
  for (const key of Object.keys(node)) {
    checkKey(node, key, escapes);
    below.push((node as JsonObject)[key]);
  }
}

function checkKey(node: object, key: string, escapes: boolean): void {
  if (key === "__proto__") throw new RuntimeError("invalid", 'body: the key "__proto__" is not allowed');
  if (key === "constructor") {
    const child: unknown = (node as JsonObject)[key];
    if (typeof child === "object" && child !== null && Object.hasOwn(child, "prototype")) {
      throw new RuntimeError("invalid", 'body: the keys "constructor.prototype" are not allowed');
    }
  }
  const problem = escapes ? stringProblem(key) : undefined;
  if (problem !== undefined) throw new RuntimeError("invalid", `body: ${problem}`);
}

function stringProblem(text: string): string | undefined {
  if (text.includes("\0")) return "a string contains a NUL character";
  return text.isWellFormed() ? undefined : "a string contains half of a surrogate pair";
}

/** The error for the first fault, with its path: looked for only now, so that good requests pay for no paths. */
function faulty(root: unknown): RuntimeError {
  const [path, node] = find(root, (part) => isFault(part, true)) ?? [[], undefined];
  const problem =
    typeof node === "string" ? stringProblem(node) : "the number is too large; the largest is about 1.8e308";
  return new RuntimeError("invalid", `${pathText(path) || "body"}: ${problem}`);
}

/** Level by level, like `inspect`. */
function find(root: unknown, wanted: (node: unknown) => boolean): [PropertyKey[], unknown] | undefined {
  let level: [PropertyKey[], unknown][] = [[[], root]];
  while (level.length > 0) {
    const below: typeof level = [];
    for (const [path, node] of level) {
      if (wanted(node)) return [path, node];
      if (typeof node !== "object" || node === null) continue;
      for (const [key, part] of Object.entries(node))
        below.push([[...path, Array.isArray(node) ? Number(key) : key], part]);
    }
    level = below;
  }
  return undefined;
}
