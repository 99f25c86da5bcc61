import type { Dialect, Envelope } from "./dialect.ts";
import { openAiFault } from "./order.ts";
import { type CompletionRequest, pieces, promptTokens, type Reply, replyTokens } from "./reply.ts";

/** OpenAI's chat completions. */
export const openAi: Dialect = {
  list: "messages",
  read: (body) => body as unknown as CompletionRequest,
  fault: (body) => openAiFault(body.messages as []),
  whole: completion,
  *events(request, reply, envelope) {
    let held = "";
    for (const chunk of chunks(request, reply, envelope)) {
      if (held !== "") yield held;
      held = `data: ${JSON.stringify(chunk)}\n\n`;
    }
    // With the last chunk: the end is no piece of its own, and waits no delay.
    yield `${held}data: [DONE]\n\n`;
  },
  error: (status, { message, param }) => ({
    error: {
      message,
      type: status === 500 ? "server_error" : "invalid_request_error",
      ...(param && { param }),
      code: null,
    },
  }),
};

/** The answer without streaming: one `chat.completion`. */
function completion(request: CompletionRequest, reply: Reply, { id, created, model }: Envelope): unknown {
  const message =
    "text" in reply
      ? { role: "assistant", content: reply.text, refusal: null }
      : {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [{ id: `call-${id}`, type: "function", function: { ...reply.call } }],
        };
  return {
    id: `chatcmpl-${id}`,
    object: "chat.completion",
    created,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason(reply) }],
    usage: usage(request, reply),
  };
}

/** The data of the events, in order: the role, the pieces, the finish reason, and usage where asked for. */
function* chunks(request: CompletionRequest, reply: Reply, envelope: Envelope): Generator<unknown> {
  const { id, created, model } = envelope;
  const withUsage = request.stream_options?.include_usage === true;
  const base = { id: `chatcmpl-${id}`, object: "chat.completion.chunk", created, model };
  const chunk = (delta: unknown, finish_reason: string | null) => ({
    ...base,
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    ...(withUsage ? { usage: null } : {}),
  });
  if ("text" in reply) {
    yield chunk({ role: "assistant", content: "" }, null);
    for (const content of pieces(reply.text)) yield chunk({ content }, null);
  } else {
    const { name, arguments: text } = reply.call;
    const named = { index: 0, id: `call-${id}`, type: "function", function: { name, arguments: "" } };
    yield chunk({ role: "assistant", content: null, tool_calls: [named] }, null);
    for (let at = 0; at < text.length; at += 8) {
      yield chunk({ tool_calls: [{ index: 0, function: { arguments: text.slice(at, at + 8) } }] }, null);
    }
  }
  yield chunk({}, finishReason(reply));
  if (withUsage) yield { ...base, choices: [], usage: usage(request, reply) };
}

function usage(request: CompletionRequest, reply: Reply) {
  const prompt_tokens = promptTokens(request);
  const completion_tokens = replyTokens(reply);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

function finishReason(reply: Reply): string {
  return "text" in reply ? "stop" : "tool_calls";
}
