import type { BaseMessage } from "@langchain/core/messages";

/** What a tool answered in this turn. */
export interface ToolAnswer {
  name: string;
  text: string;
  failed: boolean;
}

/** The newest human text, and what the tools have answered since. */
export interface Turn {
  text: string;
  answers: ReadonlyMap<string, ToolAnswer>;
}

export function currentTurn(messages: readonly BaseMessage[]): Turn {
  const start = messages.findLastIndex((message) => message.type === "human");
  const answers = new Map<string, ToolAnswer>();
  for (const message of messages.slice(start + 1)) {
    if (message.type !== "tool" || !message.name) continue;
    const failed = "status" in message && message.status === "error";
    answers.set(message.name, { name: message.name, text: message.text, failed });
  }
  return { text: messages[start]?.text ?? "", answers };
}
