export interface MockLlmOptions {
  /** Default 127.0.0.1. */
  host?: string | undefined;
  /** Default 0: a free one. */
  port?: number | undefined;
  /** Milliseconds before the first byte of an answer. Default 0. */
  delayMs?: number | undefined;
  /** Milliseconds before every piece of a streamed answer. Default 0. */
  streamDelayMs?: number | undefined;
  response?: string | undefined;
  model?: string | undefined;
  /** Call the first offered tool once per turn. Default false: only when the user text says `call <tool> {json}`. */
  toolCall?: boolean | undefined;
  /** Refuse conversations that the provider itself would refuse for the order of their messages. Default true. */
  strict?: boolean | undefined;
}

export type Settings = { [Key in keyof MockLlmOptions]-?: NonNullable<MockLlmOptions[Key]> };

/** 34 words, so that a stream has 67 pieces: comparable with the figures published for the runtime's predecessor. */
export const DEFAULT_RESPONSE =
  "This answer comes from a mock model that never thinks: it always takes the same time and " +
  "says the same words, so whatever you measure belongs to the server and not to the model.";

export function withDefaults(options: MockLlmOptions): Settings {
  return {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    delayMs: options.delayMs ?? 0,
    streamDelayMs: options.streamDelayMs ?? 0,
    response: options.response ?? DEFAULT_RESPONSE,
    model: options.model ?? "mock-gpt-4o",
    toolCall: options.toolCall ?? false,
    strict: options.strict ?? true,
  };
}

/** The settings of a mock started from a shell. Throws an Error that names the variable. */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): MockLlmOptions {
  const number = (name: string, fallback: number, most: number): number => {
    const text = environment[name]?.trim() || String(fallback);
    const value = Number(text);
    if (!/^\d+$/.test(text) || value > most)
      throw new Error(`${name} must be a whole number from 0 to ${most}, not "${text}"`);
    return value;
  };
  const text = (name: string): string | undefined => environment[name]?.trim() || undefined;
  return {
    host: text("MOCK_LLM_HOST"),
    port: number("MOCK_LLM_PORT", 11434, 65535),
    delayMs: number("MOCK_LLM_DELAY_MS", 10, 600_000),
    streamDelayMs: number("MOCK_LLM_STREAM_DELAY_MS", 5, 600_000),
    response: text("MOCK_LLM_RESPONSE"),
    model: text("MOCK_LLM_MODEL"),
    strict: !["0", "false", "no"].includes(text("MOCK_LLM_STRICT")?.toLowerCase() ?? ""),
    toolCall: ["1", "true", "yes"].includes(text("MOCK_LLM_TOOL_CALL")?.toLowerCase() ?? ""),
  };
}
