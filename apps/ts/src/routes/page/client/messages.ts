import { element } from "./dom.ts";
import { renderMarkdown } from "./markdown.ts";

export interface ToolCall {
  id?: string;
  name: string;
  args: unknown;
}

/** The parts of a LangChain message that are shown (wire form). */
export interface ChatMessage {
  id?: string;
  type: string;
  name?: string;
  content: string | { type?: string; text?: string }[];
  tool_calls?: ToolCall[];
  tool_call_id?: string;
  status?: string;
}

export function messageText(message: ChatMessage): string {
  if (typeof message.content === "string") return message.content;
  return (message.content ?? []).map((block) => (typeof block === "string" ? block : (block.text ?? ""))).join("");
}

export function renderToolCall(call: ToolCall, result: ChatMessage | undefined): HTMLElement {
  const pretty = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  const state = result === undefined ? "" : result.status === "error" ? " failed" : " done";
  const body = element("div", {}, element("h3", {}, "Arguments"), element("pre", {}, pretty(call.args)));
  if (result !== undefined) body.append(element("h3", {}, "Result"), element("pre", {}, messageText(result)));
  const label = result === undefined ? "called" : result.status === "error" ? "failed" : "answered";
  return element(
    "details",
    { class: `tool${state}`, "data-call": call.id ?? "" },
    element("summary", {}, element("code", {}, call.name), element("span", { class: "quiet" }, label)),
    body,
  );
}

/** One message; the results of its tool calls are shown inside it, so tool messages have no element of their own. */
export function renderMessage(message: ChatMessage, results: Map<string, ChatMessage>): HTMLElement | undefined {
  const text = messageText(message);
  const calls = message.tool_calls ?? [];
  const human = message.type === "human";
  const ai = message.type === "ai" || message.type === "AIMessageChunk";
  if ((!human && !ai) || (text === "" && calls.length === 0)) return undefined;
  const node = element("div", { class: `message ${human ? "human" : "ai"}` });
  node.append(element("span", { class: "visually-hidden" }, human ? "You: " : "Agent: "));
  if (text !== "") node.append(element("div", { class: "text" }, ...(human ? [text] : renderMarkdown(text))));
  for (const call of calls) node.append(renderToolCall(call, results.get(call.id ?? "")));
  return node;
}

/** What a graph without messages has to say: a chat would look as if nothing had happened. */
export function renderValues(values: unknown): HTMLElement {
  return element(
    "div",
    { class: "message ai" },
    element("div", { class: "quiet" }, "The graph has no messages. Its values:"),
    element("div", { class: "text" }, element("pre", {}, JSON.stringify(values, null, 2))),
  );
}
