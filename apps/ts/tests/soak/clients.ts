import { pause } from "../chaos/scenario.ts";

const JSON_TYPE = { "content-type": "application/json" };
/** Statuses that a correct client of a healthy server can cause: threads are deleted and shared among clients. */
const EXPECTED = new Set([200, 202, 204, 404, 409]);

export interface Mix {
  url: string;
  random: () => number;
  /** Average pause of a client between two requests, ms. */
  paceMs: number;
}

/** Clients that do everything a server is asked for, and now and then vanish without a word. */
export class Clients {
  readonly counts = new Map<string, number>();
  /** Answers that no client of a healthy server gets. */
  readonly failures: string[] = [];
  readonly #mix: Mix;
  #threads: string[] = [];
  #stopped = false;
  #loops: Promise<void>[] = [];

  constructor(mix: Mix) {
    this.#mix = mix;
  }

  async start(clients: number): Promise<void> {
    for (let i = 0; i < clients * 2; i++) await this.#renew(i);
    this.#loops = Array.from({ length: clients }, () => this.#loop());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(): Promise<void> {
    const { random, paceMs } = this.#mix;
    while (!this.#stopped) {
      const [name, work] = this.#pick(this.#kinds);
      try {
        await work();
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      } catch (error) {
        this.failures.push(`${name}: ${error}`);
      }
      await pause(random() * 2 * paceMs);
    }
  }

  readonly #kinds: readonly (readonly [string, () => Promise<void>])[] = [
    ["wait", () => this.#post(`/threads/${this.#thread()}/runs/wait`, this.#run("counter"))],
    ["stream", () => this.#stream()],
    ["vanish from a stream", () => this.#stream({ vanish: true })],
    ["vanish from a wait", () => this.#vanish(`/threads/${this.#thread()}/runs/wait`, this.#run("slow"))],
    ["background", () => this.#post(`/threads/${this.#thread()}/runs`, this.#run("counter"))],
    ["stateless", () => this.#post("/runs/wait", this.#run("counter"))],
    ["large events", () => this.#post("/runs/stream", { ...this.#run("flood"), stream_mode: ["custom"] })],
    ["state", () => this.#state()],
    ["history", () => this.#post(`/threads/${this.#thread()}/history`, { limit: 20 })],
    ["search", () => this.#post("/threads/search", { limit: 20 })],
    ["store", () => this.#store()],
    ["cancel", () => this.#cancel()],
    ["renew", () => this.#renew(Math.floor(this.#mix.random() * this.#threads.length), { remove: true })],
  ];

  #run(graph: string) {
    return {
      assistant_id: graph,
      input: { steps: 1 + Math.floor(this.#mix.random() * 4), n: 20, bytes: 2_000, ms: 300 },
      multitask_strategy: this.#pick(["enqueue", "enqueue", "interrupt", "rollback", "reject"]),
    };
  }

  async #stream(how: { vanish?: boolean } = {}): Promise<void> {
    const left = new AbortController();
    const input = { messages: [{ role: "user", content: "go" }], n: 60 };
    const body = { assistant_id: "tokens", input, stream_mode: ["messages-tuple", "values"] };
    const response = await this.#send(`/threads/${this.#thread()}/runs/stream`, {
      body: { ...body, on_disconnect: this.#pick(["continue", "cancel"]), multitask_strategy: "enqueue" },
      signal: left.signal,
    });
    const reader = response.body?.getReader();
    try {
      for (let chunks = 0; reader !== undefined; chunks++) {
        const { done } = await reader.read();
        if (done) return;
        if (how.vanish === true && chunks === 3) left.abort();
      }
    } catch (error) {
      if (!left.signal.aborted) throw error;
    }
  }

  async #vanish(path: string, body: unknown): Promise<void> {
    const left = new AbortController();
    const asked = this.#send(path, { body, signal: left.signal });
    await pause(100);
    left.abort();
    await asked.then(
      (response) => response.text().catch(() => ""),
      () => undefined,
    );
  }

  async #store(): Promise<void> {
    const namespace = ["soak", String(Math.floor(this.#mix.random() * 20))];
    const key = String(Math.floor(this.#mix.random() * 200));
    await this.#done(await this.#send("/store/items", { method: "PUT", body: { namespace, key, value: { at: key } } }));
    await this.#post("/store/items/search", { namespace_prefix: namespace, limit: 10 });
  }

  /** The thread's last run may have been of a graph without that node, or there was none. */
  async #state(): Promise<void> {
    const body = { values: { log: ["x"] }, as_node: "step" };
    const response = await this.#send(`/threads/${this.#thread()}/state`, { body });
    if (response.status === 400 || response.status === 422) await response.text();
    else await this.#done(response);
  }

  async #cancel(): Promise<void> {
    const path = `/threads/${this.#thread()}/runs`;
    const response = await this.#send(`${path}?limit=2`, { method: "GET" });
    const runs = await response.json();
    if (!Array.isArray(runs)) return;
    for (const { run_id } of runs) await this.#post(`${path}/${run_id}/cancel`, {});
  }

  async #renew(index: number, how: { remove?: boolean } = {}): Promise<void> {
    const old = this.#threads[index];
    if (how.remove === true) await this.#done(await this.#send(`/threads/${old}`, { method: "DELETE" }));
    const response = await this.#send("/threads", { body: {} });
    this.#threads[index] = (await response.json()).thread_id;
  }

  async #post(path: string, body: unknown): Promise<void> {
    await this.#done(await this.#send(path, { body }));
  }

  async #done(response: Response): Promise<void> {
    const text = await response.text();
    if (!EXPECTED.has(response.status)) throw new Error(`${response.status} ${text.slice(0, 200)}`);
  }

  #send(path: string, request: { method?: string; body?: unknown; signal?: AbortSignal }): Promise<Response> {
    const { method = "POST", body, signal = null } = request;
    const sent = body === undefined ? {} : { headers: JSON_TYPE, body: JSON.stringify(body) };
    return fetch(this.#mix.url + path, { method, signal, ...sent });
  }

  #thread(): string {
    return this.#pick(this.#threads);
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#mix.random() * items.length)] as T;
  }
}
