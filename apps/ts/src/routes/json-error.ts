/**
 * Where and why a text is not JSON. Only called after JSON.parse refused it: engines word their errors differently and
 * Bun's carries no position, so this scanner finds the first offence itself. Iterative, so depth cannot overflow it.
 */
export function describeJsonError(text: string): string {
  const { at, expected } = firstError(text);
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - before.lastIndexOf("\n");
  const found = at >= text.length ? "the end of the text" : JSON.stringify(text[at]);
  return `Invalid JSON at line ${line}, column ${column} (position ${at}): expected ${expected}, found ${found}`;
}

interface Offence {
  at: number;
  expected: string;
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/** The position after the string that begins at `at`, or the offence. */
function skipString(text: string, at: number): number | Offence {
  for (let end = at + 1; ; end++) {
    const char = text[end];
    if (char === '"') return end + 1;
    if (char === "\\") {
      const after = match(ESCAPE, text, end);
      if (after < 0) return { at: end, expected: "a valid escape" };
      end = after - 1;
    } else if (char === undefined || char < " ") {
      return { at: end, expected: "the rest of a string" };
    }
  }
}

function skipScalar(text: string, at: number): number | Offence {
  if (text[at] === '"') return skipString(text, at);
  for (const word of ["true", "false", "null"]) if (text.startsWith(word, at)) return at + word.length;
  const end = match(NUMBER, text, at);
  return end > at ? end : { at, expected: "a value" };
}

/** A property name with its colon: the position of the value, or the offence. */
function skipKey(text: string, at: number): number | Offence {
  if (text[at] !== '"') return { at, expected: "a property name in double quotes" };
  const end = skipString(text, at);
  if (typeof end !== "number") return end;
  const colon = match(SPACE, text, end);
  return text[colon] === ":" ? colon + 1 : { at: colon, expected: '":"' };
}

/** After a value: closes what ends here, and stops before the next key or value. */
function skipAfter(text: string, from: number, open: string[]): number | Offence {
  for (let at = from; ; at++) {
    at = match(SPACE, text, at);
    const inside = open.at(-1);
    if (inside === undefined) return { at, expected: "nothing more" };
    const close = inside === "{" ? "}" : "]";
    if (text[at] === ",") return at + 1;
    if (text[at] !== close) return { at, expected: `"," or "${close}"` };
    open.pop();
  }
}

function firstError(text: string): Offence {
  const open: string[] = [];
  let at = 0;
  let opened = false;
  for (;;) {
    at = match(SPACE, text, at);
    const inside = open.at(-1);
    let end: number | Offence;
    if (opened && text[at] === (inside === "{" ? "}" : "]")) {
      end = skipAfter(text, at, open);
    } else {
      const value = inside === "{" ? skipKey(text, at) : at;
      if (typeof value !== "number") return value;
      at = match(SPACE, text, value);
      const bracket = text[at];
      opened = bracket === "{" || bracket === "[";
      if (opened && bracket !== undefined) {
        open.push(bracket);
        at++;
        continue;
      }
      const scalar = skipScalar(text, at);
      end = typeof scalar === "number" ? skipAfter(text, scalar, open) : scalar;
    }
    if (typeof end !== "number") return end;
    at = end;
    opened = false;
  }
}
