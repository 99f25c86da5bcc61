import { RuntimeError } from "#core/errors";
import { compareNumberTexts, isExact } from "#core/exact-numbers";
import type { JsonObject } from "#schemas/common";
import { isObject } from "./json-filters.ts";

export function isOperators(wanted: unknown): wanted is JsonObject {
  return isObject(wanted) && Object.keys(wanted).some((key) => key.startsWith("$"));
}

export function unknownOperator(operator: string): RuntimeError {
  return new RuntimeError(
    "bad_request",
    `Unknown filter operator ${operator}; known are $eq, $ne, $gt, $gte, $lt, $lte`,
  );
}

/** Texts that count as numbers in a comparison, in the words of JavaScript and of PostgreSQL alike: decimal ones, and blank ones as 0. */
export const BLANK = String.raw`^[ \t\n\r]*$`;
export const DECIMAL = String.raw`^[ \t\n\r]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?[ \t\n\r]*$`;
/** Longer texts are no numbers. */
export const MOST_DIGITS = 60;

const NUMERIC = new RegExp(`${BLANK}|${DECIMAL}`);

/** The decimal text of what a value counts as when it is compared as a number; undefined where it is none. */
export function numberText(value: unknown): string | undefined {
  if (isExact(value)) return value.rawJSON;
  if (typeof value === "number") return Number.isNaN(value) ? undefined : String(value);
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value !== "string" || value.length > MOST_DIGITS || !NUMERIC.test(value)) return undefined;
  return value.trim() === "" ? "0" : value.trim();
}

/** Order of two values as numbers: negative, 0 or positive; NaN, which no comparison accepts, where one is none. */
export function compareAsNumbers(a: unknown, b: unknown): number {
  const [left, right] = [numberText(a), numberText(b)];
  if (left === undefined || right === undefined) return Number.NaN;
  const [x, y] = [Number(left), Number(right)];
  // Rounding keeps the order, so only what is rounded to the same double has to be looked at.
  return x === y ? compareNumberTexts(left, right) : x < y ? -1 : 1;
}
