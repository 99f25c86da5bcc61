import type { Interrupt } from "#schemas/threads";

/** The interrupts of a payload that holds nothing else (how langgraph tells of them), else undefined. */
export function interruptsOf(payload: unknown): Interrupt[] | undefined {
  if (typeof payload !== "object" || payload === null || !("__interrupt__" in payload)) return undefined;
  const { __interrupt__: interrupts } = payload;
  return Array.isArray(interrupts) ? (interrupts as Interrupt[]) : undefined;
}

/** JSON text of a state with the interrupts under `__interrupt__`, the shape that graph.invoke returns. */
export function withInterrupts(values: string | undefined, interrupts: string): string {
  const tail = `"__interrupt__":${interrupts}}`;
  if (values === undefined || !values.startsWith("{") || values === "{}") return `{${tail}`;
  return `${values.slice(0, -1)},${tail}`;
}
