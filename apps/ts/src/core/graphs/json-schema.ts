import type { JsonObject } from "#schemas/common";
import type { GraphLike, GraphSchemas } from "./registry.ts";
import type { SchemaReader } from "./toolkit.ts";

/** The part of a graph's builder that names its channels; absent on graphs of the functional API. */
interface Definitions {
  _schemaDefinition?: Record<string, unknown>;
  _inputDefinition?: Record<string, unknown>;
  _outputDefinition?: Record<string, unknown>;
}

const MESSAGE: JsonObject = {
  type: "object",
  properties: {
    type: {
      type: "string",
      description: "human, ai, system, tool; `role` (user, assistant, ...) is accepted in its place",
    },
    role: { type: "string" },
    content: { anyOf: [{ type: "string" }, { type: "array", items: { type: "object" } }] },
    id: { type: "string" },
    name: { type: "string" },
    tool_calls: { type: "array", items: { type: "object" } },
    tool_call_id: { type: "string" },
  },
  required: ["content"],
};

const MESSAGES: JsonObject = {
  langgraph_type: "messages",
  description: "A list of chat messages",
  type: "array",
  items: MESSAGE,
};

/**
 * The JSON Schemas that a graph itself can tell. zod states and StateSchema have their types at run time; for an
 * Annotation, whose types are gone by then, the names of the channels and what their defaults show.
 * @param onFailure Told when langgraph cannot describe a type it knows (z.custom, zod 3 mixed with 4).
 */
export function graphSchemas(
  graph: GraphLike,
  reader: SchemaReader | undefined,
  onFailure: (error: unknown) => void,
): Omit<GraphSchemas, "graph_id"> {
  const read = (name: keyof SchemaReader): JsonObject | null => {
    try {
      const schema = reader?.[name]?.(graph);
      return schema === undefined || schema === null ? null : publishable(schema as JsonObject);
    } catch (error) {
      onFailure(error);
      return null;
    }
  };
  const context = inputForm(read("getConfigTypeSchema"));
  const { _schemaDefinition: state, _inputDefinition: input, _outputDefinition: output } = definitionsOf(graph);
  return {
    input_schema: inputForm(read("getInputTypeSchema")) ?? structural(input ?? state, { defaults: false }),
    output_schema: read("getOutputTypeSchema") ?? structural(output ?? state, { defaults: true }),
    state_schema: read("getStateTypeSchema") ?? structural(state, { defaults: true }),
    config_schema: context,
    context_schema: context,
  };
}

function definitionsOf(graph: GraphLike): Definitions {
  return (graph as GraphLike & { builder?: Definitions }).builder ?? {};
}

/**
 * @param options.defaults Whether a channel's default shows its type. Not for input: what a reducer takes is often
 * another type than what it keeps (one item for a list).
 */
function structural(channels: Record<string, unknown> | undefined, options: { defaults: boolean }): JsonObject | null {
  if (channels === undefined || "__root__" in channels) return null;
  const properties: JsonObject = {};
  for (const [name, made] of Object.entries(channels)) properties[name] = channelSchema(made, options);
  return { type: "object", properties };
}

/** A channel's name proves nothing: `messages` may be a list of plain texts. */
function channelSchema(definition: unknown, options: { defaults: boolean }): JsonObject {
  const channel = definition as { operator?: unknown; initialValueFactory?: () => unknown } | null;
  if (makesMessages(channel?.operator)) return MESSAGES;
  const initial = typeof channel?.initialValueFactory === "function" ? channel.initialValueFactory() : undefined;
  if (Array.isArray(initial) && initial.length > 0 && initial.every(isMessage)) return MESSAGES;
  const type = options.defaults ? jsonType(initial) : undefined;
  return type === undefined ? {} : { type };
}

/** langgraph's own reducer, or one that ends in it: it makes a message of what describes one. */
function makesMessages(reducer: unknown): boolean {
  if (typeof reducer !== "function") return false;
  if (reducer.name === "messagesStateReducer" || reducer.name === "addMessages") return true;
  try {
    const made: unknown = reducer([], [{ role: "user", content: "" }]);
    return Array.isArray(made) && made.length === 1 && isMessage(made[0]);
  } catch {
    // A reducer of other values need not bear a message.
    return false;
  }
}

function isMessage(value: unknown): boolean {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "getType") === "function";
}

function jsonType(value: unknown): string | undefined {
  if (Array.isArray(value)) return "array";
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") return typeof value;
  return typeof value === "object" && value !== null ? "object" : undefined;
}

/** What has a default may be left out of what is sent; zod tells it as a part of what comes out. */
function inputForm<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(inputForm) as T;
  if (typeof schema !== "object" || schema === null) return schema;
  const copy: JsonObject = Object.fromEntries(Object.entries(schema).map(([key, item]) => [key, inputForm(item)]));
  const { properties, required } = copy as { properties?: Record<string, object>; required?: unknown };
  if (!Array.isArray(required) || properties === undefined) return copy as T;
  const needed = required.filter((name) => !("default" in (properties[name] ?? {})));
  if (needed.length > 0) copy.required = needed;
  else delete copy.required;
  return copy as T;
}

/** One document: `$schema` belongs at its top only. Bare "messages" markers get the type they stand for. */
function publishable(schema: JsonObject): JsonObject {
  const plain = JSON.parse(JSON.stringify(schema)) as JsonObject;
  const { $schema, ...rest } = plain;
  const body = clean(rest) as JsonObject;
  return $schema === undefined ? body : { $schema, ...body };
}

function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== "object" || value === null) return value;
  const { $schema: _, ...rest } = value as JsonObject;
  // A property that is itself called "$schema" has a schema for a value, not the text of a dialect.
  const kept = typeof _ === "object" ? { $schema: _, ...rest } : rest;
  const cleaned = Object.fromEntries(Object.entries(kept).map(([key, item]) => [key, clean(item)]));
  return cleaned.langgraph_type === "messages" && cleaned.type === undefined ? { ...MESSAGES, ...cleaned } : cleaned;
}
