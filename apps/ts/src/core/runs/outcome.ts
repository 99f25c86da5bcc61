import { encodeJson } from "#core/graphs/wire";
import { interruptsOf } from "#core/streams/pump";
import type { EventRow, RunFailure } from "./repository.ts";

/**
 * Body of `wait` and `join`, as JSON text: the error, which wins; else the last values with all
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

/** The same from the `values` rows of a run that ended earlier, taken in order. */
export class LoggedResult {
  #epoch: number | undefined;
  #values: string | undefined;
  #interrupts: unknown[] = [];

  add(row: EventRow): void {
    if (row.mode !== "values" || row.ns !== "") return;
    if (row.epoch !== this.#epoch) {
      // Only the last attempt counts.
      this.#epoch = row.epoch;
      this.#values = undefined;
      this.#interrupts = [];
    }
    const found = row.data.startsWith('{"__interrupt__":') ? interruptsOf(JSON.parse(row.data)) : undefined;
    if (found === undefined) this.#values = row.data;
    else this.#interrupts.push(...found);
  }

  /** Undefined when nothing of it is kept. */
  body(error: RunFailure | null): string | undefined {
    if (this.#values === undefined && this.#interrupts.length === 0 && error === null) return undefined;
    const interrupts = this.#interrupts.length > 0 ? encodeJson(this.#interrupts) : undefined;
    return resultBody({ values: this.#values, interrupts, error });
  }
}

/** Not every database keeps a NUL in a text, and the error of a run reads the same wherever it is read. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}

/** What the client is told of an exception: its class name and message. User code may throw anything. */
export function failureOf(error: unknown): RunFailure {
  try {
    if (typeof error !== "object" || error === null) return { error: "Error", message: withoutNul(String(error)) };
    // langgraph marks what its tasks throw.
    const { pregelTaskId: _, ...own } = error as { pregelTaskId?: unknown };
    const { name, message } = error as Partial<Error>;
    return {
      error: typeof name === "string" && name !== "" ? withoutNul(name) : "Error",
      message: typeof message === "string" ? withoutNul(message) : encodeJson(own),
    };
  } catch {
    // A getter that throws, a proxy that was revoked: the failure itself must still be told.
    return { error: "Error", message: "The graph threw a value that cannot be read" };
  }
}
