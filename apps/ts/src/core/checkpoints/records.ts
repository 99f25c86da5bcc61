import { DeltaSnapshot } from "@langchain/langgraph-checkpoint";

export type Dict = Record<string, unknown>;

/** What stands for undefined in JSON. */
export const UNDEFINED = Object.freeze({ lc: 2, type: "undefined" });

/**
 * What stands for a plain object that the serializer would take for one of its own records. As a list of entries it means
 * nothing to JsonPlusSerializer and langchain's load(), which therefore read it without a failure.
 */
const PLAIN_OBJECT = "fractal:object";

/** What JSON leaves out of an object. */
const LEFT_OUT = new Set(["undefined", "function", "symbol"]);

/** langchain's own mark for plain objects within the arguments of its classes. */
const LANGCHAIN_ESCAPE = "__lc_escaped__";

/** Whether the serializer, or langchain's load() within the arguments of a class, gives this plain object a meaning. */
export function isMarked(value: Dict, inArguments: boolean): boolean {
  if ((value.lc === 1 || value.lc === 2) && typeof value.type === "string" && Object.hasOwn(value, "lc")) return true;
  return inArguments && isLangchainEscape(value);
}

export function isLangchainEscape(value: Dict): boolean {
  return Object.hasOwn(value, LANGCHAIN_ESCAPE) && Object.keys(value).length === 1;
}

export function insideLangchainEscape(value: Dict): unknown {
  return value[LANGCHAIN_ESCAPE];
}

/** A constructor record of langchain: `id` is the path of the class. */
export function isEnvelope(node: Dict): node is Dict & { id: unknown[]; kwargs: unknown } {
  return node.lc === 1 && node.type === "constructor" && Array.isArray(node.id);
}

/** @param prepared The object's own values, ready to be written. */
export function plainRecord(prepared: object): Dict {
  // Functions and the like would be null in a list.
  const entries = Object.entries(prepared).filter(([, value]) => !LEFT_OUT.has(typeof value));
  return { lc: 2, type: PLAIN_OBJECT, entries };
}

export function snapshotRecord(value: unknown): Dict {
  return { lc: 2, type: "delta_snapshot", value };
}

export function constructorRecord(name: string, args: unknown[], method: string | null = null): Dict {
  return { lc: 2, type: "constructor", id: [name], method, args, kwargs: {} };
}

/** The plain object of a record whose values are read already; undefined when the record is none of ours. */
export function plainOf(record: Dict): Dict | undefined {
  const { entries } = record;
  if (record.lc !== 2 || record.type !== PLAIN_OBJECT || !Array.isArray(entries)) return undefined;
  if (!entries.every((entry) => Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string")) {
    return undefined;
  }
  return Object.fromEntries(entries);
}

/** Reads a record with `lc: 2` whose values are read already. One that nobody writes is plain data. */
export function readRecord(record: Dict): unknown {
  if (record.type === "undefined") return undefined;
  // langgraph knows a snapshot by its lg_name, so one of our copy serves every copy.
  if (record.type === "delta_snapshot" && Object.hasOwn(record, "value")) return new DeltaSnapshot(record.value);
  if (record.type === "constructor") return constructed(record) ?? record;
  return plainOf(record) ?? record;
}

function constructed({ id, method, args }: Dict): unknown {
  if (!Array.isArray(id) || id.length !== 1 || !Array.isArray(args)) return undefined;
  const [name] = id;
  const [first, second] = args;
  if (name === "Uint8Array" && method === "from") return isBytes(first) ? new Uint8Array(first) : undefined;
  if (method != null) return undefined;
  if (name === "Set") return Array.isArray(first) ? new Set(first) : undefined;
  if (name === "Map") return isEntries(first) ? new Map(first) : undefined;
  if (name === "Error") return typeof first === "string" ? new Error(first) : undefined;
  if (name === "Uint8Array") return isBytes(first) ? new Uint8Array(first) : undefined;
  if (name !== "RegExp" || typeof first !== "string" || typeof second !== "string") return undefined;
  try {
    return new RegExp(first, second);
  } catch {
    // Not one that the serializer wrote.
    return undefined;
  }
}

function isEntries(value: unknown): value is [unknown, unknown][] {
  return Array.isArray(value) && value.every((entry) => Array.isArray(entry) && entry.length === 2);
}

function isBytes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255);
}

/** Assigning to `__proto__` would set the prototype. */
export function setOwn(target: object, key: string, value: unknown): void {
  if (key !== "__proto__") (target as Dict)[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
