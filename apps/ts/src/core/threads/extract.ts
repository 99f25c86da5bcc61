import { RuntimeError } from "#core/errors";
import { isExact } from "#core/exact-numbers";
import type { JsonObject } from "#schemas/common";
import type { Thread } from "#schemas/threads";

const ROOTS = ["values", "metadata", "config", "interrupts"] as const;
const MAX_PATHS = 10;
const PATH = /^(values|metadata|config|interrupts)((?:\.[^.[\]]+|\[-?\d{1,9}\])*)$/;
const STEP = /\.([^.[\]]+)|\[(-?\d+)\]/g;

type Step = string | number;

/** A compiled `extract` of a thread search: alias to value, null where a thread has nothing at the path. */
export type Extractor = (thread: Thread) => JsonObject;

/** RuntimeError invalid when a path is malformed or there are more than 10. */
export function compileExtract(extract: Record<string, string>): Extractor {
  const entries = Object.entries(extract);
  if (entries.length > MAX_PATHS) {
    throw new RuntimeError("invalid", `extract: at most ${MAX_PATHS} paths, got ${entries.length}`);
  }
  const paths = entries.map(([alias, path]) => [alias, parse(alias, path)] as const);
  return (thread) => Object.fromEntries(paths.map(([alias, steps]) => [alias, follow(thread, steps)]));
}

function parse(alias: string, path: string): Step[] {
  const [, root, rest] = PATH.exec(path) ?? [];
  if (root === undefined || rest === undefined) {
    throw new RuntimeError(
      "invalid",
      `extract.${alias}: must be a path such as values.messages[-1], starting with one of ${ROOTS.join(", ")}`,
    );
  }
  return [root, ...Array.from(rest.matchAll(STEP), ([, name, index]) => name ?? Number(index))];
}

function follow(thread: Thread, steps: Step[]): unknown {
  let value: unknown = thread;
  for (const step of steps) {
    if (typeof value !== "object" || value === null || isExact(value)) return null;
    if (Array.isArray(value)) value = typeof step === "number" ? value.at(step) : undefined;
    else value = Object.hasOwn(value, step) ? (value as JsonObject)[step] : undefined;
  }
  return value ?? null;
}
