import type { JsonObject } from "#schemas/common";
import { BLANK, DECIMAL, isOperators, MOST_DIGITS, numberText, unknownOperator } from "../common/store-filters.ts";
import { jsonb, type Where } from "./conditions.ts";

const COMPARISONS: Record<string, string> = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" };

/** LangGraph's comparison per key of `document`, a jsonb expression: the value itself, or an object of operators. */
export function addFilter(where: Where, document: string, filter: JsonObject | undefined): void {
  for (const [key, wanted] of Object.entries(filter ?? {})) {
    const found = `(${document} -> ${where.add(plain(key))}::text)`;
    if (!isOperators(wanted)) where.and(jsonb(wanted), (p) => `${found} = ${p}::jsonb`);
    else for (const [operator, operand] of Object.entries(wanted)) compare(where, found, { operator, operand });
  }
}

function compare(where: Where, found: string, by: { operator: string; operand: unknown }): void {
  const { operator, operand } = by;
  if (operator === "$eq") where.and(jsonb(operand), (p) => `${found} = ${p}::jsonb`);
  else if (operator === "$ne") where.and(jsonb(operand), (p) => `${found} is distinct from ${p}::jsonb`);
  else {
    const sign = Object.hasOwn(COMPARISONS, operator) ? COMPARISONS[operator] : undefined;
    if (sign === undefined) throw unknownOperator(operator);
    where.also(ordered(where, found, { sign, operand }));
  }
}

/** Two texts by code points, anything else as numbers; false where the two have no common order. */
function ordered(where: Where, found: string, by: { sign: string; operand: unknown }): string {
  const { sign, operand } = by;
  const number = numberText(operand);
  // Every parameter has to occur in the statement, so a comparison with what is no number names the value too.
  const numbers =
    number === undefined ? `(false and ${found} is null)` : `${numberIn(found)} ${sign} ${where.add(number)}::numeric`;
  if (typeof operand !== "string") return `coalesce(${numbers}, false)`;
  const texts = `(${found} #>> '{}') collate "C" ${sign} ${where.add(plain(operand))}::text`;
  return `coalesce(case when jsonb_typeof(${found}) = 'string' then ${texts} else ${numbers} end, false)`;
}

/** `numberText` of what was found, as a number of any length; null where it is none. */
function numberIn(found: string): string {
  const text = `(${found} #>> '{}')`;
  return (
    `(case jsonb_typeof(${found}) when 'number' then ${text}::numeric ` +
    `when 'boolean' then (case ${text} when 'true' then 1 else 0 end)::numeric ` +
    `when 'string' then (case when length(${text}) > ${MOST_DIGITS} then null when ${text} ~ '${BLANK}' then 0 ` +
    `when ${text} ~ '${DECIMAL}' then ${text}::numeric end) end)`
  );
}

/** No text of the database holds a NUL; stored ones became U+FFFD. */
function plain(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
