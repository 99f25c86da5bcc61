import { createHash } from "node:crypto";
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BindToolsInput,
} from "@langchain/core/language_models/chat_models";
import { AIMessage, AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { pace } from "./pace.ts";

export interface ScriptedReply {
  text: string;
  /** Calls made after the text, in one message. */
  calls?: ReadonlyArray<{ name: string; args: Record<string, unknown> }> | undefined;
}

/** A pure function from the conversation and the names of the bound tools to what the model says next. */
export type Script = (messages: readonly BaseMessage[], tools: ReadonlySet<string>) => ScriptedReply;

interface ScriptedCallOptions extends BaseChatModelCallOptions {
  tools?: BindToolsInput[];
}

/** A tool call with the id it has on the wire. */
interface Call {
  name: string;
  args: Record<string, unknown>;
  id: string;
}

/**
 * A chat model whose answers are written down: same conversation, same answer, same message id, no network.
 * It behaves like a real one to everything around it: tokens, tool call chunks, usage, abort.
 */
export class ScriptedModel extends BaseChatModel<ScriptedCallOptions, AIMessageChunk> {
  readonly model: string;
  readonly #script: Script;
  readonly #delayMs: number;

  /** @param fields.delayMs Milliseconds before every piece (a word), streaming or not. */
  constructor(fields: { model: string; script: Script; delayMs: number }) {
    super({});
    this.model = fields.model;
    this.#script = fields.script;
    this.#delayMs = fields.delayMs;
  }

  static override lc_name(): string {
    return "ScriptedModel";
  }

  override _llmType(): string {
    return "fake";
  }

  override getLsParams(): { ls_provider: string; ls_model_name: string; ls_model_type: "chat" } {
    return { ls_provider: "fake", ls_model_name: this.model, ls_model_type: "chat" };
  }

  override bindTools(
    tools: BindToolsInput[],
    kwargs?: Partial<ScriptedCallOptions>,
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ScriptedCallOptions> {
    return this.withConfig({ ...kwargs, tools } as Partial<ScriptedCallOptions>);
  }

  override async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"]): Promise<ChatResult> {
    const { id, reply, calls } = this.#answer(messages, options);
    if (this.#delayMs > 0) {
      for (let index = pieces(reply.text).length + calls.length; index > 0; index--) {
        await pace(index, this.#delayMs, options.signal);
      }
    }
    options.signal?.throwIfAborted();
    const message = new AIMessage({
      id,
      content: reply.text,
      tool_calls: calls.map((call) => ({ ...call, type: "tool_call" })),
      usage_metadata: usage(messages, reply) as never,
      response_metadata: this.#metadata(calls),
    });
    return { generations: [{ text: reply.text, message }] };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const { id, reply, calls } = this.#answer(messages, options);
    let index = 0;
    for (const fields of chunks(reply.text, calls)) {
      await pace(index++, this.#delayMs, options.signal);
      yield await announced(new AIMessageChunk({ ...fields, id }), runManager);
    }
    const last = new AIMessageChunk({
      id,
      content: "",
      usage_metadata: usage(messages, reply) as never,
      response_metadata: this.#metadata(calls),
    });
    yield await announced(last, runManager);
  }

  #answer(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
  ): { id: string; reply: ScriptedReply; calls: Call[] } {
    options.signal?.throwIfAborted();
    const reply = this.#script(messages, new Set((options.tools ?? []).map(toolName)));
    const mark = fingerprint(this.model, messages);
    const calls = (reply.calls ?? []).map((call, index) => ({ ...call, id: `call_${mark}_${index}` }));
    return { id: `fake-${mark}`, reply, calls };
  }

  #metadata(calls: readonly Call[]) {
    return { finish_reason: calls.length > 0 ? "tool_calls" : "stop", model_name: this.model, model_provider: "fake" };
  }
}

/** The text in pieces that join to exactly the text: each word with the space before it. */
export function pieces(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

type ChunkFields = {
  content: string;
  tool_call_chunks?: { name?: string; args: string; id?: string; index: number; type: "tool_call_chunk" }[];
};

function* chunks(text: string, calls: readonly Call[]): Generator<ChunkFields> {
  for (const content of pieces(text)) yield { content };
  for (const [index, { name, args, id }] of calls.entries()) {
    // As providers do it: the name first, then the arguments as text in more than one part.
    const json = JSON.stringify(args);
    const middle = Math.ceil(json.length / 2);
    yield {
      content: "",
      tool_call_chunks: [{ name, args: json.slice(0, middle), id, index, type: "tool_call_chunk" }],
    };
    yield { content: "", tool_call_chunks: [{ args: json.slice(middle), index, type: "tool_call_chunk" }] };
  }
}

async function announced(
  message: AIMessageChunk,
  runManager: CallbackManagerForLLMRun | undefined,
): Promise<ChatGenerationChunk> {
  const chunk = new ChatGenerationChunk({ message, text: message.text });
  await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
  return chunk;
}

/** Same conversation, same mark. The ids of earlier messages make it differ between threads that say the same. */
function fingerprint(model: string, messages: readonly BaseMessage[]): string {
  const hash = createHash("sha256").update(`${model}\n${messages.length}`);
  for (const message of messages) hash.update(`\n${message.type}\n${message.id ?? message.text}`);
  return hash.digest("hex").slice(0, 24);
}

function toolName(tool: BindToolsInput): string {
  if ("name" in tool && typeof tool.name === "string") return tool.name;
  const described = "function" in tool ? tool.function : undefined;
  if (typeof described === "object" && described !== null && "name" in described) return String(described.name);
  return "";
}

/** Callers cast it: core's message types lose this field under exactOptionalPropertyTypes. */
function usage(messages: readonly BaseMessage[], reply: ScriptedReply) {
  const input_tokens = messages.reduce((sum, message) => sum + tokens(message.text), 0);
  const output_tokens =
    tokens(reply.text) + (reply.calls ?? []).reduce((sum, call) => sum + tokens(JSON.stringify(call)), 0);
  return { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens };
}

/** Four characters to a token: the usual estimate for English. */
function tokens(text: string): number {
  return Math.ceil(text.length / 4);
}
