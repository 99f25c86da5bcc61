/** A refusal of a conversation whose messages are in the wrong order. `param` is OpenAI's. */
export interface OrderFault {
  message: string;
  param?: string;
}

interface OpenAiMessage {
  role?: unknown;
  tool_calls?: { id?: string }[] | null;
  tool_call_id?: string;
}

interface Block {
  type?: string;
  id?: string;
  tool_use_id?: string;
}

/** Messages of one role in a row; `at` is the first. */
interface Turn {
  role: unknown;
  at: number;
  blocks: Block[];
}

interface GooglePart {
  functionCall?: unknown;
  functionResponse?: unknown;
}

/** OpenAI: the tool messages stand directly after the assistant message that called, one for each call. */
export function openAiFault(messages: readonly OpenAiMessage[]): OrderFault | undefined {
  let open: Set<string | undefined> | undefined;
  const unanswered = (at: number): OrderFault | undefined =>
    open === undefined || open.size === 0
      ? undefined
      : {
          message:
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each " +
            `'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(", ")}`,
          param: `messages.[${at}].role`,
        };
  let called: ReadonlySet<string | undefined> | undefined;
  for (const [at, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!called?.has(message.tool_call_id)) {
        return {
          message:
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
          param: `messages.[${at}].role`,
        };
      }
      open?.delete(message.tool_call_id);
      continue;
    }
    const fault = unanswered(at);
    if (fault !== undefined) return fault;
    const ids = message.role === "assistant" && message.tool_calls ? message.tool_calls.map(({ id }) => id) : undefined;
    called = ids && new Set(ids);
    open = ids && new Set(ids);
  }
  return unanswered(messages.length);
}

/**
 * Anthropic: the results stand at the head of the message directly after the calls, one for each. Messages of one role in
 * a row count as one.
 */
export function anthropicFault(messages: readonly { role?: unknown; content?: unknown }[]): OrderFault | undefined {
  if (messages.length === 0) return { message: "messages: at least one message is required" };
  const turns: Turn[] = [];
  for (const [at, { role, content }] of messages.entries()) {
    if (role !== "user" && role !== "assistant") {
      return { message: `messages: Unexpected role "${role}". Allowed roles are "user" and "assistant".` };
    }
    const blocks = Array.isArray(content) ? (content as Block[]) : [{ type: "text" }];
    const last = turns.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else turns.push({ role, at, blocks: [...blocks] });
  }
  if (turns[0]?.role !== "user") return { message: 'messages: first message must use the "user" role' };
  let called: (string | undefined)[] = [];
  for (const [index, turn] of turns.entries()) {
    const fault = resultFault(turn, called);
    if (fault !== undefined) return fault;
    called = turn.blocks.filter(({ type }) => type === "tool_use").map(({ id }) => id);
    const next = turns[index + 1]?.blocks ?? [];
    const firstOther = next.findIndex(({ type }) => type !== "tool_result");
    const results = next.slice(0, firstOther === -1 ? next.length : firstOther).map((block) => block.tool_use_id);
    const open = called.filter((id) => !results.includes(id));
    if (open.length > 0) {
      return {
        message:
          `messages.${turn.at}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ` +
          `${open.join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
      };
    }
  }
  return undefined;
}

/** What is wrong with a turn's results, given the calls of the turn before. */
function resultFault({ at, blocks }: Turn, called: readonly (string | undefined)[]): OrderFault | undefined {
  const seen = new Set<string | undefined>();
  for (const [place, { type, tool_use_id: id }] of blocks.entries()) {
    if (type !== "tool_result") continue;
    const where = `messages.${at}.content.${place}`;
    if (!called.includes(id)) {
      return {
        message:
          `${where}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. Each ` +
          "`tool_result` block must have a corresponding `tool_use` block in the previous message.",
      };
    }
    if (seen.has(id)) {
      return {
        message: `${where}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${id}`,
      };
    }
    seen.add(id);
  }
  return undefined;
}

/** Google: as many function responses as calls, directly after them. They may come in several contents. */
export function googleFault(contents: readonly { role?: unknown; parts?: GooglePart[] }[]): OrderFault | undefined {
  if (contents.length === 0) return { message: "* GenerateContentRequest.contents: contents is not specified\n" };
  let open = 0;
  let before: "user" | "model" | "call" | "response" | undefined;
  for (const { role = "user", parts = [] } of contents) {
    if (role !== "user" && role !== "model" && role !== "function") {
      return { message: "Please use a valid role: user, model." };
    }
    const responses = parts.filter((part) => part.functionResponse !== undefined).length;
    const calls = parts.filter((part) => part.functionCall !== undefined).length;
    if (responses > 0) {
      if (before !== "call" && before !== "response") return { message: COMES_AFTER_CALL };
      open -= responses;
      before = "response";
      if (open < 0) return { message: SAME_NUMBER };
      continue;
    }
    if (open !== 0) return { message: SAME_NUMBER };
    if (calls > 0 && before !== "user" && before !== "response") return { message: COMES_AFTER_USER };
    open = calls;
    before = calls > 0 ? "call" : (role as "user" | "model");
  }
  return open === 0 ? undefined : { message: SAME_NUMBER };
}

const SAME_NUMBER =
  "Please ensure that the number of function response parts is equal to the number of function call parts of the " +
  "function call turn.";
const COMES_AFTER_CALL = "Please ensure that function response turn comes immediately after a function call turn.";
const COMES_AFTER_USER =
  "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
