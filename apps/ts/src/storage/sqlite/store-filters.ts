import type { JsonObject } from "#schemas/common";
import { isObject } from "../common/json-filters.ts";
import { compareAsNumbers, isOperators, unknownOperator } from "../common/store-filters.ts";

/** LangGraph's comparison per key: the value itself, or an object of operators. */
export function satisfies(value: JsonObject, filter: JsonObject | undefined): boolean {
  return Object.entries(filter ?? {}).every(([key, wanted]) => {
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    if (!isOperators(wanted)) return equal(found, wanted);
    return Object.entries(wanted).every(([operator, operand]) => compare(operator, found, operand));
  });
}

function compare(operator: string, found: unknown, operand: unknown): boolean {
  switch (operator) {
    case "$eq":
      return equal(found, operand);
    case "$ne":
      return !equal(found, operand);
    case "$gt":
      return order(found, operand) > 0;
    case "$gte":
      return order(found, operand) >= 0;
    case "$lt":
      return order(found, operand) < 0;
    case "$lte":
      return order(found, operand) <= 0;
    default:
      throw unknownOperator(operator);
  }
}

/** Two texts by code points, anything else as numbers; NaN where the two have no common order. */
function order(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  return compareAsNumbers(a, b);
}

/** By code points, as databases compare UTF-8; JavaScript compares UTF-16 units, where pairs come before U+E000. */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (left === right) continue;
    const [leftPair, rightPair] = [isSurrogate(left), isSurrogate(right)];
    return leftPair === rightPair ? left - right : leftPair ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && a !== null && canonical(a) === canonical(b));
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
}
