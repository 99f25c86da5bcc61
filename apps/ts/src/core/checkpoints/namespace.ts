/**
 * Where a graph's checkpoints stand within a thread. A checkpoint scope is "" (shared by all assistants of the thread) or
 * "assistant:<id>" (isolated); langgraph's own namespaces ("", "node:task", "node:task|inner:task") hang below
 * it. LangGraph treats ":" and "|" as its own separators, so it must never see the scope.
 */
const ISOLATED = /^assistant:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?=\||$)/i;

export function isolatedScope(assistantId: string): string {
  return `assistant:${assistantId}`;
}

/** The assistant that an isolated scope belongs to; undefined for the shared scope. */
export function assistantOfScope(scope: string): string | undefined {
  return scope.startsWith("assistant:") ? scope.slice("assistant:".length) : undefined;
}

/** langgraph's namespace to the stored one. A namespace that already carries the scope is left as it is. */
export function toStored(scope: string, namespace: string): string {
  if (scope === "" || namespace === scope || namespace.startsWith(`${scope}|`)) return namespace;
  return namespace === "" ? scope : `${scope}|${namespace}`;
}

/** The stored namespace as langgraph knows it. */
export function fromStored(scope: string, stored: string): string {
  if (scope === "") return stored;
  if (stored === scope) return "";
  return stored.startsWith(`${scope}|`) ? stored.slice(scope.length + 1) : stored;
}

/** Whether a stored namespace belongs to the scope. */
export function inScope(scope: string, stored: string): boolean {
  if (scope === "") return !ISOLATED.test(stored);
  return stored === scope || stored.startsWith(`${scope}|`);
}

/** Splits a stored namespace into scope and langgraph namespace. */
export function splitStored(stored: string): { scope: string; namespace: string } {
  const scope = ISOLATED.exec(stored)?.[0] ?? "";
  return { scope, namespace: fromStored(scope, stored) };
}

/** Strips the scope from the keys of a checkpoint map or of metadata.parents. The map itself where nothing changes. */
export function stripKeys<T>(scope: string, map: Record<string, T>): Record<string, T> {
  if (scope === "") return map;
  const keys = Object.keys(map);
  if (!keys.some((key) => key !== fromStored(scope, key))) return map;
  return Object.fromEntries(keys.map((key) => [fromStored(scope, key), map[key] as T]));
}
