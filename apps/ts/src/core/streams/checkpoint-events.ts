import { isSecretKey, maskSecrets } from "@fractal-agents/infra/secrets";
import type { JsonObject } from "#schemas/common";

/** Keys of `configurable` that are LangGraph's own machinery or the server's word on who asks. */
const INTERNAL_KEY = /^__|^langgraph_auth/;

/** A copy of `configurable` or `context` without internal keys and, at any depth, without secrets. */
export function publicConfigurable(configurable: JsonObject): JsonObject {
  return withoutSecrets(
    Object.fromEntries(Object.entries(configurable).filter(([key]) => !INTERNAL_KEY.test(key))),
  ) as JsonObject;
}

function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const kept = Object.entries(value).filter(([key, item]) => !isSecret(key, item));
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutSecrets(item)]));
}

/** Numbers and flags below such names (`max_token`) are none. */
function isSecret(key: string, value: unknown): boolean {
  return isSecretKey(key) && typeof value !== "number" && typeof value !== "boolean";
}

/** What of a RunnableConfig is data; the rest are the callbacks, signals and stores of the run. */
const CONFIG_DATA = ["tags", "metadata", "recursion_limit"] as const;

function publicConfig(config: unknown): JsonObject | null {
  if (typeof config !== "object" || config === null) return null;
  const given = config as JsonObject & { configurable?: JsonObject };
  const data = CONFIG_DATA.filter((key) => given[key] !== undefined).map((key) => [key, maskSecrets(given[key])]);
  return { ...Object.fromEntries(data), configurable: publicConfigurable(given.configurable ?? {}) };
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

/** The id under which the checkpoint is stored that langgraph calls `id`; `ns` is langgraph's namespace. */
export type StoredId = (id: string, ns: string) => string;

/** What langgraph tells of a checkpoint, with the ids that are stored: clients fork from what they see. */
export function withStoredIds(mode: string, payload: unknown, storedId: StoredId): unknown {
  if (mode === "debug") {
    const event = payload as JsonObject;
    if (event.type !== "checkpoint") return event;
    return { ...event, payload: withStoredIds("checkpoints", event.payload, storedId) };
  }
  if (mode !== "checkpoints") return payload;
  const { config, parentConfig, metadata } = payload as { [key: string]: unknown; metadata?: JsonObject };
  const parents = metadata?.parents;
  return {
    ...(payload as JsonObject),
    // The parent first: an id that is met here for the first time must stand above it.
    parentConfig: storedConfig(parentConfig, storedId),
    config: storedConfig(config, storedId),
    ...(parents != null && { metadata: { ...metadata, parents: storedMap(parents, storedId) } }),
  };
}

function storedConfig(config: unknown, storedId: StoredId): unknown {
  const configurable = (config as { configurable?: JsonObject } | undefined)?.configurable;
  if (configurable === undefined) return config;
  const { checkpoint_id: id, checkpoint_map: map, checkpoint_ns: ns } = configurable;
  return {
    ...(config as object),
    configurable: {
      ...configurable,
      ...(typeof id === "string" && { checkpoint_id: storedId(id, typeof ns === "string" ? ns : "") }),
      ...(map != null && { checkpoint_map: storedMap(map, storedId) }),
    },
  };
}

function storedMap(map: unknown, storedId: StoredId): JsonObject {
  const entries = Object.entries(map as Record<string, unknown>);
  return Object.fromEntries(entries.map(([ns, id]) => [ns, typeof id === "string" ? storedId(id, ns) : id]));
}

/** Payload of a `checkpoints` event: langgraph's camelCase, plus the wire's objects. */
export function checkpointToWire(payload: JsonObject): JsonObject {
  const { config, parentConfig, tasks, ...rest } = payload;
  return {
    ...withPublicMetadata(rest),
    ...(Array.isArray(tasks) && { tasks: tasks.map(checkpointTask) }),
    config: publicConfig(config),
    parent_config: publicConfig(parentConfig),
    checkpoint: checkpointOf(config),
    parent_checkpoint: checkpointOf(parentConfig),
  };
}

/** A `debug` event. Of a subgraph's task it names the checkpoint only, as the official server does. */
export function debugToWire(event: JsonObject): JsonObject {
  const payload = event.payload as JsonObject;
  if (event.type !== "checkpoint") return { ...event, payload: taskToWire(payload) };
  const shown = checkpointToWire(payload);
  const tasks = (shown.tasks as JsonObject[] | undefined)?.map(({ state: _, ...task }) => task);
  return { ...event, payload: { ...shown, ...(tasks !== undefined && { tasks }) } };
}

/** Payload of a `tasks` event, which has the metadata that a client gave its run. */
export function taskToWire(payload: JsonObject): JsonObject {
  const { error } = payload;
  return { ...withPublicMetadata(payload), ...(error != null && { error: taskError(error) }) };
}

/** A task of a checkpoint; of a subgraph's task also where to find its state. */
function checkpointTask(task: JsonObject): JsonObject {
  const { error, state } = task;
  const place = (state as { configurable?: JsonObject } | undefined)?.configurable;
  return {
    ...task,
    ...(error != null && { error: taskError(error) }),
    ...(place !== undefined && {
      checkpoint: { thread_id: place.thread_id, checkpoint_ns: place.checkpoint_ns },
    }),
  };
}

/** langgraph keeps what a task threw as {name, message}; clients get the shape of an `error` event. */
function taskError(error: unknown): unknown {
  if (typeof error !== "object") return error;
  const { name, message } = error as { name?: unknown; message?: unknown };
  return { error: name ?? "Error", message: message ?? "" };
}

function withPublicMetadata(payload: JsonObject): JsonObject {
  return payload.metadata === undefined ? payload : { ...payload, metadata: maskSecrets(payload.metadata) };
}
