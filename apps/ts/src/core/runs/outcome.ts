import { encodeJson } from "#core/graphs/wire";
import { interruptsOf, withInterrupts } from "#core/streams/interrupts";
import type { EventRow, RunFailure } from "./repository.ts";

/**
 * Body of `wait` and `join`, as JSON text: the error, which wins; else the last values with all
 * interrupts under `__interrupt__`. `values` is JSON text or undefined.
 */
export function resultBody(result: {
  values: string | undefined;
  interrupts: string | undefined;
  error: RunFailure | null;
}): string {
  if (result.error !== null) return JSON.stringify({ __error__: result.error });
  const { values, interrupts } = result;
  return interrupts === undefined ? (values ?? "{}") : withInterrupts(values, interrupts);
}

/**
 * The same from the `values` rows of a run that ended earlier, taken in order. The last row holds the interrupts too;
 * releases up to 0.1.0 wrote them apart, a row for each task that asks.
 */
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
    else this.#interrupts = repeats(found, this.#interrupts) ? found : [...this.#interrupts, ...found];
  }

  /** Undefined when nothing of it is kept. */
  body(error: RunFailure | null): string | undefined {
    if (this.#values === undefined && this.#interrupts.length === 0 && error === null) return undefined;
    const apart = this.#interrupts.length > 0 && !holdsInterrupts(this.#values);
    return resultBody({ values: this.#values, interrupts: apart ? encodeJson(this.#interrupts) : undefined, error });
  }
}

function holdsInterrupts(values: string | undefined): boolean {
  return values?.includes('"__interrupt__":') === true && interruptsOf(JSON.parse(values)) !== undefined;
}

/** Whether a row without a state begins with all that the ones before it held. */
function repeats(found: readonly unknown[], earlier: readonly unknown[]): boolean {
  return encodeJson(found.slice(0, earlier.length)) === encodeJson(earlier);
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
