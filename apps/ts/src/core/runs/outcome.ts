import { encodeJson } from "#core/graphs/wire";
import { interruptsOf } from "#core/streams/pump";
import type { EventRow, RunFailure } from "./repository.ts";

/**
 * Body of `wait` and `join` (contract §5.1), as JSON text: the error, which wins; else the last values with all
 * interrupts under `__interrupt__`, the shape that graph.invoke returns. `values` is JSON text or undefined.
 */
export function resultBody(result: {
  values: string | undefined;
  interrupts: string | undefined;
  error: RunFailure | null;
}): string {
  if (result.error !== null) return JSON.stringify({ __error__: result.error });
  const { values, interrupts } = result;
  if (interrupts === undefined) return values ?? "{}";
  const tail = `"__interrupt__":${interrupts}}`;
  if (values === undefined || !values.startsWith("{") || values === "{}") return `{${tail}`;
  return `${values.slice(0, -1)},${tail}`;
}

/** The same from the log of a run that ended earlier; undefined when nothing of it is kept. */
export function resultFromLog(rows: readonly EventRow[], error: RunFailure | null): string | undefined {
  const epoch = rows[rows.length - 1]?.epoch;
  if (epoch === undefined && error === null) return undefined;
  let values: string | undefined;
  const interrupts: unknown[] = [];
  for (const row of rows) {
    if (row.epoch !== epoch || row.mode !== "values" || row.ns !== "") continue;
    const found = row.data.startsWith('{"__interrupt__":') ? interruptsOf(JSON.parse(row.data)) : undefined;
    if (found === undefined) values = row.data;
    else interrupts.push(...found);
  }
  if (values === undefined && interrupts.length === 0 && error === null) return undefined;
  return resultBody({ values, interrupts: interrupts.length > 0 ? encodeJson(interrupts) : undefined, error });
}

/** What the client is told of an exception: its class name and message. */
export function failureOf(error: unknown): RunFailure {
  if (error instanceof Error || (typeof error === "object" && error !== null && "message" in error)) {
    const { name, message } = error as Error;
    return { error: name || "Error", message: String(message) };
  }
  return { error: "Error", message: String(error) };
}
