import type { Dialect, Envelope, JsonObject } from "./dialect.ts";
import { googleFault } from "./order.ts";
import { type CompletionRequest, pieces, promptTokens, type Reply, replyTokens } from "./reply.ts";

interface Content {
  role?: string;
  parts?: { text?: string; functionResponse?: unknown }[];
}

/** Google's generateContent. The model's name stands in the path, so an answer names the mock's own. */
export const google: Dialect = {
  list: "contents",
  read(body) {
    const declared = ((body.tools ?? []) as { functionDeclarations?: { name?: string; parameters?: object }[] }[])
      .flatMap((tool) => tool.functionDeclarations ?? [])
      .map(({ name, parameters }) => ({
        type: "function",
        function: { ...(name !== undefined && { name }), parameters: parameters ?? {} },
      }));
    return { messages: (body.contents as Content[]).map(readContent), tools: declared };
  },
  fault: (body) => googleFault(body.contents as []),
  whole: (request, reply, envelope) =>
    response(envelope, { parts: [part(reply)], finishReason: "STOP", usageMetadata: usage(request, reply) }),
  *events(request, reply, envelope) {
    const texts = "text" in reply ? pieces(reply.text).map((text) => ({ text })) : [part(reply)];
    for (const one of texts) yield `data: ${JSON.stringify(response(envelope, { parts: [one] }))}\r\n\r\n`;
    const last = { parts: [{ text: "" }], finishReason: "STOP", usageMetadata: usage(request, reply) };
    yield `data: ${JSON.stringify(response(envelope, last))}\r\n\r\n`;
  },
  error: (status, { message }) => ({
    error: { code: status, message, status: status === 500 ? "INTERNAL" : "INVALID_ARGUMENT" },
  }),
};

function readContent({ role, parts = [] }: Content) {
  if (parts.some((one) => one.functionResponse !== undefined)) return { role: "tool", content: parts };
  return { role: role === "model" ? "assistant" : "user", content: parts };
}

function part(reply: Reply): JsonObject {
  if ("text" in reply) return { text: reply.text };
  return { functionCall: { name: reply.call.name, args: JSON.parse(reply.call.arguments) } };
}

function response({ id, model }: Envelope, { parts, finishReason, usageMetadata }: JsonObject) {
  return {
    candidates: [{ content: { role: "model", parts }, index: 0, ...(finishReason !== undefined && { finishReason }) }],
    ...(usageMetadata !== undefined && { usageMetadata }),
    modelVersion: model,
    responseId: id,
  };
}

function usage(request: CompletionRequest, reply: Reply) {
  const [promptTokenCount, candidatesTokenCount] = [promptTokens(request), replyTokens(reply)];
  return { promptTokenCount, candidatesTokenCount, totalTokenCount: promptTokenCount + candidatesTokenCount };
}
