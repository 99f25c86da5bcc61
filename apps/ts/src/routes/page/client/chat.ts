import { renderInterrupt } from "./ask.ts";
import { byId, element, failureText, fetchJson, serverUrl } from "./dom.ts";
import type { StreamEvent } from "./events.ts";
import { readEvents } from "./events.ts";
import type { ChatMessage } from "./messages.ts";
import { messageText, renderMessage, renderValues } from "./messages.ts";
import { showServer } from "./server.ts";

interface Interrupt {
  id?: string;
  value: unknown;
}

interface State {
  values?: unknown;
  tasks?: { interrupts?: Interrupt[] }[];
}

/** Starts the chat: one thread, named in the address so that a reload finds it again. */
export function startChat(): void {
  const server = serverUrl("/");
  const log = byId("log");
  const welcome = byId("welcome");
  const text = byId<HTMLTextAreaElement>("text");
  const send = byId<HTMLButtonElement>("send");
  const stop = byId<HTMLButtonElement>("stop");
  const graph = byId<HTMLSelectElement>("graph");
  const typing = element("div", { class: "typing", "aria-label": "The agent is working" });
  typing.append(element("i", {}), element("i", {}), element("i", {}));

  let threadId = location.hash.slice(1);
  let run: { path: string; abort: AbortController } | undefined;
  let messages: ChatMessage[] = [];
  /** Of a graph without messages. */
  let values: unknown;
  let pending: Interrupt | undefined;

  const post = (path: string, body: unknown, signal?: AbortSignal) =>
    fetch(`${server}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });

  /** Draws all messages anew, but keeps what the reader has opened, and follows the end if they were there. */
  const draw = () => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const open = new Set([...log.querySelectorAll<HTMLElement>("details.tool[open]")].map((node) => node.dataset.call));
    const results = new Map(messages.filter((m) => m.type === "tool").map((m) => [m.tool_call_id ?? "", m]));
    const nodes = messages.map((m) => renderMessage(m, results)).filter((node) => node !== undefined);
    if (values !== undefined) nodes.push(renderValues(values));
    const notes = [...log.querySelectorAll(".note")];
    welcome.hidden = nodes.length > 0 || run !== undefined;
    log.replaceChildren(welcome, ...nodes, ...notes);
    for (const node of log.querySelectorAll<HTMLDetailsElement>("details.tool"))
      node.open = open.has(node.dataset.call);
    if (run !== undefined) log.append(typing);
    if (run === undefined && pending !== undefined) {
      log.append(renderInterrupt(pending.value, (resume) => void start({ command: { resume } })));
    }
    if (atEnd) log.scrollTop = log.scrollHeight;
  };

  const note = (kind: "bad" | "soft", words: string) => {
    log.append(element("div", { class: `note ${kind}`, role: kind === "bad" ? "alert" : "status" }, words));
    log.scrollTop = log.scrollHeight;
  };

  /** A piece of a message joins the pieces before it; values replace all of them with the whole. */
  const takePiece = (piece: ChatMessage) => {
    const known = messages.find((m) => m.id !== undefined && m.id === piece.id);
    if (known === undefined) messages.push({ ...piece });
    else if (piece.type === "AIMessageChunk") known.content = messageText(known) + messageText(piece);
    else Object.assign(known, piece);
  };

  const takeValues = (all: unknown) => {
    const listed = typeof all === "object" && all !== null ? (all as { messages?: unknown }).messages : undefined;
    if (Array.isArray(listed)) messages = listed;
    values = Array.isArray(listed) ? undefined : (all ?? undefined);
    if (values === undefined || typeof values !== "object" || Array.isArray(values)) return;
    // Names in double underscores are LangGraph's own.
    const own = Object.entries(values as object).filter(([key]) => !key.startsWith("__"));
    values = own.length === 0 ? undefined : Object.fromEntries(own);
  };

  const take = ({ event, data }: StreamEvent) => {
    const payload = data as Record<string, unknown> | null;
    const asked = payload !== null && typeof payload === "object" ? payload.__interrupt__ : undefined;
    if (Array.isArray(asked) && asked.length > 0) pending = asked[0] as Interrupt;
    if (event === "messages") takePiece((data as ChatMessage[])[0] as ChatMessage);
    if (event === "values") takeValues(payload);
    if (event === "error") note("bad", `${payload?.error ?? "Error"}: ${payload?.message ?? "the run failed"}`);
    draw();
  };

  const ensureThread = async () => {
    if (threadId !== "") return;
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    threadId = (await fetchJson<{ thread_id: string }>(`${server}/threads`, init)).thread_id;
    history.replaceState(null, "", `#${threadId}`);
  };

  const setBusy = (busy: boolean) => {
    send.hidden = busy;
    stop.hidden = !busy;
    graph.disabled = busy;
    log.setAttribute("aria-busy", String(busy));
  };

  /** One run: from the request to the end of its stream. */
  const start = async (request: Record<string, unknown>) => {
    if (run !== undefined) return;
    const current = { path: "", abort: new AbortController() };
    run = current;
    pending = undefined;
    setBusy(true);
    draw();
    try {
      await ensureThread();
      const body = { ...request, assistant_id: graph.value, stream_mode: ["messages-tuple", "values", "updates"] };
      const response = await post(`/threads/${threadId}/runs/stream`, body, current.abort.signal);
      if (!response.ok || response.body === null) throw new Error(await failureText(response));
      current.path = response.headers.get("Content-Location") ?? "";
      for await (const event of readEvents(response.body)) take(event);
    } catch (error) {
      if (!current.abort.signal.aborted) note("bad", error instanceof Error ? error.message : String(error));
    } finally {
      // "New chat" may have put another run in this one's place.
      if (run === current) {
        run = undefined;
        setBusy(false);
        draw();
        text.focus();
      }
    }
  };

  const say = (words: string) => {
    const content = words.trim();
    if (content === "" || run !== undefined) return;
    const id = `human-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    for (const old of log.querySelectorAll(".note")) old.remove();
    messages.push({ id, type: "human", content });
    text.value = "";
    log.scrollTop = log.scrollHeight;
    void start({ input: { messages: [{ id, role: "user", content }] } });
  };

  /** The server ends the stream of a cancelled run; the connection is only cut when there is no run to cancel yet. */
  const halt = async () => {
    if (run === undefined) return;
    if (run.path === "") run.abort.abort();
    else await post(`${run.path}/cancel?action=interrupt`, {});
    note("soft", "Stopped");
  };

  const restore = async () => {
    if (threadId === "") return;
    const state = await fetchJson<State>(`${server}/threads/${encodeURIComponent(threadId)}/state`);
    takeValues(state.values);
    pending = state.tasks?.flatMap((task) => task.interrupts ?? [])[0];
    draw();
  };

  const renew = () => {
    run?.abort.abort();
    run = undefined;
    threadId = "";
    messages = [];
    values = undefined;
    pending = undefined;
    history.replaceState(null, "", location.pathname);
    log.replaceChildren(welcome);
    setBusy(false);
    draw();
    text.focus();
  };

  const complain = (error: unknown) => note("bad", error instanceof Error ? error.message : String(error));
  byId("compose").addEventListener("submit", (submit) => {
    submit.preventDefault();
    say(text.value);
  });
  text.addEventListener("keydown", (key) => {
    if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
    key.preventDefault();
    say(text.value);
  });
  stop.addEventListener("click", () => void halt().catch(complain));
  byId("fresh").addEventListener("click", renew);
  for (const idea of byId("ideas").querySelectorAll("button")) {
    idea.addEventListener("click", () => say(idea.textContent ?? ""));
  }
  showServer(server).catch(complain);
  restore().catch((error: unknown) => {
    // The thread in the address may be gone; the next message then starts a new one.
    threadId = "";
    complain(error);
  });
}
