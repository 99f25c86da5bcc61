import { isExact } from "#core/exact-numbers";
import type { SqliteValue } from "#platform/sqlite";
import { isObject } from "../common/json-filters.ts";

/**
 * Texts that must occur in the JSON of an object that contains `filter`. Everything stored is written by JSON.stringify,
 * so a member with a scalar value stands there exactly as it would be written alone. Necessary, not sufficient: the
 * rows that pass are then checked with `contains`, and most of the others are never parsed.
 */
export function fragments(filter: unknown): string[] {
  if (Array.isArray(filter))
    return filter.flatMap((part) => (isScalar(part) ? [JSON.stringify(part)] : fragments(part)));
  if (!isObject(filter)) return [];
  return Object.entries(filter).flatMap(([key, value]) => {
    const name = `${JSON.stringify(key)}:`;
    return isScalar(value) ? [name + JSON.stringify(value)] : [name, ...fragments(value)];
  });
}

function isScalar(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value) || isExact(value);
}

/** Conditions of a WHERE clause: constant texts with their parameters. */
export interface Conditions {
  sql: string[];
  params: SqliteValue[];
}

/** Adds the necessary texts of `filter` on a column; at most 8, the exact check follows anyway. */
export function prefilter(where: Conditions, column: string, filter: unknown): void {
  for (const fragment of fragments(filter).slice(0, 8)) {
    where.sql.push(`instr(${column}, ?) > 0`);
    where.params.push(fragment);
  }
}
