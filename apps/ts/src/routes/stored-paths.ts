import type { z } from "@hono/zod-openapi";
import { isOnlyStored } from "#schemas/common";

/** Members from a body down to a value; EACH stands for every entry of a list. */
export type Path = readonly (string | typeof EACH)[];
export const EACH = Symbol("each");

interface Definition {
  type: string;
  shape?: Record<string, z.core.$ZodType>;
  element?: z.core.$ZodType;
  innerType?: z.core.$ZodType;
  in?: z.core.$ZodType;
}

/** Where in a body the values stand that the server only stores; asked once a route, when it is declared. */
export function storedPaths(schema: z.core.$ZodType, at: Path = []): Path[] {
  if (isOnlyStored(schema)) return [at];
  const { type, shape, element, innerType, in: input } = schema._zod.def as Definition;
  if (type === "object" && shape !== undefined) {
    return Object.entries(shape).flatMap(([key, member]) => storedPaths(member, [...at, key]));
  }
  if (type === "array" && element !== undefined) return storedPaths(element, [...at, EACH]);
  const inner = type === "pipe" ? input : innerType;
  return inner === undefined ? [] : storedPaths(inner, at);
}
