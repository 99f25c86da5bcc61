import type { JsonObject } from "#schemas/common";

/** Who asks, and langgraph's working parts: nobody but the server says them, under any name of a configuration. */
const RESERVED = /^(?:langgraph_auth_.*|langgraph_request_id|fractal_idempotency_key|__pregel_.*|__proto__)$/;

/** Which run this is; in `context` these are words like any other. */
const RUN_KEYS: ReadonlySet<string> = new Set(["thread_id", "run_id", "assistant_id", "graph_id", "cron_id"]);

/** Where in a thread something was read or forked: true of one request only, never of what is stored for later ones. */
const POSITION: ReadonlySet<string> = new Set(["checkpoint_id", "checkpoint_ns", "checkpoint_map"]);

/** A `configurable` without what only the server sets. */
export function withoutServerKeys(configurable: JsonObject): JsonObject {
  return without(configurable, (key) => RESERVED.test(key) || RUN_KEYS.has(key));
}

/** The same for a configuration that is stored: it belongs to no request. */
export function storable(configurable: JsonObject): JsonObject {
  return without(configurable, (key) => RESERVED.test(key) || RUN_KEYS.has(key) || POSITION.has(key));
}

/** A `context` without what only the server sets. */
export function withoutReserved(context: JsonObject): JsonObject {
  return without(context, (key) => RESERVED.test(key));
}

/** What of a `configurable` configures something: who asks (`user_id`) and where does not. */
export function withoutPlace(configurable: JsonObject): JsonObject {
  return without(configurable, (key) => POSITION.has(key));
}

/** The object itself where nothing is taken away. */
function without(object: JsonObject, unwanted: (key: string) => boolean): JsonObject {
  const keys = Object.keys(object);
  if (!keys.some(unwanted)) return object;
  return Object.fromEntries(keys.filter((key) => !unwanted(key)).map((key) => [key, object[key]]));
}
