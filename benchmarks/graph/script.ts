/** What the graphs of the benchmark say. The driver checks every answer against it, so it imports nothing. */

/** Pieces of the streamed answer: as many `messages` events a client must see, in this order. */
export const TOKENS: readonly string[] = Array.from({ length: 100 }, (_, i) => `w${i} `);

export const TOKEN_TEXT: string = TOKENS.join("");

export const ONE_TEXT = "one node answered";

/** The tool of the graph `tool` adds two numbers; the model answers after it. */
export const TOOL_CALL = { name: "add", args: { a: 19, b: 23 }, id: "call_add_1" } as const;

export const TOOL_TEXT = "the sum is 42";
export const TOOL_RESULT = "42";

/** Supersteps of the graph `steps`; with the input and the start they make 100 checkpoints in one run. */
export const STEPS = 98;

/** Checkpoints of a thread after one run of `steps`. */
export const CHECKPOINTS = 100;

/** Every how many steps `steps` adds a message: keeps one checkpoint near 5 KB, as in a short conversation. */
export const STEPS_PER_MESSAGE = 4;

export function stepText(step: number): string {
  return `step ${step}: ${"a line of an answer that somebody may want to read again ".repeat(2)}`;
}

/** How long the graph `pause` takes, milliseconds. */
export const PAUSE_MS = 1_000;
