import { storable, withoutReserved } from "#core/graphs/server-keys";
import type { JsonObject, RunConfig } from "#schemas/common";

interface Configuration {
  config: RunConfig;
  context: JsonObject;
}

interface Given {
  config?: RunConfig | undefined;
  context?: JsonObject | undefined;
}

/**
 * `config.configurable` and `context` are one thing under two names: what is given under one of them stands under both.
 * Without keys that only the server sets.
 * @param stored What stands where neither is given.
 */
export function mirrored(given: Given, stored: Configuration = { config: {}, context: {} }): Configuration {
  const config = given.config ?? stored.config;
  const { configurable, context } = namesOf(given) ?? namesOf(stored) ?? { configurable: {}, context: {} };
  const isNamed = config.configurable != null || !isEmpty(configurable);
  return { config: { ...config, ...(isNamed && { configurable }) }, context };
}

function namesOf({ config, context }: Given): { configurable: JsonObject; context: JsonObject } | undefined {
  if (config?.configurable == null && context === undefined) return undefined;
  const configurable = storable(config?.configurable ?? {});
  const plain = withoutReserved(context ?? {});
  if (isEmpty(plain)) return { configurable, context: configurable };
  return { configurable: isEmpty(configurable) ? storable(plain) : configurable, context: plain };
}

function isEmpty(object: JsonObject): boolean {
  return Object.keys(object).length === 0;
}
