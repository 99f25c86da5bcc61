import type { JsonObject } from "#schemas/common";

/** Keys of `configurable` that are LangGraph's own machinery or the caller's secrets, never the client's business. */
const PRIVATE_KEY = /^__|^langgraph_auth|(?:^|[_-])(?:api[_-]?keys?|secret|password|authorization|access[_-]token)$/i;

/** A copy of `configurable` without private keys. */
export function publicConfigurable(configurable: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(configurable).filter(([key]) => !PRIVATE_KEY.test(key)));
}

function publicConfig(config: unknown): JsonObject | null {
  if (typeof config !== "object" || config === null) return null;
  const { configurable } = config as { configurable?: JsonObject };
  return { ...config, ...(configurable && { configurable: publicConfigurable(configurable) }) };
}

/** {thread_id, checkpoint_ns, checkpoint_id, checkpoint_map} of a RunnableConfig; null without a checkpoint. */
export function checkpointOf(config: unknown): JsonObject | null {
  const configurable = (config as { configurable?: JsonObject } | undefined)?.configurable;
  if (configurable?.checkpoint_id === undefined) return null;
  return {
    thread_id: configurable.thread_id,
    checkpoint_ns: configurable.checkpoint_ns ?? "",
    checkpoint_id: configurable.checkpoint_id,
    checkpoint_map: configurable.checkpoint_map ?? null,
  };
}

/** Payload of a `checkpoints` event: langgraph's camelCase, plus the wire's objects (contract §8). */
export function checkpointToWire(payload: JsonObject): JsonObject {
  const { config, parentConfig, ...rest } = payload;
  return {
    ...rest,
    config: publicConfig(config),
    parent_config: publicConfig(parentConfig),
    checkpoint: checkpointOf(config),
    parent_checkpoint: checkpointOf(parentConfig),
  };
}

/** A `debug` event; only its checkpoint payloads carry configs. */
export function debugToWire(event: JsonObject): JsonObject {
  if (event.type !== "checkpoint") return event;
  return { ...event, payload: checkpointToWire(event.payload as JsonObject) };
}
