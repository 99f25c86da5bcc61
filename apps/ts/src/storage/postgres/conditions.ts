import type { AuthScope } from "#core/identity/scope";
import type { JsonObject } from "#schemas/common";

/** The time now as a constant of the statement: an index on a time can be used with it, a volatile call cannot. */
export const NOW = "(select fractal.now_ms())";

/**
 * JSON text that jsonb takes. It has no NUL and no half of a surrogate pair; JSON.stringify escapes just these, so both
 * can be told from the text. They become U+FFFD.
 */
export function jsonb(value: unknown): string {
  const text = JSON.stringify(value);
  if (!text.includes("\\u")) return text;
  // Pairs of backslashes are skipped first: an escaped backslash before "u0000" is text.
  return text.replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|[\s\S])/g, (found) => (found.length > 2 ? "\\ufffd" : found));
}

/** A json or text column as jsonb, whatever it holds: what jsonb refuses becomes U+FFFD, as in `jsonb`. */
export function asJsonb(column: string): string {
  const text = `${column}::text`;
  const bad = String.raw`(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})`;
  return (
    `(case when strpos(${text}, '\\u') = 0 then ${text} ` +
    String.raw`else regexp_replace(${text}, '${bad}', '\1\\ufffd', 'g') end)::jsonb`
  );
}

/**
 * The conditions of the caller's auth handler as one document that the metadata must contain (`metadata @> document`):
 * a string only matches itself, a list the lists that hold its parts. "{}", which everything contains, without any.
 */
export function required(filters: AuthScope["filters"]): string {
  if (filters === undefined) return "{}";
  const document = new Map<string, JsonObject[string]>();
  for (const [key, condition] of Object.entries(filters)) {
    if (typeof condition === "string") document.set(key, condition);
    else if ("$eq" in condition) document.set(key, condition.$eq);
    else document.set(key, typeof condition.$contains === "string" ? [condition.$contains] : [...condition.$contains]);
  }
  return jsonb(Object.fromEntries(document));
}

/** A WHERE clause under construction. */
export class Where {
  readonly params: unknown[];
  readonly #conditions: string[];

  /** `fixed` uses the first parameters by number. */
  constructor(fixed: readonly string[], params: readonly unknown[]) {
    this.#conditions = [...fixed];
    this.params = [...params];
  }

  /** Adds a condition on the placeholder of a value; none when the value is undefined. */
  and(value: unknown, condition: (placeholder: string) => string): this {
    if (value !== undefined) this.#conditions.push(condition(this.add(value)));
    return this;
  }

  /** A condition whose values were added. */
  also(condition: string): this {
    this.#conditions.push(condition);
    return this;
  }

  /** The placeholder of a further parameter. */
  add(value: unknown): string {
    this.params.push(value);
    return `$${this.params.length}`;
  }

  get text(): string {
    return this.#conditions.join(" and ");
  }
}

/** One page of rows that were read with a limit of one more. */
export function pageOf<R, T>(rows: readonly R[], limit: number, convert: (row: R) => T): { items: T[]; more: boolean } {
  return { items: rows.slice(0, limit).map(convert), more: rows.length > limit };
}
