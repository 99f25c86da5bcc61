import type { Dialect, Envelope } from "./dialect.ts";
import { anthropicFault } from "./order.ts";
import { type ChatMessage, type CompletionRequest, pieces, promptTokens, type Reply, replyTokens } from "./reply.ts";

/** Anthropic's messages. */
export const anthropic: Dialect = {
  list: "messages",
  read(body) {
    const tools = (body.tools ?? []) as { name?: string; input_schema?: object }[];
    return {
      ...(typeof body.model === "string" && { model: body.model }),
      messages: (body.messages as ChatMessage[]).map(({ role, content }) => ({
        role: isResult(content) ? "tool" : role,
        content,
      })),
      tools: tools.map(({ name, input_schema }) => ({
        type: "function",
        function: { ...(name !== undefined && { name }), parameters: input_schema ?? {} },
      })),
    };
  },
  fault: (body) => anthropicFault(body.messages as []),
  whole(request, reply, envelope) {
    return {
      ...message(envelope),
      content: "text" in reply ? [{ type: "text", text: reply.text }] : [toolUse(reply.call, envelope, true)],
      stop_reason: stopReason(reply),
      usage: { input_tokens: promptTokens(request), output_tokens: replyTokens(reply) },
    };
  },
  *events(request, reply, envelope) {
    for (const event of parts(request, reply, envelope)) {
      yield `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    }
  },
  error: (status, { message }) => ({
    type: "error",
    error: { type: status === 500 ? "api_error" : "invalid_request_error", message },
  }),
};

/** The results of tools and nothing that a person said. */
function isResult(content: unknown): boolean {
  return Array.isArray(content) && content.length > 0 && content.every(({ type }) => type === "tool_result");
}

function* parts(request: CompletionRequest, reply: Reply, envelope: Envelope): Generator<{ type: string }> {
  const usage = { input_tokens: promptTokens(request), output_tokens: 1 };
  yield event("message_start", { message: { ...message(envelope), content: [], stop_reason: null, usage } });
  const block = "text" in reply ? { type: "text", text: "" } : toolUse(reply.call, envelope, false);
  yield event("content_block_start", { index: 0, content_block: block });
  if ("text" in reply) {
    for (const text of pieces(reply.text)) {
      yield event("content_block_delta", { index: 0, delta: { type: "text_delta", text } });
    }
  } else {
    for (let at = 0; at < reply.call.arguments.length; at += 8) {
      const partial_json = reply.call.arguments.slice(at, at + 8);
      yield event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json } });
    }
  }
  yield event("content_block_stop", { index: 0 });
  const delta = { stop_reason: stopReason(reply), stop_sequence: null };
  yield event("message_delta", { delta, usage: { output_tokens: replyTokens(reply) } });
  yield event("message_stop", {});
}

function event(type: string, fields: object): { type: string } {
  return { type, ...fields };
}

function message({ id, model }: Envelope) {
  return { id: `msg_${id}`, type: "message", role: "assistant", model, stop_sequence: null };
}

function toolUse(call: { name: string; arguments: string }, { id }: Envelope, filled: boolean) {
  return { type: "tool_use", id: `toolu_${id}`, name: call.name, input: filled ? JSON.parse(call.arguments) : {} };
}

function stopReason(reply: Reply): string {
  return "text" in reply ? "end_turn" : "tool_use";
}
