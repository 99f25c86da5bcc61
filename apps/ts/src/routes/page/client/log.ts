import { byId, element } from "./dom.ts";
import type { ChatMessage } from "./messages.ts";
import { renderMessage, renderValues } from "./messages.ts";

export interface LogView {
  messages: ChatMessage[];
  /** Of a graph without messages. */
  values: unknown;
  isBusy: boolean;
}

export interface Log {
  /** Draws what `view` returns, once per frame however often it is called. */
  draw(): void;
  /** Puts what a thread waits for below the messages; null takes it away. */
  ask(node: HTMLElement | null): void;
  note(kind: "bad" | "soft", words: string): void;
  clearNotes(): void;
}

/** The conversation on the screen. What has not changed keeps its elements, and with them what is selected or opened. */
export function createLog(view: () => LogView): Log {
  const log = byId("log");
  const welcome = byId("welcome");
  const said = byId("said");
  const asked = byId("asked");
  const notes = byId("notes");
  const typing = element("div", { class: "typing", "aria-label": "The agent is working" });
  typing.append(element("i", {}), element("i", {}), element("i", {}));
  let drawn = new Map<string, HTMLElement>();
  let isPlanned = false;

  const renderAll = ({ messages, values }: LogView) => {
    const results = new Map(messages.filter((m) => m.type === "tool").map((m) => [m.tool_call_id ?? "", m]));
    const open = new Set(
      [...said.querySelectorAll<HTMLElement>("details.tool[open]")].map((node) => node.dataset.call),
    );
    const next = new Map<string, HTMLElement>();
    const add = (key: string, make: () => HTMLElement | undefined) => {
      const node = drawn.get(key) ?? make();
      if (node !== undefined) next.set(key, node);
    };
    for (const [at, message] of messages.entries()) {
      const own = (message.tool_calls ?? []).map((call) => results.get(call.id ?? ""));
      add(JSON.stringify([at, message, own]), () => renderMessage(message, results));
    }
    if (values !== undefined) add(JSON.stringify(["values", values]), () => renderValues(values));
    drawn = next;
    const nodes = [...next.values()];
    for (const [at, node] of nodes.entries())
      if (said.children[at] !== node) said.insertBefore(node, said.children[at] ?? null);
    while (said.children.length > nodes.length) said.lastElementChild?.remove();
    for (const node of said.querySelectorAll<HTMLDetailsElement>("details.tool"))
      node.open ||= open.has(node.dataset.call);
  };
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const toEnd = () => {
    log.scrollTop = log.scrollHeight;
  };
  const paint = () => {
    isPlanned = false;
    const current = view();
    const follows = atEnd();
    renderAll(current);
    welcome.hidden = current.isBusy || said.childElementCount + asked.childElementCount > 0;
    if (!current.isBusy) typing.remove();
    else if (!typing.isConnected) said.after(typing);
    log.setAttribute("aria-busy", String(current.isBusy));
    if (follows) toEnd();
  };
  const draw = () => {
    if (!isPlanned) requestAnimationFrame(paint);
    isPlanned = true;
  };
  const ask = (node: HTMLElement | null) => {
    const follows = atEnd();
    asked.replaceChildren(...(node === null ? [] : [node]));
    draw();
    if (follows) toEnd();
  };
  const note = (kind: "bad" | "soft", words: string) => {
    notes.append(element("div", { class: `note ${kind}`, role: kind === "bad" ? "alert" : "status" }, words));
    toEnd();
  };
  return { draw, ask, note, clearNotes: () => notes.replaceChildren() };
}
