import type { AuthScope } from "#core/identity/scope";
import type { Fence } from "#core/runs/fence";
import type { JsonObject } from "#schemas/common";

/** An item of LangGraph's cross-thread memory. */
export interface StoreItem {
  namespace: string[];
  key: string;
  value: JsonObject;
  created_at: string;
  updated_at: string;
}

export interface StoreQuery {
  namespace_prefix: string[];
  /** Equality, or {$eq,$ne,$gt,$gte,$lt,$lte}, per top-level key of the value. */
  filter?: JsonObject | undefined;
  /** Lets the time to live of what is found begin anew. */
  refresh?: boolean | undefined;
  limit: number;
  offset: number;
  /** Of all values together; one alone may be larger. RuntimeError invalid when there are more. */
  max_bytes?: number | undefined;
}

export interface StoreRepository {
  /** `ttl` in minutes; null: never expires. Under a run's `fence`: LeaseLostError when its lane has moved on. */
  put(
    scope: AuthScope,
    item: { namespace: string[]; key: string; value: JsonObject; ttl: number | null },
    fence?: Fence,
  ): Promise<void>;
  /** `refresh`: its time to live begins anew. */
  get(
    scope: AuthScope,
    item: { namespace: string[]; key: string; refresh?: boolean | undefined },
  ): Promise<StoreItem | undefined>;
  remove(scope: AuthScope, item: { namespace: string[]; key: string }, fence?: Fence): Promise<void>;
  /** Newest updated_at first. */
  search(scope: AuthScope, query: StoreQuery): Promise<StoreItem[]>;
  /** "*" in prefix or suffix matches any one label. Distinct, in label order. */
  namespaces(
    scope: AuthScope,
    query: {
      prefix?: string[] | undefined;
      suffix?: string[] | undefined;
      max_depth?: number | undefined;
      limit: number;
      offset: number;
    },
  ): Promise<string[][]>;
}
