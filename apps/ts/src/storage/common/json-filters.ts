import { isExact } from "#core/exact-numbers";
import type { AuthScope } from "#core/identity/scope";
import type { JsonObject } from "#schemas/common";

/** JSONB containment (Postgres `a @> b`) for parsed JSON: every part of `b` is found at the same place in `a`. */
export function contains(a: unknown, b: unknown): boolean {
  if (Array.isArray(b)) return Array.isArray(a) && b.every((part) => a.some((item) => contains(item, part)));
  if (isObject(b)) {
    return isObject(a) && Object.keys(b).every((key) => Object.hasOwn(a, key) && contains(a[key], b[key]));
  }
  return a === b || (isExact(a) && isExact(b) && a.rawJSON === b.rawJSON);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isExact(value);
}

/** Whether an object with this metadata passes the conditions of the caller's auth handler. */
export function passes(filters: AuthScope["filters"], metadata: JsonObject): boolean {
  if (filters === undefined) return true;
  return Object.entries(filters).every(([key, condition]) => {
    const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
    if (typeof condition === "string") return value === condition;
    if ("$eq" in condition) return value === condition.$eq;
    const wanted = typeof condition.$contains === "string" ? [condition.$contains] : condition.$contains;
    return Array.isArray(value) && wanted.every((part) => value.includes(part));
  });
}

/** A row's metadata as stored, against the scope; parses only where there is something to check. */
export function allowed(scope: AuthScope, metadata: string): boolean {
  return scope.filters === undefined || passes(scope.filters, JSON.parse(metadata) as JsonObject);
}

/** The scope's conditions that are plain equalities, as containment. */
export function equalities(filters: AuthScope["filters"]): JsonObject {
  const plain: JsonObject = {};
  for (const [key, condition] of Object.entries(filters ?? {})) {
    if (typeof condition === "string") plain[key] = condition;
    else if ("$eq" in condition) plain[key] = condition.$eq;
  }
  return plain;
}

/** `%text%` for LIKE ... ESCAPE '\\'. */
export function likeText(text: string): string {
  return `%${text.replace(/[\\%_]/g, "\\$&")}%`;
}
