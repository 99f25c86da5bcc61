import { RuntimeError } from "#core/errors";
import { describeJsonError } from "./json-error.ts";

/** Deeper JSON is refused: nothing real needs it, and later code walks values recursively. */
export const MAX_JSON_DEPTH = 64;

/**
 * Parses a request body and refuses what a store or a recursive walk could choke on.
 * RuntimeError bad_request: not JSON, with the position. RuntimeError invalid: too deep, NUL, unpaired surrogate,
 * prototype keys.
 */
export function parseJsonBody(text: string): unknown {
  const value = parse(text);
  // NUL and lone surrogates can only come from escapes: JSON forbids raw control characters, UTF-8 the surrogates.
  inspect(value, text.includes("\\u"));
  return value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // A RangeError is the engine's own recursion limit: the text may be fine, but it is deeper than we take.
    if (error instanceof RangeError) throw tooDeep();
    throw new RuntimeError("bad_request", describeJsonError(text), { cause: error });
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
      else if (escapes && typeof node === "string") checkString(node);
    }
    level = below;
  }
}

function collect(node: object, below: unknown[], escapes: boolean): void {
  if (Array.isArray(node)) {
    for (const item of node) below.push(item);
    return;
  }
  for (const key of Object.keys(node)) {
    checkKey(node, key, escapes);
    below.push((node as Record<string, unknown>)[key]);
  }
}

function checkKey(node: object, key: string, escapes: boolean): void {
  if (key === "__proto__") throw new RuntimeError("invalid", 'body: the key "__proto__" is not allowed');
  if (key === "constructor") {
    const child: unknown = (node as Record<string, unknown>)[key];
    if (typeof child === "object" && child !== null && Object.hasOwn(child, "prototype")) {
      throw new RuntimeError("invalid", 'body: the keys "constructor.prototype" are not allowed');
    }
  }
  if (escapes) checkString(key);
}

function checkString(text: string): void {
  if (text.includes("\0")) throw new RuntimeError("invalid", "body: a string contains a NUL character");
  if (!text.isWellFormed()) throw new RuntimeError("invalid", "body: a string contains half of a surrogate pair");
}
