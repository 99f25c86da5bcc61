import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessage, AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";

export type ToolCallScript = { name: string; args: Record<string, unknown>; id: string };

export type Script = {
  /** The answer, piece by piece; joined when nobody listens to tokens. */
  pieces: readonly string[];
  /** Asked for instead of an answer while the last message is not a tool's. */
  toolCall?: ToolCallScript;
};

/** How many pieces arrive together: a provider's network packets hold several, and between packets the loop turns. */
const PIECES_PER_TURN = 4;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * A chat model in the process that answers from a script: no network, no chance. It lets the event loop turn once before
 * it answers and once per four pieces, as a real client does, because a model that never waits would hide how a server flushes.
 */
export class ScriptedModel extends BaseChatModel {
  readonly #script: Script;

  constructor(script: Script) {
    super({});
    this.#script = script;
  }

  _llmType(): string {
    return "scripted";
  }

  async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    await turn();
    const call = this.#toolCall(messages);
    const text = call === undefined ? this.#script.pieces.join("") : "";
    const message = new AIMessage({
      content: text,
      tool_calls: call === undefined ? [] : [{ ...call, type: "tool_call" }],
    });
    return { generations: [{ text, message }] };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    _options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    await turn();
    const call = this.#toolCall(messages);
    if (call !== undefined) {
      const chunk = {
        name: call.name,
        args: JSON.stringify(call.args),
        id: call.id,
        index: 0,
        type: "tool_call_chunk" as const,
      };
      yield new ChatGenerationChunk({
        text: "",
        message: new AIMessageChunk({ content: "", tool_call_chunks: [chunk] }),
      });
      return;
    }
    for (const [i, text] of this.#script.pieces.entries()) {
      if (i > 0 && i % PIECES_PER_TURN === 0) await turn();
      const chunk = new ChatGenerationChunk({ text, message: new AIMessageChunk({ content: text }) });
      yield chunk;
      await runManager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
    }
  }

  #toolCall(messages: BaseMessage[]): ToolCallScript | undefined {
    return messages.at(-1)?.getType() === "tool" ? undefined : this.#script.toolCall;
  }
}
