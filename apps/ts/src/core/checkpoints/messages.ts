/**
 * How LangChain messages are written and read in checkpoints: the constructor envelope that JsonPlusSerializer uses
 * ({lc: 1, type: "constructor", id, kwargs}), made and read without its detours. Messages may come from any copy of
 * langchain-core, so they are known by shape, and their classes are learned from the graph's own serializer.
 */

import { type Dict, insideLangchainEscape, isEnvelope, isLangchainEscape, setOwn } from "./records.ts";

// biome-ignore lint/suspicious/noExplicitAny: a message of any copy of langchain-core
export type AnyMessage = any;

/** The classes we read and write ourselves; everything else goes through the serializer. */
const KNOWN = new Set([
  "HumanMessage",
  "AIMessage",
  "SystemMessage",
  "ToolMessage",
  "RemoveMessage",
  "ChatMessage",
  "FunctionMessage",
  "HumanMessageChunk",
  "AIMessageChunk",
  "SystemMessageChunk",
  "ToolMessageChunk",
]);

/** Fields that may be set after construction, and that langchain's own toJSON() would then lose. */
const LATE = [
  "id",
  "name",
  "tool_calls",
  "invalid_tool_calls",
  "usage_metadata",
  "tool_call_id",
  "status",
  "artifact",
] as const;

export interface MessageShape {
  readonly id: readonly string[];
  /** Constructor argument to its name in the envelope. */
  readonly names: Map<string, string>;
}

const shapes = new WeakMap<object, MessageShape | null>();

function aliasesOf(prototype: object | null, receiver: unknown): Record<string, string> {
  const aliases: Record<string, string> = {};
  for (let current = prototype; current !== null; current = Object.getPrototypeOf(current)) {
    Object.assign(aliases, Reflect.get(current, "lc_aliases", receiver));
  }
  return aliases;
}

function learnShape(message: AnyMessage): MessageShape | null {
  const id: unknown = message.lc_id;
  if (!Array.isArray(id) || id.length !== 3 || id[1] !== "messages" || !KNOWN.has(id[2])) return null;
  if (message.lc_secrets !== undefined || message.lc_attributes !== undefined) return null;
  return { id, names: new Map(Object.entries(aliasesOf(Object.getPrototypeOf(message), message))) };
}

/** The shape of a message that can be written directly; undefined when it is none, or of a class we do not know. */
export function shapeOf(value: AnyMessage): MessageShape | undefined {
  if (value.lc_serializable !== true || value.lc_namespace?.[0] !== "langchain_core") return undefined;
  const key = value.constructor as object;
  let shape = shapes.get(key);
  if (shape === undefined) {
    shape = learnShape(value);
    shapes.set(key, shape);
  }
  return shape ?? undefined;
}

function snakeCase(key: string): string {
  return key
    .replace(/([A-Z]+)([A-Z][a-z0-9]+)/g, "$1_$2")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[-_\s]+/g, "_")
    .toLowerCase();
}

/** The envelope's kwargs, before their values are written. */
export function kwargsOf(message: AnyMessage, shape: MessageShape): Record<string, unknown> {
  const given: Record<string, unknown> = message.lc_kwargs;
  const kwargs: Record<string, unknown> = {};
  for (const key of Object.keys(given)) {
    const value = key in message ? message[key] : given[key];
    if (value === undefined) continue;
    let name = shape.names.get(key);
    if (name === undefined) {
      name = snakeCase(key);
      shape.names.set(key, name);
    }
    setOwn(kwargs, name, value);
  }
  for (const key of LATE) {
    const value = message[key];
    if (value === undefined || key in kwargs || (Array.isArray(value) && value.length === 0)) continue;
    kwargs[key] = value;
  }
  return kwargs;
}

/** Makes messages of one class from the kwargs of an envelope. */
export interface MessageClass {
  readonly make: new (fields: Record<string, unknown>) => AnyMessage;
  /** Name in the envelope to constructor argument. */
  readonly fields: ReadonlyMap<string, string>;
}

export type MessageClasses = ReadonlyMap<string, MessageClass>;

interface Loader {
  loadsTyped(type: string, data: Uint8Array | string): Promise<unknown>;
}

/**
 * The message classes of the serializer's copy of langchain-core, found by loading one message of each. A class that the
 * copy lacks is left out; messages of it then go through the serializer, which says what is wrong.
 */
export async function learnClasses(serde: Loader): Promise<MessageClasses> {
  const classes = new Map<string, MessageClass>();
  const kwargs = { content: "", id: "x", name: "x", role: "x", tool_call_id: "x" };
  for (const name of KNOWN) {
    const sample = { lc: 1, type: "constructor", id: ["langchain_core", "messages", name], kwargs };
    const message = (await serde.loadsTyped("json", JSON.stringify(sample)).catch(() => undefined)) as AnyMessage;
    if (message === undefined || learnShape(message)?.id[2] !== name) continue;
    const make = message.constructor;
    const aliases = Object.entries(aliasesOf(make.prototype, make.prototype));
    const fields = new Map(aliases.map(([field, alias]) => [alias, field]));
    classes.set(name, { make, fields });
  }
  return classes;
}

/** Constructor arguments from revived kwargs. */
export function argumentsOf(kwargs: Record<string, unknown>, known: MessageClass): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(kwargs)) {
    if (kwargs[key] !== undefined) setOwn(fields, known.fields.get(key) ?? camelCase(key), kwargs[key]);
  }
  return fields;
}

/** As langchain renames the arguments that it knows nothing of. */
function camelCase(key: string): string {
  if (!/[-_\s]/.test(key)) return key;
  const words = key
    .trim()
    .replace(/[-_\s]+/g, "_")
    .toLowerCase();
  return words.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * The class and arguments in what toJSON() of a langchain object gives, without langchain's own escapes; undefined when it
 * gives something else.
 */
export function argumentsInEnvelope(json: unknown): { id: unknown[]; kwargs: Dict } | undefined {
  const envelope = json as Dict;
  if (!isEnvelope(envelope) || typeof envelope.kwargs !== "object" || envelope.kwargs === null) return undefined;
  const kwargs: Dict = {};
  for (const [key, value] of Object.entries(envelope.kwargs)) setOwn(kwargs, key, withoutEscapes(value));
  return { id: envelope.id, kwargs };
}

/** langchain escapes plain objects only, and all that look like an escape. */
function withoutEscapes(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutEscapes);
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  if (isLangchainEscape(value as Dict)) return insideLangchainEscape(value as Dict);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutEscapes(child)]));
}
