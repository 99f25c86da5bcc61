import { unrolled } from "./unrolled.ts";

/**
 * LangChain messages travel as flat dicts, anywhere in a payload, and JSON must never meet their own
 * toJSON(), which gives a constructor envelope. Messages may come from another copy of langchain-core: shape only, no
 * instanceof. Instance fields are read, so what was set after construction is kept, and `content` is always sent.
 */
type Dict = Record<string, unknown>;

// biome-ignore lint/suspicious/noExplicitAny: a message of any copy of langchain-core
type Message = any;

function isMessage(value: Dict): boolean {
  return (
    typeof (value as Message).getType === "function" ||
    (typeof (value as Message)._getType === "function" && "content" in value)
  );
}

function messageToDict(message: Message): Dict {
  const kind: string = typeof message.getType === "function" ? message.getType() : message._getType();
  const dict: Dict = { type: kind, content: toWire(message.content ?? "") };
  if (message.id !== undefined) dict.id = message.id;
  if (message.name !== undefined) dict.name = message.name;
  dict.additional_kwargs = toWire(message.additional_kwargs ?? {});
  dict.response_metadata = toWire(message.response_metadata ?? {});
  if (kind === "ai") {
    dict.tool_calls = toWire(message.tool_calls ?? []);
    dict.invalid_tool_calls = toWire(message.invalid_tool_calls ?? []);
    if (message.usage_metadata !== undefined) dict.usage_metadata = message.usage_metadata;
    if (message.tool_call_chunks !== undefined) dict.tool_call_chunks = toWire(message.tool_call_chunks);
  } else if (kind === "tool") {
    dict.tool_call_id = message.tool_call_id;
    if (message.status !== undefined) dict.status = message.status;
    if (message.artifact !== undefined) dict.artifact = toWire(message.artifact);
  } else if (kind === "generic" && message.role !== undefined) {
    dict.role = message.role;
  }
  return dict;
}

function errorToDict(error: Error): Dict {
  return { error: error.name, message: error.message };
}

/**
 * Turns any value a graph may emit into one that JSON.stringify writes as clients expect: messages as dicts, errors as
 * {error, message}, maps as objects, sets as arrays, bigint as string. Returns the value itself where nothing changes.
 */
export function toWire(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? value.toString() : value;
  if (Array.isArray(value)) {
    let copy: unknown[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const item = value[i];
      const wired = toWire(item);
      if (copy === undefined && wired !== item) copy = value.slice(0, i);
      if (copy !== undefined) copy.push(wired);
    }
    return copy ?? value;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return plainToWire(value as Dict);
  if (isMessage(value as Dict)) return messageToDict(value);
  if (value instanceof Error) return errorToDict(value);
  if (value instanceof Map) return plainToWire(Object.fromEntries(value));
  if (value instanceof Set) return toWire([...value]);
  if (value instanceof Date) return value;
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  const json = (value as { toJSON?: () => unknown }).toJSON;
  // LangChain serializables other than messages (documents, prompt values): their public fields, not the envelope.
  if (typeof json === "function" && (value as Dict).lc_serializable === undefined) return toWire(json.call(value));
  return plainToWire(value as Dict);
}

function plainToWire(value: Dict): Dict {
  let copy: Dict | undefined;
  const keys = Object.keys(value);
  for (const key of keys) {
    const item = value[key];
    const wired = toWire(item);
    if (copy === undefined && wired !== item) {
      copy = {};
      for (const earlier of keys) {
        if (earlier === key) break;
        setOwn(copy, earlier, value[earlier]);
      }
    }
    if (copy !== undefined) setOwn(copy, key, wired);
  }
  return copy ?? (Object.getPrototypeOf(value) === Object.prototype ? value : { ...value });
}

/** Assigning to `__proto__` would set the prototype, and the value would be gone. */
function setOwn(target: Dict, key: string, value: unknown): void {
  if (key !== "__proto__") target[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/**
 * A message as streams show it. A streamed piece is typed AIMessageChunk and has the id that is given; a whole message is
 * `ai`. In state both are `ai`, because old copies of langchain keep the chunk there.
 */
export function pieceToWire(message: unknown, id: string | undefined): unknown {
  const dict = toWire(message) as Dict;
  if (typeof (message as Message)?.concat !== "function" || !isMessage(message as Dict) || dict.type !== "ai")
    return dict;
  dict.type = "AIMessageChunk";
  if (id !== undefined) dict.id = id;
  return dict;
}

/** JSON text of toWire(value); "null" for undefined. What refers to itself is cut where it would begin again. */
export function encodeJson(value: unknown): string {
  try {
    return JSON.stringify(toWire(value)) ?? "null";
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return JSON.stringify(toWire(unrolled(value))) ?? "null";
  }
}
