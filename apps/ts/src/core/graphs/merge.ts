import { isDeepStrictEqual } from "node:util";
import { RuntimeError } from "#core/errors";
import type { JsonObject, RunConfig } from "#schemas/common";
import { storable, withoutPlace, withoutReserved, withoutServerKeys } from "./server-keys.ts";

export interface ConfigLayer {
  config?: RunConfig | null | undefined;
  context?: JsonObject | null | undefined;
}

/** What a run hands to langgraph; the server's own keys are added to `configurable` afterwards, so that they win. */
export interface MergedRunConfig {
  config: {
    tags: string[];
    /** Absent when nobody set one: the graph's own default must stand. */
    recursion_limit?: number;
    /** What traces and events call the graph, in place of its id. */
    run_name?: string;
    configurable: JsonObject;
    metadata: JsonObject;
  };
  /** Undefined when nobody gave one, so that a graph with a context schema is not handed an empty object to reject. */
  context: JsonObject | undefined;
}

/**
 * graph defaults < assistant < thread < run: key by key in `configurable`, `context` and
 * `metadata`, tags joined without repeats in that order, the last recursion_limit and run_name that were given.
 * `configurable` and `context` are one thing under two names: a layer that gives one of them gives both. A layer that
 * gives both with different contents contradicts itself: RuntimeError bad_request.
 */
export function mergeRunConfig(layers: {
  graphDefaults?: ConfigLayer | undefined;
  assistant?: ConfigLayer | undefined;
  thread?: ConfigLayer | undefined;
  run?: ConfigLayer | undefined;
}): MergedRunConfig {
  const ordered = [
    mirrored(stored(layers.graphDefaults)),
    mirrored(stored(layers.assistant)),
    mirrored(stored(layers.thread)),
    mirrored(layers.run ?? {}, "run"),
  ];
  const configs = ordered.map((layer) => layer.config ?? {});
  const limit = configs.findLast((config) => config.recursion_limit != null)?.recursion_limit;
  const name = configs.map((config) => config.run_name).findLast((given) => typeof given === "string");
  const context = withoutForeignKeys(ordered.map((layer) => layer.context));
  return {
    config: {
      tags: [...new Set(configs.flatMap((config) => config.tags ?? []))],
      ...(limit !== undefined && { recursion_limit: limit }),
      ...(name !== undefined && { run_name: name }),
      configurable: withoutForeignKeys(configs.map((config) => config.configurable)),
      metadata: merge(configs.map((config) => config.metadata)),
    },
    context: Object.keys(context).length > 0 ? context : undefined,
  };
}

function stored(layer: ConfigLayer | undefined): ConfigLayer {
  const configurable = layer?.config?.configurable;
  if (configurable == null) return layer ?? {};
  return { ...layer, config: { ...layer?.config, configurable: storable(configurable) } };
}

/** @param name Set for the layer whose contradictions are the caller's; what is stored was judged when it was stored. */
function mirrored(layer: ConfigLayer, name?: string): ConfigLayer {
  const configurable = withoutServerKeys(layer.config?.configurable ?? {});
  const shared = withoutPlace(configurable);
  const context = withoutReserved(layer.context ?? {});
  // Who asks may be said beside a context: it contradicts nothing.
  const { user_id: _, ...meant } = shared;
  const both = Object.keys(meant).length > 0 && Object.keys(context).length > 0;
  if (both && name !== undefined && !isDeepStrictEqual(shared, context) && !isDeepStrictEqual(meant, context)) {
    throw new RuntimeError(
      "bad_request",
      `The ${name} gives both config.configurable and context, with different contents; use one of them`,
    );
  }
  if (both) return { config: { ...layer.config, configurable }, context };
  return {
    config: { ...layer.config, configurable: { ...context, ...configurable } },
    context: { ...shared, ...context },
  };
}

/** Later ones win. `__proto__` would change more than the object. */
function merge(objects: readonly (JsonObject | null | undefined)[]): JsonObject {
  const merged: JsonObject = {};
  for (const object of objects) {
    for (const [key, value] of Object.entries(object ?? {})) {
      if (key !== "__proto__") merged[key] = value;
    }
  }
  return merged;
}

/**
 * Merged. A key for `base_url` stays with the endpoint it was given for: a run that names another endpoint does not
 * sent the assistant's.
 */
function withoutForeignKeys(layers: readonly (JsonObject | null | undefined)[]): JsonObject {
  const merged = merge(layers);
  if (merged.base_url === undefined) return merged;
  if (isForeign(layers, "custom_api_key", merged.base_url)) delete merged.custom_api_key;
  const { apiKeys } = merged;
  if (typeof apiKeys === "object" && apiKeys !== null && isForeign(layers, "apiKeys", merged.base_url)) {
    const { CUSTOM_API_KEY: _, ...own } = apiKeys as JsonObject;
    merged.apiKeys = own;
  }
  return merged;
}

/** Whether the layer that gave the key knew of another endpoint, or of none. */
function isForeign(layers: readonly (JsonObject | null | undefined)[], key: string, endpoint: unknown): boolean {
  const giver = layers.findLastIndex((layer) => layer?.[key] !== undefined);
  const known = layers.slice(0, giver + 1).findLast((layer) => layer?.base_url !== undefined);
  return giver >= 0 && known?.base_url !== endpoint;
}
