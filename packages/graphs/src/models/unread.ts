import { BaseChatModel, type BindToolsInput } from "@langchain/core/language_models/chat_models";
import type { ChatResult } from "@langchain/core/outputs";

/**
 * Stands in where a graph is built only to be looked at (its drawing, its schemas, a thread's state): reading must not
 * need a key, nor a provider's package.
 */
export class UnreadModel extends BaseChatModel {
  constructor() {
    super({});
  }

  override _llmType(): string {
    return "unread";
  }

  override bindTools(_tools: BindToolsInput[]): this {
    return this;
  }

  override async _generate(): Promise<ChatResult> {
    throw new Error("This graph was built for reading, not for a run: it has no model");
  }
}
