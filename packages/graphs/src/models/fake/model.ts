import type { BaseMessage } from "@langchain/core/messages";
import { GraphConfigError } from "../../errors.ts";
import { currentTurn } from "./conversation.ts";
import { demoScript } from "./demo.ts";
import { type Script, ScriptedModel, type ScriptedReply } from "./scripted-model.ts";

/** Longest answer of `repeat`, in characters: a caller may not fill the memory with one request. */
const MAX_ECHO = 16 * 1024 * 1024;

const LIMITS = { delay_ms: 60_000, repeat: 1_000_000 } as const;
type Option = keyof typeof LIMITS;

/**
 * The models of the `fake:` provider, by what follows the colon:
 *
 * - `echo`: answers `echo: <last human text>`.
 * - `demo`: the scripted demonstration, with tool calls (see demo.ts).
 * - `?delay_ms=N` (both): N milliseconds before every word, 0 to 60000. `?repeat=N` (echo): the text N times.
 *   Joined by `&`: `fake:echo?delay_ms=5&repeat=100`.
 */
export function fakeModel(spec: string): ScriptedModel {
  const [name = "", query = ""] = spec.split("?", 2);
  const options = parseOptions(spec, query);
  const delayMs = options.delay_ms ?? 0;
  if (name === "demo") {
    if (options.repeat !== undefined)
      throw new GraphConfigError("invalid", `"fake:${spec}": repeat belongs to fake:echo`);
    return new ScriptedModel({ model: "demo", script: demoScript, delayMs });
  }
  if (name === "echo") return new ScriptedModel({ model: "echo", script: echoScript(options.repeat ?? 1), delayMs });
  throw new GraphConfigError("invalid", `Unknown built-in model "fake:${name}". Known: fake:demo, fake:echo`);
}

function parseOptions(spec: string, query: string): Partial<Record<Option, number>> {
  const options: Partial<Record<Option, number>> = {};
  for (const [key, value] of new URLSearchParams(query)) {
    if (!Object.hasOwn(LIMITS, key)) {
      throw new GraphConfigError(
        "invalid",
        `"fake:${spec}": unknown option "${key}". Known: ${Object.keys(LIMITS).join(", ")}`,
      );
    }
    const option = key as Option;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number <= LIMITS[option])) {
      throw new GraphConfigError(
        "invalid",
        `"fake:${spec}": ${key} must be a whole number from 0 to ${LIMITS[option]}`,
      );
    }
    options[option] = number;
  }
  return options;
}

function echoScript(repeat: number): Script {
  return (messages: readonly BaseMessage[]): ScriptedReply => {
    const { text } = currentTurn(messages);
    if (text.length * repeat > MAX_ECHO) {
      throw new GraphConfigError("invalid", `fake:echo would answer more than ${MAX_ECHO} characters: lower repeat`);
    }
    return { text: `echo: ${Array<string>(repeat).fill(text).join(" ")}` };
  };
}
