import { DeltaSnapshot } from "@langchain/langgraph-checkpoint";
import type { Encoded } from "#core/checkpoints/repository";
import { argumentsOf, kwargsOf, learnClasses, type MessageClasses, shapeOf } from "./messages.ts";

/** The serializer of the graph's own copy of langgraph. */
export interface Serde {
  dumpsTyped(value: unknown): Promise<[string, Uint8Array]>;
  loadsTyped(type: string, data: Uint8Array | string): Promise<unknown>;
}

type Dict = Record<string, unknown>;

/** Deeper values go through the serializer, which looks for cycles. */
const MAX_DEPTH = 200;
const UNDEFINED = Object.freeze({ lc: 2, type: "undefined" });
/** What JsonPlusSerializer writes, without an error, in place of a value that JSON cannot hold. */
const UNSERIALIZABLE = '"[unable to serialize, circular reference is too complex to analyze]"';

interface Walk {
  /** Set when a value needs the serializer; the walk goes on and its result is thrown away. */
  unfit: boolean;
  /** Inside the arguments of a message, where langchain has its own rules. */
  inMessage: boolean;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

/**
 * A JSON-safe form of the value, in the records of JsonPlusSerializer, so that its loadsTyped reads what we write. Copies
 * only where something changes.
 */
function prepare(value: unknown, walk: Walk, depth: number): unknown {
  switch (typeof value) {
    case "object":
      break;
    case "undefined":
      return walk.inMessage ? undefined : UNDEFINED;
    case "string":
    case "number":
    case "boolean":
      return value;
    default:
      walk.unfit = true;
      return null;
  }
  if (value === null) return null;
  if (depth > MAX_DEPTH) walk.unfit = true;
  if (walk.unfit) return null;
  if (Array.isArray(value)) return prepareArray(value, walk, depth);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return prepareDict(value as Dict, walk, depth);
  if (walk.inMessage) {
    if (prototype !== Date.prototype) walk.unfit = true;
    return value;
  }
  return prepareInstance(value, walk, depth);
}

function prepareArray(value: unknown[], walk: Walk, depth: number): unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < value.length; i++) {
    const item = value[i];
    const prepared = prepare(item, walk, depth + 1);
    if (copy === undefined && prepared !== item) copy = value.slice(0, i);
    copy?.push(prepared);
  }
  return copy ?? value;
}

function prepareDict(value: Dict, walk: Walk, depth: number): Dict {
  // Inside a message langchain escapes such objects on the way out and in: its business.
  if (walk.inMessage && Object.hasOwn(value, "lc")) walk.unfit = true;
  let copy: Dict | undefined;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const prepared = prepare(item, walk, depth + 1);
    if (prepared === item) continue;
    if (key === "__proto__") walk.unfit = true;
    copy ??= Object.hasOwn(value, "__proto__") ? Object.assign(Object.create(null), value) : { ...value };
    (copy as Dict)[key] = prepared;
  }
  return copy ?? value;
}

function prepareInstance(value: object, walk: Walk, depth: number): unknown {
  const shape = shapeOf(value);
  if (shape !== undefined) {
    walk.inMessage = true;
    const kwargs = prepareDict(kwargsOf(value, shape), walk, depth + 1);
    walk.inMessage = false;
    return { lc: 1, type: "constructor", id: shape.id, kwargs };
  }
  const kind = (value as { lg_name?: unknown }).lg_name;
  if (kind === "Send") {
    const send = value as { node: string; args: unknown; timeout?: unknown };
    const packet: Dict = { node: send.node, args: prepare(send.args, walk, depth + 1) };
    if (send.timeout !== undefined) packet.timeout = prepare(send.timeout, walk, depth + 1);
    return packet;
  }
  if (kind === "DeltaSnapshot") {
    const inner = prepare((value as { value: unknown }).value, walk, depth + 1);
    return { lc: 2, type: "delta_snapshot", value: inner };
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Date.prototype) return (value as Date).toJSON();
  if (prototype === Set.prototype || prototype === Map.prototype) {
    const name = prototype === Set.prototype ? "Set" : "Map";
    const items = prepareArray([...(value as Iterable<unknown>)], walk, depth + 1);
    return { lc: 2, type: "constructor", id: [name], method: null, args: [items], kwargs: {} };
  }
  walk.unfit = true;
  return null;
}

async function encodeSlowly(serde: Serde, value: unknown, channel: string): Promise<Encoded> {
  const [type, bytes] = await serde.dumpsTyped(value);
  if (type === "json" && bytes.length === UNSERIALIZABLE.length && text.decode(bytes) === UNSERIALIZABLE) {
    throw unstorable(channel, "it holds a BigInt or a cycle that JSON cannot express");
  }
  // What JSON leaves out, left out alone, is no JSON text: nothing could read the checkpoint again.
  if (type === "json" && bytes.length === 0) throw unstorable(channel, "it is a function, a symbol or the like");
  return { type, bytes };
}

