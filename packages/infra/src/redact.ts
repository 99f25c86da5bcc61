import { mayBeSecretKey } from "./secrets.ts";

/** What stands in the place of a secret. */
export const REDACTED = "[redacted]";

const AUTH_SCHEME = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi;
// Begins at "://": a pattern that begins with the scheme looks at a long word once per letter.
const URL_PASSWORD = /(:\/\/[^\s:/@"]*):[^\s/@"]+@/g;
/** Deeper objects are logged by their kind only: a log line is no place for a state dump, and cycles end here too. */
const MAX_DEPTH = 8;
/** Of a text, and of a line's message. What user code throws may hold a whole document. */
const MAX_TEXT = 16_384;
/**
 * Of an error's own fields, those that say what failed and where. Others may hold what people wrote: drivers keep the
 * command with its arguments, the row that a table refused, the body of an answer.
 */
const ERROR_FIELDS = [
  ...["code", "errno", "syscall", "address", "port", "path", "status", "statusCode", "request_id", "requestID"],
  ...["severity", "schema", "table", "column", "constraint", "routine", "lc_error_code", "run_id"],
];
/** Shorter values would blank out ordinary words. */
const MIN_SECRET = 8;

export interface Redactor {
  /**
   * A copy that is safe to serialise: strings below keys that name a secret are replaced (numbers stay, so `max_tokens`
   * reads on), errors become {type, message, stack, code, cause, ...} without fields that may hold what people wrote. Long
   * strings are cut.
   */
  object(value: object): Record<string, unknown>;
  /** A text that is no longer than a log line may hold. */
  short(text: string): string;
  /** A finished text with known secret values, `Bearer ...` and passwords in URLs replaced. */
  text(text: string): string;
}

/** @param secrets Values that must never be seen, such as the provider keys of this process. */
export function createRedactor(secrets: readonly (string | undefined)[] = []): Redactor {
  const known = [
    ...new Set(secrets.filter((value): value is string => value !== undefined && value.length >= MIN_SECRET)),
  ]
    // The text that is searched is JSON: a secret with a quote or a backslash stands there escaped.
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
    .sort((a, b) => b.length - a.length);
  const clean = (text: string) => {
    let safe = text;
    for (const secret of known) if (safe.includes(secret)) safe = safe.replaceAll(secret, REDACTED);
    return safe.replace(AUTH_SCHEME, `$1 ${REDACTED}`).replace(URL_PASSWORD, `$1:${REDACTED}@`);
  };
  // Cleaned first: the front half of a secret that is cut in two would no longer be found.
  const short = (text: string) => (text.length <= MAX_TEXT ? text : cut(clean(text)));
  const walk = new Walk(short);
  return { object: (value) => walk.entries(value, false, 0), short, text: clean };
}

function cut(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT)} [${text.length - MAX_TEXT} more characters]`;
}

interface SchemaError extends Error {
  issues: readonly { path?: readonly PropertyKey[]; message?: string }[];
}

/** What zod throws, of whatever copy and version; not every one of them is an Error. */
function isSchemaError(value: object): value is SchemaError {
  const { name, issues } = value as Partial<SchemaError>;
  return (name === "ZodError" || name === "$ZodError") && Array.isArray(issues);
}

/** `a.0.b: Invalid input` */
function issueText(issue: SchemaError["issues"][number]): string {
  const { path = [], message = "" } = issue ?? {};
  return path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`;
}

/** Copies what is to be logged. `hidden`: below a key that names a secret. */
class Walk {
  readonly #short: (text: string) => string;

  constructor(short: (text: string) => string) {
    this.#short = short;
  }

  entries(value: object, hidden: boolean, depth: number): Record<string, unknown> {
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      copy[key] = this.#value(item, hidden || mayBeSecretKey(key), depth + 1);
    }
    return copy;
  }

  #value(value: unknown, hidden: boolean, depth: number): unknown {
    if (typeof value === "string") return hidden && value !== "" ? REDACTED : this.#short(value);
    if (typeof value === "bigint") return value.toString();
    if (typeof value !== "object" || value === null) return typeof value === "function" ? "[function]" : value;
    if (depth > MAX_DEPTH) return Array.isArray(value) ? "[array]" : "[object]";
    if (Array.isArray(value)) return value.map((item) => this.#value(item, hidden, depth + 1));
    if (value instanceof Error || isSchemaError(value)) return this.#error(value, depth);
    if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    const json = (value as { toJSON?: unknown }).toJSON;
    if (value instanceof Date || value instanceof URL)
      return this.#value(String((json as () => unknown).call(value)), hidden, depth);
    return this.entries(value, hidden, depth);
  }

  #error(error: Error, depth: number): Record<string, unknown> {
    const { name, stack } = error;
    // A schema's message is the JSON of its issues, and does not begin with what is wrong.
    const issues = isSchemaError(error) ? error.issues.map(issueText) : undefined;
    const message = issues?.join("; ") ?? error.message;
    const trace = issues === undefined ? stack : stack?.replace(error.message, () => message);
    const copy = this.entries({ type: name, message, stack: trace, ...(issues && { issues }) }, false, depth);
    for (const key of ERROR_FIELDS) {
      const value: unknown = Object.hasOwn(error, key) ? Reflect.get(error, key) : undefined;
      if (typeof value === "string" || typeof value === "number") copy[key] = this.#value(value, false, depth + 1);
    }
    if (error.cause !== undefined) copy.cause = this.#value(error.cause, false, depth + 1);
    if (error instanceof AggregateError) copy.errors = this.#value(error.errors, false, depth + 1);
    return copy;
  }
}
