import {
  CHECKPOINTS,
  ONE_TEXT,
  STEPS,
  STEPS_PER_MESSAGE,
  stepText,
  TOKEN_TEXT,
  TOKENS,
  TOOL_CALL,
  TOOL_RESULT,
  TOOL_TEXT,
} from "../graph/script.ts";
import type { SseEvent } from "./sse.ts";

/** An answer that is not what the graph says fails the whole benchmark: a fast wrong answer is worth nothing. */
export class WrongAnswer extends Error {
  override name = "WrongAnswer";
}

function must(condition: boolean, what: string, seen: unknown): asserts condition {
  if (condition) return;
  const text = typeof seen === "string" ? seen : (JSON.stringify(seen) ?? String(seen));
  throw new WrongAnswer(`${what}; got ${text.slice(0, 300)}`);
}

type WireMessage = { type: string; content: unknown; tool_calls?: { name: string; args: unknown }[] };

export type GraphId = "one" | "tokens" | "tool";

const CONVERSATION: Record<GraphId, { types: string[]; last: string }> = {
  one: { types: ["human", "ai"], last: ONE_TEXT },
  tokens: { types: ["human", "ai"], last: TOKEN_TEXT },
  tool: { types: ["human", "ai", "tool", "ai"], last: TOOL_TEXT },
};

/** Final values of a run of the graph on an empty thread, asked with `question`. */
export function checkValues(graph: GraphId, question: string, values: unknown): void {
  const messages = (values as { messages?: WireMessage[] } | null)?.messages;
  must(Array.isArray(messages), `values of ${graph} must have messages`, values);
  const expected = CONVERSATION[graph];
  must(
    messages.map(plainType).join() === expected.types.join(),
    `${graph} must answer ${expected.types.join()}`,
    messages,
  );
  must(messages[0]?.content === question, "the question must come first, unchanged", messages[0]);
  must(messages.at(-1)?.content === expected.last, `${graph} must end with its scripted answer`, messages.at(-1));
  if (graph !== "tool") return;
  const call = messages[1]?.tool_calls?.[0];
  must(
    call?.name === TOOL_CALL.name && JSON.stringify(call.args) === JSON.stringify(TOOL_CALL.args),
    "the tool call",
    call,
  );
  must(messages[2]?.content === TOOL_RESULT, "the tool's result", messages[2]);
}

function plainType(message: WireMessage): string {
  return message.type === "AIMessageChunk" ? "ai" : message.type;
}

/**
 * Follows one stream of the graph `tokens` with the modes messages-tuple and values, event by event: `metadata` first, every
 * token once and in order, a first `values` with the question, a last one with the answer, no `error`, nothing after `end`.
 */
export class StreamCheck {
  readonly #question: string;
  readonly #endEvent: boolean;
  #events = 0;
  #tokens = 0;
  #values = 0;
  #last: unknown;
  #ended = false;

  constructor(question: string, endEvent: boolean) {
    this.#question = question;
    this.#endEvent = endEvent;
  }

  /** True when the event carried a token. */
  see(event: SseEvent): boolean {
    this.#events += 1;
    must(!this.#ended, "nothing may follow `end`", event);
    must((event.event === "metadata") === (this.#events === 1), "`metadata` must be the first event, and once", event);
    const data: unknown = JSON.parse(event.data);
    switch (event.event) {
      case "metadata":
        must(typeof (data as { run_id?: unknown }).run_id === "string", "`metadata` must name the run", data);
        return false;
      case "messages":
        return this.#token(data as [WireMessage, unknown]);
      case "values":
        this.#values += 1;
        this.#last = data;
        if (this.#values === 1) must((data as { messages: unknown[] }).messages.length === 1, "first `values`", data);
        return false;
      case "end":
        must(this.#endEvent && data === null, "an `end` event here", event);
        this.#ended = true;
        return false;
      default:
        throw new WrongAnswer(`unexpected event ${event.event}: ${event.data.slice(0, 300)}`);
    }
  }

  /** After the body closed: how many events there were. */
  finish(unfinished: boolean): number {
    must(!unfinished, "the stream must end with a whole event", unfinished);
    must(this.#tokens === TOKENS.length, `${TOKENS.length} tokens`, this.#tokens);
    must(this.#values === 2, "two `values` events", this.#values);
    checkValues("tokens", this.#question, this.#last);
    must(this.#ended === this.#endEvent, "the stream must close with `end`", this.#events);
    return this.#events;
  }

  #token([message]: [WireMessage, unknown]): boolean {
    must(plainType(message) === "ai", "a token must come from the model", message);
    if (message.content === "") return false;
    must(message.content === TOKENS[this.#tokens], `token ${this.#tokens} must be ${TOKENS[this.#tokens]}`, message);
    this.#tokens += 1;
    return true;
  }
}

type WireState = {
  values: { messages: WireMessage[]; step: number };
  next: string[];
  checkpoint: { checkpoint_id: string };
  parent_checkpoint: { checkpoint_id: string } | null;
};

function checkStep(state: WireState, question: string, step: number): void {
  const { messages } = state.values;
  must(state.values.step === step, `step ${step}`, state.values.step);
  must(messages.length === 1 + Math.floor(step / STEPS_PER_MESSAGE), `messages of step ${step}`, messages.length);
  must(messages[0]?.content === question, "the question", messages[0]);
  const spoken = step - (step % STEPS_PER_MESSAGE);
  if (spoken > 0) must(messages.at(-1)?.content === stepText(spoken), `text of step ${spoken}`, messages.at(-1));
}

/** State of a thread after one run of `steps`. */
export function checkState(question: string, state: unknown): void {
  must((state as WireState).next.length === 0, "no node may be left to run", state);
  checkStep(state as WireState, question, STEPS);
}

/** Its whole history: newest first, each checkpoint the parent of the one before it. */
export function checkHistory(question: string, history: unknown): void {
  must(Array.isArray(history), "history must be an array", history);
  const states = history as WireState[];
  must(states.length === CHECKPOINTS, `${CHECKPOINTS} checkpoints`, states.length);
  for (const [i, state] of states.entries()) {
    const parent = states[i + 1]?.checkpoint.checkpoint_id;
    must(state.parent_checkpoint?.checkpoint_id === parent, `parent of checkpoint ${i}`, state.parent_checkpoint);
    if (i < CHECKPOINTS - 1) checkStep(state, question, STEPS - i);
  }
}