function unstorable(channel: string, why: string): TypeError {
  return new TypeError(`The value of channel "${channel}" cannot be stored: ${why}`);
}

/** Values as the graph's serializer reads and writes them, without its cost for what graphs usually hold. */
export class Codec {
  readonly #serde: Serde;
  #classes: MessageClasses | undefined;
  #learning: Promise<MessageClasses> | undefined;

  constructor(serde: Serde) {
    this.#serde = serde;
  }

  /**
   * The value is read before this returns, so it may change afterwards; only unusual values give a promise. Rejects with a
   * TypeError, which names the channel, what JSON cannot hold (BigInt, a function) and the serializer would replace by a
   * text or by nothing without a word.
   */
  encode(value: unknown, channel: string): Encoded | Promise<Encoded> {
    if (value instanceof Uint8Array) return { type: "bytes", bytes: new Uint8Array(value) };
    const walk: Walk = { unfit: false, inMessage: false };
    const prepared = prepare(value, walk, 0);
    if (walk.unfit) return encodeSlowly(this.#serde, value, channel);
    return { type: "json", bytes: utf8.encode(JSON.stringify(prepared)) };
  }

  /** A fresh value each time. */
  decode(encoded: Encoded): unknown | Promise<unknown> {
    if (encoded.type !== "json") {
      // A copy: the bytes may be kept for other readers.
      const bytes = encoded.type === "bytes" ? new Uint8Array(encoded.bytes) : encoded.bytes;
      return this.#serde.loadsTyped(encoded.type, bytes);
    }
    const json = text.decode(encoded.bytes);
    if (!json.includes('"lc":')) return JSON.parse(json);
    const classes = this.#classes;
    if (classes !== undefined) return this.#revive(json, classes);
    return this.#learn().then((learned) => this.#revive(json, learned));
  }

  #learn(): Promise<MessageClasses> {
    this.#learning ??= learnClasses(this.#serde).then((classes) => {
      this.#classes = classes;
      return classes;
    });
    return this.#learning;
  }

  #revive(json: string, classes: MessageClasses): unknown | Promise<unknown> {
    const walk: Walk = { unfit: false, inMessage: false };
    const value = revive(JSON.parse(json), classes, walk);
    return walk.unfit ? this.#serde.loadsTyped("json", json) : value;
  }
}

/** Revives a parsed tree in place. */
function revive(value: unknown, classes: MessageClasses, walk: Walk): unknown {
  if (typeof value !== "object" || value === null || walk.unfit) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i], classes, walk);
    return value;
  }
  const node = value as Dict;
  for (const key of Object.keys(node)) {
    const child = node[key];
    if (typeof child !== "object" || child === null) continue;
    // Assigning to this key would set the prototype.
    if (key === "__proto__" || key === "__lc_escaped__") walk.unfit = true;
    else node[key] = revive(child, classes, walk);
  }
  if (node.lc === undefined || walk.unfit) return node;
  if (node.lc === 2) return reviveRecord(node, walk);
  if (node.lc === 1 && node.type === "constructor") return reviveMessage(node, classes, walk);
  return node;
}

function reviveRecord(node: Dict, walk: Walk): unknown {
  if (node.type === "undefined") return undefined;
  // langgraph knows a snapshot by its lg_name, so one of our copy serves every copy.
  if (node.type === "delta_snapshot" && Object.hasOwn(node, "value")) return new DeltaSnapshot(node.value);
  walk.unfit = true;
  return node;
}

function reviveMessage(node: Dict, classes: MessageClasses, walk: Walk): unknown {
  const id = node.id as unknown[];
  const known =
    Array.isArray(id) && id.length === 3 && id[0] === "langchain_core" && id[1] === "messages"
      ? classes.get(id[2] as string)
      : undefined;
  const kwargs = node.kwargs;
  const fields =
    known !== undefined && typeof kwargs === "object" && kwargs !== null
      ? argumentsOf(kwargs as Dict, known)
      : undefined;
  if (known === undefined || fields === undefined) {
    walk.unfit = true;
    return node;
  }
  return new known.make(fields);
}

const codecs = new WeakMap<Serde, Codec>();

/** One codec per serializer, so that its message classes are learned once. */
export function codecOf(serde: Serde): Codec {
  let codec = codecs.get(serde);
  if (codec === undefined) {
    codec = new Codec(serde);
    codecs.set(serde, codec);
  }
  return codec;
}
