import { argumentsOf, type MessageClass, type MessageClasses } from "./messages.ts";
import {
  type Dict,
  insideLangchainEscape,
  isEnvelope,
  isLangchainEscape,
  plainOf,
  readRecord,
  setOwn,
} from "./records.ts";

/** Reads the envelope of a class that we do not know; rejects when the graph's copy of langchain does not know it either. */
export type LoadForeign = (envelope: Dict) => Promise<unknown>;

interface Walk {
  classes: MessageClasses;
  /** "seen": the tree holds an envelope of an unknown class, and the walk's result is thrown away. */
  foreign: "none" | "seen" | "loaded";
}

interface Foreign {
  envelope: Dict;
  /** Puts another value in its place. */
  replace(value: unknown): void;
}

/**
 * Reads what prepare() and JsonPlusSerializer write. What cannot be read as what it claims to be is plain data: older
 * releases stored what clients sent without escaping it.
 */
export function revive(json: string, classes: MessageClasses, load: LoadForeign): unknown | Promise<unknown> {
  const walk: Walk = { classes, foreign: "none" };
  const value = reviveAny(JSON.parse(json), walk, false);
  return walk.foreign === "none" ? value : reviveForeign(json, classes, load);
}

/** What needs the serializer comes first: messages are made with all that they hold. */
async function reviveForeign(json: string, classes: MessageClasses, load: LoadForeign): Promise<unknown> {
  const holder: { root: unknown } = { root: JSON.parse(json) };
  await loadAll(holder, classes, load);
  return reviveAny(holder.root, { classes, foreign: "loaded" }, false);
}

/** The outermost ones: load() reads what is inside them. */
function findForeign(holder: object, classes: MessageClasses, found: Foreign[] = []): Foreign[] {
  for (const [key, child] of Object.entries(holder)) {
    if (typeof child !== "object" || child === null) continue;
    if (isEnvelope(child) && knownClass(child, classes) === undefined) {
      found.push({ envelope: child, replace: (value) => setOwn(holder, key, value) });
    } else findForeign(child, classes, found);
  }
  return found;
}

async function loadAll(holder: object, classes: MessageClasses, load: LoadForeign): Promise<void> {
  for (const { envelope, replace } of findForeign(holder, classes)) {
    try {
      const loaded = await load(envelope);
      restoreInside(loaded, new Set());
      replace(loaded);
    } catch {
      // Whatever it is, it is no object of a class that can be had: shown as it is stored.
      await loadAll(envelope, classes, load);
    }
  }
}

/** langchain's load() has left our escaped objects in the arguments of an instance as they are. */
function restoreInside(value: unknown, seen: Set<object>): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  for (const [key, child] of Object.entries(value)) {
    restoreInside(child, seen);
    const plain = typeof child === "object" && child !== null ? plainOf(child as Dict) : undefined;
    if (plain !== undefined) setOwn(value, key, plain);
  }
}

function reviveAny(value: unknown, walk: Walk, inArguments: boolean): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = reviveAny(value[i], walk, inArguments);
    return value;
  }
  if (walk.foreign === "loaded" && Object.getPrototypeOf(value) !== Object.prototype) return value;
  return reviveDict(value as Dict, walk, inArguments);
}

function reviveDict(node: Dict, walk: Walk, inArguments: boolean): unknown {
  if (inArguments && isLangchainEscape(node)) return insideLangchainEscape(node);
  const envelope = isEnvelope(node);
  const known = envelope ? knownClass(node, walk.classes) : undefined;
  if (envelope && known === undefined && walk.foreign === "none") walk.foreign = "seen";
  if (walk.foreign === "seen") return node;
  for (const key of Object.keys(node)) {
    const child = node[key];
    if (typeof child !== "object" || child === null) continue;
    setOwn(node, key, reviveAny(child, walk, inArguments || known !== undefined));
  }
  if (known !== undefined) return messageOf(node, known);
  return node.lc === 2 ? readRecord(node) : node;
}

function knownClass({ id, kwargs }: { id: unknown[]; kwargs: unknown }, classes: MessageClasses) {
  if (id.length !== 3 || id[0] !== "langchain_core" || id[1] !== "messages") return undefined;
  return typeof kwargs === "object" && kwargs !== null ? classes.get(id[2] as string) : undefined;
}

function messageOf(node: Dict, known: MessageClass): unknown {
  try {
    return new known.make(argumentsOf(node.kwargs as Dict, known));
  } catch {
    // A client's object, stored by an older release: the class does not take such arguments.
    return node;
  }
}
