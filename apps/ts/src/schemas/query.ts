import { z } from "@hono/zod-openapi";
import { LIMITS } from "./limits.ts";

const TRUE = new Set(["1", "true", "yes"]);
const FALSE = new Set(["0", "false", "no"]);

/** A boolean in a query string: 1/0, true/false, yes/no, any case. Absent stays undefined. */
export function queryFlag() {
  return z
    .preprocess((value) => {
      const word = typeof value === "string" ? value.toLowerCase() : value;
      if (TRUE.has(word as string)) return true;
      return FALSE.has(word as string) ? false : value;
    }, z.boolean({ error: "must be true or false" }).optional())
    .meta({ type: "boolean" });
}

/** A whole number in a query string, from `min` to `max`. Absent stays undefined. */
export function queryInt(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return z
    .preprocess(
      (value) => (typeof value === "string" && /^-?\d{1,15}$/.test(value) ? Number(value) : value),
      z
        .int({ error: (issue) => (issue.code === "invalid_type" ? "must be a whole number" : undefined) })
        .min(min)
        .max(max)
        .optional(),
    )
    .meta({ type: "integer", minimum: min, ...(max < Number.MAX_SAFE_INTEGER ? { maximum: max } : {}) });
}

const LIST = { type: "array", param: { style: "form", explode: true } } as const;

/**
 * A list in a query string. All spellings that clients use: repeated keys, a JSON array of strings, a comma list, one
 * value. Absent stays undefined, and so does an empty value: Python's client writes its None that way.
 * @param item Schema of one entry, over strings.
 */
export function queryList<T extends z.ZodType<string>>(item: T) {
  const split = (value: unknown) => (value === "" ? undefined : splitList(value));
  const items = { type: "string", ...(item instanceof z.ZodEnum ? { enum: item.options } : {}) } as const;
  return z.preprocess(split, z.array(item).max(LIMITS.selected).optional()).meta({ ...LIST, items });
}

/** Namespaces in a query string, in the same spellings; an empty value is the root. */
export function queryNamespaces() {
  return z
    .preprocess(splitList, z.array(z.string()).max(LIMITS.selected).optional())
    .meta({ ...LIST, items: { type: "string" } });
}

function splitList(value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (value.trimStart().startsWith("[")) {
    try {
      return JSON.parse(value);
    } catch {
      // Not an array after all: each part is then judged by the item's own schema.
      return value.split(",");
    }
  }
  return value.split(",");
}
