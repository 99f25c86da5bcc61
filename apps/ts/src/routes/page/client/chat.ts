import { type Asked, renderInterrupts } from "./ask.ts";
import { createCompose } from "./compose.ts";
import type { Link, Reading } from "./connection.ts";
import { attempt, followRun, isActive, pause, reach, reachJson } from "./connection.ts";
import { createConversation } from "./conversation.ts";
import { byId, complaintOf, element, failureText, newId, serverUrl } from "./dom.ts";
import { createLog } from "./log.ts";
import type { Interrupt } from "./questions.ts";
import { showServer, showSnippets } from "./server.ts";

interface ThreadState {
  values?: unknown;
  next?: string[];
  tasks?: { interrupts?: Interrupt[] }[];
}

interface RunRow {
  run_id: string;
  status: string;
  metadata?: { page_request?: string } | null;
}

interface ThreadRow {
  status: string;
  metadata?: { graph_id?: string } | null;
  error?: { error?: string; message?: string } | null;
}

/** Starts the chat. The thread is named in the address, so that a reload, a link and Back find it again. */
export function startChat(): void {
  const server = serverUrl("/");
  const text = byId<HTMLTextAreaElement>("text");
  const graph = byId<HTMLSelectElement>("graph");
  const lostBar = byId("lost");
  const conversation = createConversation();
  const compose = createCompose();

  let threadId = "";
  /** The server has the thread; not so while its first run has not been accepted. */
  let isStored = false;
  /** Ends everything that is under way for the thread shown; the runs themselves go on. */
  let visit = new AbortController();
  let run: { reading?: Reading; isStopping: boolean } | undefined;
  let isLoading = true;
  let asked: Asked | undefined;

  const log = createLog(() => ({
    messages: conversation.messages,
    values: conversation.values,
    isBusy: run !== undefined,
  }));
  const lost = (problem: string | undefined) => {
    lostBar.hidden = problem === undefined;
    lostBar.textContent = problem ? `Reconnecting. The server said: ${problem}` : "Reconnecting to the server …";
  };
  const linkOf = ({ signal }: AbortController): Link => ({ server, signal, lost: (p) => signal.aborted || lost(p) });
  const json = (body: unknown) => ({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const show = () => {
    compose.show({ isBusy: run !== undefined, isLoading, asked });
    log.draw();
  };
  const complain = (error: unknown) => log.note("bad", complaintOf(error));
  const ask = (next: Asked | undefined, node: HTMLElement | null = next?.node ?? null) => {
    asked = next;
    log.ask(node);
  };

  /** Starts a run. A request that got no answer may have arrived: it is sent again only if it has not. */
  const send = async (link: Link, request: Record<string, unknown>): Promise<Response | undefined> => {
    const key = newId();
    const body = json({
      ...request,
      assistant_id: graph.value,
      stream_mode: ["messages-tuple", "values", "updates"],
      if_not_exists: "create",
      metadata: { page_request: key },
    });
    const thread = `/threads/${threadId}`;
    for (;;) {
      const response = await attempt(link, `${thread}/runs/stream`, body);
      if (response?.ok === false) throw new Error(await failureText(response));
      if (response !== undefined) {
        open(response.headers.get("Content-Location") ?? "");
        return response;
      }
      await pause(500, link.signal);
      const listed = await reach(link, `${thread}/runs?limit=10`);
      const runs = listed.ok ? ((await listed.json()) as RunRow[]) : [];
      const own = runs.find(({ metadata }) => metadata?.page_request === key);
      if (own === undefined) continue;
      open(`${thread}/runs/${own.run_id}`);
      return undefined;
    }
  };
  const open = (path: string) => {
    isStored = true;
    if (run !== undefined) run.reading = { path, lastId: "-1" };
    if (run?.isStopping === true) void halt().catch(complain);
  };

  /** Reads a run to its end, then what the thread holds, and so on while it has another run. */
  const follow = async (begin: (link: Link) => Promise<Response | undefined>) => {
    const own = visit;
    const link = linkOf(own);
    const current: { reading?: Reading; isStopping: boolean } = { isStopping: false };
    run = current;
    ask(undefined);
    show();
    try {
      const opened = await begin(link);
      if (current.reading !== undefined) {
        for await (const event of followRun(link, current.reading, opened)) {
          conversation.take(event);
          const fault = event.data as { error?: string; message?: string } | null;
          if (event.event === "error") complain(`${fault?.error ?? "Error"}: ${fault?.message ?? "the run failed"}`);
          log.draw();
        }
      }
    } catch (error) {
      if (own.signal.aborted) return;
      complain(error);
    }
    run = undefined;
    if (isStored) await restore(own);
    else show();
    text.focus();
  };

  const start = (request: Record<string, unknown>) => {
    if (run !== undefined) return;
    if (threadId === "") {
      threadId = newId();
      history.pushState(null, "", `#${threadId}`);
    }
    void follow((link) => send(link, request));
  };

  /** What the thread holds and waits for; a run that is under way is joined. */
  const restore = async (own: AbortController, isVisit = false) => {
    const link = linkOf(own);
    const path = `/threads/${encodeURIComponent(threadId)}`;
    try {
      const thread = await reachJson<ThreadRow>(link, path);
      const graphId = thread.metadata?.graph_id;
      if (isVisit && graphId !== undefined && [...graph.options].some(({ value }) => value === graphId)) {
        graph.value = graphId;
        await turn(own);
      }
      isStored = true;
      const state = await reachJson<ThreadState>(link, `${path}/state`);
      const runs = await reachJson<RunRow[]>(link, `${path}/runs?limit=20`);
      const active = runs.findLast(({ status }) => isActive(status));
      conversation.takeValues(state.values);
      isLoading = false;
      if (active !== undefined) {
        void follow(async () => {
          open(`${path}/runs/${active.run_id}`);
          return undefined;
        });
        return;
      }
      waitFor(state);
      if (isVisit && thread.status === "error")
        complain(`${thread.error?.error ?? "Error"}: ${thread.error?.message ?? "the last run failed"}`);
    } catch (error) {
      if (own.signal.aborted) return;
      // The thread may be gone; the next message then starts a new one.
      if (isVisit) threadId = "";
      complain(error);
    }
    isLoading = false;
    show();
  };

  const waitFor = ({ tasks = [], next = [] }: ThreadState) => {
    const interrupts = tasks.flatMap((task) => task.interrupts ?? []);
    if (interrupts.length > 0) {
      ask(renderInterrupts(interrupts, (resume) => start({ command: { resume } })));
      return;
    }
    const button = element("button", { class: "button", type: "button" }, "Continue");
    button.addEventListener("click", () => start({ input: null }));
    const more = element(
      "div",
      { class: "more" },
      element("span", { class: "quiet" }, `Next: ${next.join(", ")}`),
      button,
    );
    // Stopped in its way, but without a question: a message may be sent as well.
    ask(undefined, next.length === 0 ? null : more);
  };

  /** The fields and the examples of the graph chosen. */
  const turn = async (own: AbortController) => {
    showSnippets(server, graph.value);
    await compose.fit(linkOf(own), graph.value);
  };

  /** Shows a thread, or a new one. */
  const go = async (id: string) => {
    visit.abort();
    visit = new AbortController();
    const own = visit;
    threadId = id;
    isStored = false;
    run = undefined;
    isLoading = true;
    conversation.clear();
    log.clearNotes();
    lost(undefined);
    ask(undefined);
    show();
    await turn(own);
    if (id !== "") return restore(own, true);
    isLoading = false;
    show();
    text.focus();
  };
  const visitThread = (id: string) => {
    const reported = go(id);
    const own = visit;
    reported.catch((error: unknown) => own.signal.aborted || complain(error));
  };
  const renew = () => {
    if (location.hash !== "") history.pushState(null, "", location.pathname + location.search);
    visitThread("");
  };

  const say = (words: string) => {
    const content = words.trim();
    if (run !== undefined || isLoading) return;
    if (asked !== undefined) {
      if (content === "" || asked.answerText === undefined) return;
      text.value = "";
      log.note("soft", `Answered: ${content}`);
      asked.answerText(content);
      return;
    }
    const isMessage = compose.takesMessages();
    if (isMessage && content === "") return;
    log.clearNotes();
    let input: Record<string, unknown>;
    try {
      input = compose.readInput();
    } catch (error) {
      complain(error);
      return;
    }
    if (isMessage) {
      const id = `human-${newId()}`;
      conversation.messages.push({ id, type: "human", content });
      input = { ...input, messages: [{ id, role: "user", content }] };
    }
    text.value = "";
    start({ input });
  };

  /** The server ends the stream of a cancelled run. A run that is not known yet is cancelled when it is. */
  const halt = async () => {
    if (run === undefined) return;
    run.isStopping = true;
    if (run.reading === undefined) return;
    const response = await reach(linkOf(visit), `${run.reading.path}/cancel?action=interrupt`, json({}));
    // 404: it has just ended by itself.
    if (!response.ok && response.status !== 404) throw new Error(await failureText(response));
    log.note("soft", "Stopped");
  };

  byId("compose").addEventListener("submit", (submit) => {
    submit.preventDefault();
    say(text.value);
  });
  text.addEventListener("keydown", (key) => {
    if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
    key.preventDefault();
    say(text.value);
  });
  byId("stop").addEventListener("click", () => void halt().catch(complain));
  byId("fresh").addEventListener("click", renew);
  graph.addEventListener("change", renew);
  for (const idea of byId("ideas").querySelectorAll("button")) {
    idea.addEventListener("click", () => say(idea.textContent ?? ""));
  }
  addEventListener("popstate", () => {
    if (location.hash.slice(1) !== threadId) visitThread(location.hash.slice(1));
  });
  show();
  showServer(linkOf(visit))
    .then(() => visitThread(location.hash.slice(1)))
    .catch(complain);
}
