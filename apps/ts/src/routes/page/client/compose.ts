import type { Asked } from "./ask.ts";
import type { Link } from "./connection.ts";
import { reach } from "./connection.ts";
import { byId, element } from "./dom.ts";
import type { Form } from "./fields.ts";
import { createForm } from "./fields.ts";
import type { Schema } from "./schema.ts";

export interface ComposeState {
  isBusy: boolean;
  isLoading: boolean;
  asked: Asked | undefined;
}

export interface Compose {
  /** Makes the fields for the input of a graph. */
  fit(link: Link, graph: string): Promise<void>;
  /** Shows what can be sent now. */
  show(state: ComposeState): void;
  /** The fields as input, without the message; throws what is wrong with them. */
  readInput(): Record<string, unknown>;
  takesMessages(): boolean;
}

/** LangGraph marks a channel of chat messages; without the mark, a list of things with content is one. */
export function isChat(schema: Schema | null | undefined): boolean {
  const messages = schema?.properties?.messages;
  return messages?.langgraph_type === "messages" || JSON.stringify(messages?.items ?? "").includes('"content"');
}

/** Where a person writes: a message, the input of a graph without messages, or an answer. */
export function createCompose(): Compose {
  const text = byId<HTMLTextAreaElement>("text");
  const send = byId<HTMLButtonElement>("send");
  const fields = byId("fields");
  let form: Form | undefined;
  let chats = true;

  const fit = async (link: Link, graph: string) => {
    const response = await reach(link, `/assistants/${encodeURIComponent(graph)}/schemas`);
    const schema = response.ok ? ((await response.json()) as { input_schema?: Schema | null }).input_schema : undefined;
    link.signal.throwIfAborted();
    // Without a schema nothing is known of the input, so all of it is written.
    chats = !response.ok || isChat(schema);
    const { messages: _, ...others } = schema?.properties ?? {};
    form =
      chats && Object.keys(others).length === 0
        ? undefined
        : createForm({ ...schema, ...(chats && { properties: others }) });
    const summary = element("summary", { class: "quiet" }, "More input");
    const inside = form === undefined ? [] : chats ? [element("details", {}, summary, form.node)] : [form.node];
    fields.replaceChildren(...inside);
  };

  const show = ({ isBusy, isLoading, asked }: ComposeState) => {
    const isWaiting = asked !== undefined && !isBusy;
    const isLocked = isLoading || (isWaiting && asked.answerText === undefined);
    send.hidden = isBusy;
    byId("stop").hidden = !isBusy;
    send.disabled = isLocked;
    text.disabled = isLocked;
    text.hidden = !chats && !isWaiting;
    fields.hidden = isWaiting || isBusy || form === undefined;
    send.textContent = isWaiting ? "Answer" : chats ? "Send" : "Run";
    const hint = isLocked ? "Decide above before you go on" : "Write your answer";
    text.placeholder = isWaiting ? hint : "Write a message";
    byId("ideas").hidden = !chats;
    byId("invitation").textContent = chats ? "Talk to your agent" : "Run your graph";
  };

  const readInput = () => (form?.read() ?? {}) as Record<string, unknown>;
  return { fit, show, readInput, takesMessages: () => chats };
}
