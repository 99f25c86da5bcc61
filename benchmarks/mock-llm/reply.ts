/** The parts of a chat completion request that the mock looks at; everything else is accepted and ignored. */
export interface CompletionRequest {
  model?: string;
  messages: ChatMessage[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  tools?: ToolDefinition[];
}

export interface ChatMessage {
  role: string;
  content?: unknown;
}

export interface ToolDefinition {
  type: string;
  function?: { name?: string; parameters?: JsonSchema };
}

interface JsonSchema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  examples?: unknown[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

/** What the mock answers: a text, or one call of an offered tool. `arguments` is JSON text, as on the wire. */
export type Reply = { text: string } | { call: { name: string; arguments: string } };

export interface ReplyOptions {
  response: string;
  /** Call the first offered tool once per turn, with the smallest arguments its schema allows. */
  toolCall: boolean;
}

/**
 * The newest message decides. After a tool's answer the reply is text, so a tool loop ends after one round.
 * A user text `call <tool> {json}` calls that tool when it is offered.
 */
export function chooseReply(request: CompletionRequest, options: ReplyOptions): Reply {
  const last = request.messages.at(-1);
  const tools = (request.tools ?? []).flatMap((tool) => (tool.function?.name ? [tool.function] : []));
  if (last?.role !== "user" || tools.length === 0) return { text: options.response };
  const scripted = /\bcall\s+([\w-]+)\s+(\{.*\})/s.exec(contentText(last.content));
  const wanted = scripted && tools.find((tool) => tool.name === scripted[1]);
  if (wanted?.name && scripted?.[2] && isJson(scripted[2]))
    return { call: { name: wanted.name, arguments: scripted[2] } };
  const first = tools[0];
  if (!options.toolCall || !first?.name) return { text: options.response };
  return { call: { name: first.name, arguments: JSON.stringify(smallest(first.parameters ?? {})) } };
}

/** Text of a message's content: a string, or the text blocks of a list. */
export function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((block: { text?: unknown }) => (typeof block?.text === "string" ? block.text : "")).join("");
}

/** Words and the spaces between them, each a piece of its own: that is how many chunks a stream has. */
export function pieces(text: string): string[] {
  return text.split(/(\s+)/).filter((piece) => piece !== "");
}

/** Four characters to a token. */
export function countTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

export function promptTokens(request: CompletionRequest): number {
  return request.messages.reduce((sum, message) => sum + countTokens(contentText(message.content)), 0);
}

export function replyTokens(reply: Reply): number {
  return countTokens("text" in reply ? reply.text : reply.call.name + reply.call.arguments);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Required properties only, each with the first value its schema names, else the plainest of its type. */
function smallest(schema: JsonSchema): unknown {
  if (schema.const !== undefined) return schema.const;
  const given = schema.default ?? schema.enum?.[0] ?? schema.examples?.[0];
  if (given !== undefined) return given;
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case "string":
      return "1";
    case "number":
    case "integer":
      return 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "null":
      return null;
    default:
      return Object.fromEntries((schema.required ?? []).map((key) => [key, smallest(schema.properties?.[key] ?? {})]));
  }
}
