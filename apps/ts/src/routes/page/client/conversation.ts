import type { StreamEvent } from "./events.ts";
import type { ChatMessage } from "./messages.ts";
import { messageText } from "./messages.ts";

/** What a thread holds, as far as it is known from its state and its events. */
export interface Conversation {
  messages: ChatMessage[];
  /** Of a graph without messages. */
  values: unknown;
  takeValues(all: unknown): void;
  take(event: StreamEvent): void;
  clear(): void;
}

export function createConversation(): Conversation {
  /** Without the pieces of the step under way. */
  let settled: ChatMessage[] = [];

  /** A piece of a message joins the pieces before it. */
  const takeMessage = (message: ChatMessage, isPiece: boolean) => {
    const known = all.messages.find((m) => m.id !== undefined && m.id === message.id);
    if (known === undefined) all.messages.push({ ...message });
    else if (isPiece) known.content = messageText(known) + messageText(message);
    else Object.assign(known, message);
  };

  const takeValues = (given: unknown) => {
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      all.values = given ?? undefined;
      return;
    }
    // Names in double underscores are LangGraph's own; with nothing else it is no state.
    const own = Object.entries(given).filter(([key]) => !key.startsWith("__"));
    if (own.length === 0) return;
    const listed = (given as { messages?: unknown }).messages;
    const isChat = Array.isArray(listed) && listed.every((m) => typeof m === "object" && m !== null && "type" in m);
    if (isChat) {
      settled = listed as ChatMessage[];
      all.messages = settled.map((m) => ({ ...m }));
    }
    all.values = isChat ? undefined : Object.fromEntries(own);
  };

  const take = ({ event, data }: StreamEvent) => {
    // The first event of every attempt: what an earlier one left unfinished comes again.
    if (event === "metadata") {
      const own = all.messages.filter((m) => m.type === "human" && !settled.some(({ id }) => id === m.id));
      all.messages = [...settled.map((m) => ({ ...m })), ...own];
    }
    const [first] = Array.isArray(data) ? (data as ChatMessage[]) : [];
    if (event === "messages" && first !== undefined) takeMessage(first, first.type === "AIMessageChunk");
    if (event === "messages/partial" || event === "messages/complete") {
      for (const message of (data ?? []) as ChatMessage[]) takeMessage(message, false);
    }
    if (event === "values") takeValues(data);
  };

  const clear = () => {
    settled = [];
    all.messages = [];
    all.values = undefined;
  };
  const all: Conversation = { messages: [], values: undefined, takeValues, take, clear };
  return all;
}
