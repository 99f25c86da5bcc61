import type { BaseMessage } from "@langchain/core/messages";
import { readText } from "../../tools/approval-answer.ts";

/** What a tool answered in this turn. */
export interface ToolAnswer {
  name: string;
  text: string;
  failed: boolean;
}

/** The newest human text, and what the tools have answered since. A bare yes or no to a tool's question belongs to its turn. */
export interface Turn {
  text: string;
  answers: ReadonlyMap<string, ToolAnswer>;
}

export function currentTurn(messages: readonly BaseMessage[]): Turn {
  const newest = messages.findLastIndex((message) => message.type === "human");
  const decides = messages[newest - 1]?.type === "tool" && readText(messages[newest]?.text ?? "") !== undefined;
  const start = decides ? messages.findLastIndex(({ type }, at) => type === "human" && at < newest) : newest;
  const answers = new Map<string, ToolAnswer>();
  for (const message of messages.slice(start + 1)) {
    if (message.type !== "tool" || !message.name) continue;
    const failed = "status" in message && message.status === "error";
    answers.set(message.name, { name: message.name, text: message.text, failed });
  }
  return { text: messages[start]?.text ?? "", answers };
}
