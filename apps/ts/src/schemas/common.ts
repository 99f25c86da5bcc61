import { z } from "@hono/zod-openapi";

/** UUID of any version, upper case accepted: peers hand out ids that the strict RFC check refuses (contract §1). */
export const Id = z.guid();
export const Timestamp = z.iso.datetime({ offset: true });
export const JsonObject = z.record(z.string(), z.unknown());
export type JsonObject = Record<string, unknown>;

/** The part of LangChain's RunnableConfig that travels over the API. */
export const RunConfig = z
  .looseObject({
    tags: z.array(z.string()).optional(),
    recursion_limit: z.int().min(1).max(1000).optional(),
    configurable: JsonObject.optional(),
    metadata: JsonObject.optional(),
  })
  .openapi("Config");
export type RunConfig = {
  tags?: string[] | undefined;
  recursion_limit?: number | undefined;
  configurable?: JsonObject | undefined;
  metadata?: JsonObject | undefined;
  [key: string]: unknown;
};

export const ErrorBody = z.object({ detail: z.string() }).openapi("ErrorResponse");

export const SortOrder = z.enum(["asc", "desc"]);

/** What every list port takes. `limit` 1..1000, `offset` >= 0. */
export interface PageQuery {
  limit: number;
  offset: number;
  sort_by?: string | undefined;
  sort_order?: "asc" | "desc" | undefined;
}

/** One page, and whether more rows follow it (drives X-Pagination-Next, contract §1.3). */
export interface Page<T> {
  items: T[];
  more: boolean;
}
