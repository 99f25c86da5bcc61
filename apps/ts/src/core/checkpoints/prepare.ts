import { argumentsInEnvelope, kwargsOf, shapeOf } from "./messages.ts";
import { constructorRecord, type Dict, isMarked, plainRecord, setOwn, snapshotRecord, UNDEFINED } from "./records.ts";

/** Values this deep are looked at for cycles, which costs. */
const CYCLE_DEPTH = 200;
/** Deeper values are refused: databases and readers walk JSON recursively, and have limits of their own. */
export const MAX_DEPTH = 500;

/** JSON cannot hold the value. */
export class Unstorable extends Error {}

class MayBeCyclic extends Error {}

interface Walk {
  /** Within the arguments of a langchain class, which drops what is undefined. */
  inArguments: boolean;
  /** The objects around the value, where cycles are looked for. */
  ancestors: Set<object> | undefined;
}

/**
 * A form of the value that JSON.stringify writes and revive() reads back: messages and other instances as the records of
 * JsonPlusSerializer, plain objects that look like such a record escaped. Copies only where something changes. A value
 * that begins again inside itself is cut there, as the serializer does it. Throws Unstorable.
 */
export function prepare(value: unknown): unknown {
  try {
    return prepareAny(value, { inArguments: false, ancestors: undefined }, 0);
  } catch (error) {
    if (!(error instanceof MayBeCyclic)) throw error;
    return prepareAny(value, { inArguments: false, ancestors: new Set() }, 0);
  }
}

function prepareAny(value: unknown, walk: Walk, depth: number): unknown {
  switch (typeof value) {
    case "object":
      return value === null ? null : prepareObject(value, walk, depth);
    case "undefined":
      return walk.inArguments ? undefined : UNDEFINED;
    case "bigint":
      throw new Unstorable("it holds a BigInt, which JSON cannot express");
    default:
      // JSON.stringify leaves out functions and symbols.
      return value;
  }
}

function prepareObject(value: object, walk: Walk, depth: number): unknown {
  const { ancestors } = walk;
  if (ancestors === undefined) {
    if (depth > CYCLE_DEPTH) throw new MayBeCyclic();
    return prepareKind(value, walk, depth);
  }
  if (ancestors.has(value)) return "[Circular]";
  if (depth > MAX_DEPTH) throw new Unstorable(`it is nested deeper than ${MAX_DEPTH} levels`);
  ancestors.add(value);
  const prepared = prepareKind(value, walk, depth);
  ancestors.delete(value);
  return prepared;
}

function prepareKind(value: object, walk: Walk, depth: number): unknown {
  if (Array.isArray(value)) return prepareArray(value, walk, depth);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return prepareInstance(value, walk, depth);
  return preparePlain(value as Dict, walk, depth);
}

function preparePlain(value: Dict, walk: Walk, depth: number): Dict {
  const prepared = prepareDict(value, walk, depth);
  return isMarked(value, walk.inArguments) ? plainRecord(prepared) : prepared;
}

function prepareArray(value: unknown[], walk: Walk, depth: number): unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < value.length; i++) {
    const item = value[i];
    const prepared = prepareAny(item, walk, depth + 1);
    if (copy === undefined && prepared !== item) copy = value.slice(0, i);
    copy?.push(prepared);
  }
  return copy ?? value;
}

function prepareDict(value: Dict, walk: Walk, depth: number): Dict {
  let copy: Dict | undefined;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const prepared = prepareAny(item, walk, depth + 1);
    if (prepared === item) continue;
    copy ??= { ...value };
    setOwn(copy, key, prepared);
  }
  return copy ?? value;
}

function prepareInstance(value: object, walk: Walk, depth: number): unknown {
  const shape = shapeOf(value);
  if (shape !== undefined) return prepareEnvelope({ id: shape.id, kwargs: kwargsOf(value, shape) }, walk, depth);
  if (value instanceof Date) return value.toJSON();
  const special = prepareSpecial(value, walk, depth);
  if (special !== undefined) return special;
  const { toJSON, lc_serializable } = value as { toJSON?: () => unknown; lc_serializable?: unknown };
  if (typeof toJSON !== "function") return preparePlain(value as Dict, walk, depth);
  const json = toJSON.call(value);
  const given = lc_serializable === undefined ? undefined : argumentsInEnvelope(json);
  return given === undefined ? prepareAny(json, walk, depth) : prepareEnvelope(given, walk, depth);
}

function prepareEnvelope(envelope: { id: readonly unknown[]; kwargs: Dict }, walk: Walk, depth: number): Dict {
  const outside = walk.inArguments;
  walk.inArguments = true;
  const kwargs = prepareDict(envelope.kwargs, walk, depth + 1);
  walk.inArguments = outside;
  return { lc: 1, type: "constructor", id: envelope.id, kwargs };
}

/** Instances that have a record of their own; undefined for others. */
function prepareSpecial(value: object, walk: Walk, depth: number): unknown {
  const kind = (value as { lg_name?: unknown }).lg_name;
  if (kind === "Send") {
    const { node, args, timeout } = value as { node: string; args: unknown; timeout?: unknown };
    const packet: Dict = { node, args: prepareAny(args, walk, depth + 1) };
    if (timeout !== undefined) packet.timeout = prepareAny(timeout, walk, depth + 1);
    return packet;
  }
  if (kind === "DeltaSnapshot") {
    return snapshotRecord(prepareAny((value as { value: unknown }).value, walk, depth + 1));
  }
  if (value instanceof Set) return constructorRecord("Set", [prepareArray([...value], walk, depth + 1)]);
  if (value instanceof Map) return constructorRecord("Map", [prepareArray([...value], walk, depth + 1)]);
  if (value instanceof RegExp) return constructorRecord("RegExp", [value.source, value.flags]);
  if (value instanceof Error) return constructorRecord("Error", [value.message]);
  // Buffers have their own toJSON().
  if (Object.getPrototypeOf(value) === Uint8Array.prototype) {
    return constructorRecord("Uint8Array", [Array.from(value as Uint8Array)], "from");
  }
  return undefined;
}
