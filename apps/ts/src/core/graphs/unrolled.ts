/** Deeper values are cut: a parser at the other end would not take them either. */
const MAX_DEPTH = 1000;

/**
 * A copy without cycles: where a value would begin again inside itself stands "[Circular]", as langgraph's own serializer
 * writes it. Slow, so only for values that could not be written otherwise. Only plain objects, arrays, maps and sets are
 * looked into.
 */
export function unrolled(value: unknown, ancestors = new Set<object>()): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (ancestors.has(value)) return "[Circular]";
  if (ancestors.size >= MAX_DEPTH) return "[Too deep]";
  ancestors.add(value);
  const copy = (item: unknown) => unrolled(item, ancestors);
  try {
    if (Array.isArray(value)) return value.map(copy);
    if (value instanceof Set) return [...value].map(copy);
    if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, copy(item)]));
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item)]));
  } finally {
    ancestors.delete(value);
  }
}
