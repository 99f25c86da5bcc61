import { z } from "@hono/zod-openapi";
import { LIMITS } from "./limits.ts";

/**
 * UUID of any version, upper case accepted and lowered: peers hand out ids that the strict RFC check refuses, and rows
 * are found by their lower-case text.
 */
export const Id = z.guid().toLowerCase();
export const Timestamp = z.iso.datetime({ offset: true });
export const JsonObject = z.record(z.string(), z.unknown());
export type JsonObject = Record<string, unknown>;

const kept = new WeakSet<object>();

/** Marks a schema of a request whose value the server only stores or compares: its numbers keep their value. */
export function onlyStored<T extends z.ZodType>(schema: T): T {
  kept.add(schema);
  return schema;
}

export function isOnlyStored(schema: object): boolean {
  return kept.has(schema);
}

/** Metadata and store values of a request. */
export const StoredObject = onlyStored(z.record(z.string(), z.unknown()));

/** The part of LangChain's RunnableConfig that travels over the API. */
export const RunConfig = z
  .looseObject({
    tags: z.array(z.string()).optional(),
    recursion_limit: z.int().min(1).max(1000).optional(),
    configurable: JsonObject.optional(),
    metadata: JsonObject.optional(),
  })
  .meta({ id: "Config" });
export type RunConfig = {
  tags?: string[] | undefined;
  recursion_limit?: number | undefined;
  configurable?: JsonObject | undefined;
  metadata?: JsonObject | undefined;
  [key: string]: unknown;
};

export const ErrorBody = z.object({ detail: z.string() }).meta({ id: "ErrorResponse" });

export const SortOrder = z.enum(["asc", "desc"]);

/** What every list port takes. `limit` 1..1000, `offset` >= 0. */
export interface PageQuery {
  limit: number;
  offset: number;
  sort_by?: string | undefined;
  sort_order?: "asc" | "desc" | undefined;
  /** Of all rows together; one alone may be larger. RuntimeError invalid when there are more. */
  max_bytes?: number | undefined;
}

/** One page, and whether more rows follow it (drives X-Pagination-Next). */
export interface Page<T> {
  items: T[];
  more: boolean;
}

/** An optional field of a request: null means the same as absent. */
export function optional<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value): z.output<T> | undefined => value ?? undefined);
}

/** An optional field with a default that null also takes. */
export function withDefault<T extends z.ZodType>(schema: T, value: z.output<T>) {
  return schema.nullish().transform((given): z.output<T> => given ?? value);
}

/** `limit` of a search body. */
export function pageLimit(fallback: number) {
  return withDefault(z.int().min(1).max(LIMITS.rows), fallback).meta({ default: fallback });
}

/** Page of a search body: limit 1..1000, 10 by default. */
export const PageFields = {
  limit: pageLimit(10),
  offset: withDefault(z.int().min(0).max(LIMITS.offset), 0).meta({ default: 0 }),
};

/** A count, as a bare number. */
export const Count = z.int().min(0);
