import { RuntimeError } from "#core/errors";
import type { JsonObject } from "#schemas/common";
import { isObject } from "./json-filters.ts";

export function isOperators(wanted: unknown): wanted is JsonObject {
  return isObject(wanted) && Object.keys(wanted).some((key) => key.startsWith("$"));
}

export function unknownOperator(operator: string): RuntimeError {
  return new RuntimeError("invalid", `Unknown filter operator ${operator}; known are $eq, $ne, $gt, $gte, $lt, $lte`);
}

/** Texts that count as numbers in a comparison, in the words of JavaScript and of PostgreSQL alike: decimal ones, and blank ones as 0. */
export const BLANK = String.raw`^[ \t\n\r]*$`;
export const DECIMAL = String.raw`^[ \t\n\r]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?[ \t\n\r]*$`;
/** Longer texts are no numbers. */
export const MOST_DIGITS = 60;

const NUMERIC = new RegExp(`${BLANK}|${DECIMAL}`);

/** What a value counts as when it is compared as a number: NaN, which no comparison accepts, where it is none. */
export function asNumber(value: unknown): number {
  if (typeof value === "number" || typeof value === "boolean") return Number(value);
  if (typeof value !== "string" || value.length > MOST_DIGITS) return Number.NaN;
  return NUMERIC.test(value) ? Number(value) : Number.NaN;
}
