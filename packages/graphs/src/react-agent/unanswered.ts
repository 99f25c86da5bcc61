import { AIMessage, type BaseMessage, RemoveMessage, ToolMessage } from "@langchain/core/messages";
import { Command, REMOVE_ALL_MESSAGES } from "@langchain/langgraph";
import { createMiddleware } from "langchain";
import { APPROVAL_TOOL } from "../tools/approval.ts";
import { readText } from "../tools/approval-answer.ts";

type Call = NonNullable<AIMessage["tool_calls"]>[number] & { id: string };

/**
 * Answers the tool calls that nothing answered, before the model is called. A person who types instead of deciding, a
 * cancelled run, a crash or an edited history leaves such calls, and providers refuse every conversation that has one.
 * The answers are kept in the state together with the model's own. A conversation in order costs one walk over its messages.
 */
export const answerOpenCalls = createMiddleware({
  name: "answer_open_calls",
  wrapModelCall: async (request, handler) => {
    const settled = settleCalls(request.messages);
    const accepted = settled.messages.filter((message) => !settled.orphans.has(message)).map(withoutUnreadCalls);
    if (isSame(accepted, request.messages)) return handler(request);
    const answer = await handler({ ...request, messages: accepted });
    if (isSame(settled.messages, request.messages) || !AIMessage.isInstance(answer)) return answer;
    // The reducer appends: an answer gets to its place only when the list is written anew.
    const clear = new RemoveMessage({ id: REMOVE_ALL_MESSAGES });
    return new Command({ update: { messages: [clear, ...settled.messages, answer] } });
  },
});

export interface Settled {
  messages: BaseMessage[];
  /** Tool messages that answer no call. Providers refuse them, but they stay in the state. */
  orphans: ReadonlySet<BaseMessage>;
}

/** The conversation with one answer to each tool call, directly after the calls. The newest of several answers counts. */
export function settleCalls(messages: readonly BaseMessage[]): Settled {
  // By position: some models count their ids anew in every message.
  const callers = new Map<string, BaseMessage>();
  const answers = new Map<BaseMessage, Map<string, BaseMessage>>();
  const orphans = new Set<BaseMessage>();
  for (const message of messages) {
    if (ToolMessage.isInstance(message)) {
      const caller = callers.get(message.tool_call_id);
      if (caller === undefined) orphans.add(message);
      else answers.get(caller)?.set(message.tool_call_id, message);
      continue;
    }
    for (const { id } of callsOf(message)) {
      callers.set(id, message);
      if (!answers.has(message)) answers.set(message, new Map());
    }
  }
  const settled: BaseMessage[] = [];
  for (const [index, message] of messages.entries()) {
    if (ToolMessage.isInstance(message) && !orphans.has(message)) continue;
    settled.push(message);
    const given = answers.get(message);
    if (given === undefined) continue;
    const calls = callsOf(message);
    const open = calls.length - given.size;
    const decided = open === 1 ? decisionAfter(messages, index) : undefined;
    for (const call of calls) settled.push(given.get(call.id) ?? answerFor(call, decided));
  }
  return { messages: settled, orphans };
}

/** What the person wrote next, where that is a bare yes or no. The caller asks only when one question was open. */
function decisionAfter(messages: readonly BaseMessage[], index: number): boolean | undefined {
  const reply = messages.find((message, at) => at > index && !ToolMessage.isInstance(message));
  return reply?.type === "human" ? readText(reply.text) : undefined;
}

function answerFor({ id, name }: Call, decided: boolean | undefined): ToolMessage {
  const fields = { id: `unanswered-${id}`, tool_call_id: id, name };
  if (name !== APPROVAL_TOOL) {
    const content = "No result: the run stopped before this call had ended. It may or may not have taken effect.";
    return new ToolMessage({ ...fields, content, status: "error" });
  }
  const decision =
    decided === undefined
      ? { approved: false, feedback: "Not approved: the conversation went on without a decision." }
      : { approved: decided };
  return new ToolMessage({ ...fields, content: JSON.stringify(decision) });
}

function callsOf(message: BaseMessage): Call[] {
  if (!AIMessage.isInstance(message)) return [];
  return (message.tool_calls ?? []).filter((call): call is Call => call.id !== undefined);
}

/** Calls whose arguments were no JSON stay in a message's raw parts; clients send these, and no tool ever answers them. */
function withoutUnreadCalls(message: BaseMessage): BaseMessage {
  if (!AIMessage.isInstance(message)) return message;
  const known = new Set((message.tool_calls ?? []).map(({ id }) => id));
  const isRead = (part: { type?: unknown; id?: unknown }) => part.type !== "tool_use" || known.has(String(part.id));
  const { tool_calls: raw, ...kwargs } = message.additional_kwargs;
  const parts = Array.isArray(message.content) ? message.content : [];
  if ((raw === undefined || known.size > 0) && parts.every(isRead)) return message;
  const content = Array.isArray(message.content) ? message.content.filter(isRead) : message.content;
  return new AIMessage({
    content: content.length === 0 ? "(a tool call that could not be read)" : content,
    additional_kwargs: kwargs,
    tool_calls: message.tool_calls ?? [],
    response_metadata: message.response_metadata,
    ...(message.id === undefined ? {} : { id: message.id }),
  } as ConstructorParameters<typeof AIMessage>[0]);
}

function isSame(left: readonly BaseMessage[], right: readonly BaseMessage[]): boolean {
  return left.length === right.length && left.every((message, index) => message === right[index]);
}
