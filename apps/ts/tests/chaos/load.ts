import type { Accepted } from "./check.ts";
import { ask, HttpError, NotAccepted, post, type Streamed, streamRun } from "./client.ts";
import type { Fleet } from "./fleet.ts";
import { pause } from "./scenario.ts";

const STRATEGIES = ["enqueue", "enqueue", "enqueue", "interrupt", "rollback", "reject"];
const KINDS = ["", "", "/wait", "/stream", "stateless", "delayed", "state", "cancel"] as const;

/** Clients that go on asking while the fleet dies under them; what was answered 2xx is written down. */
export class Load {
  readonly accepted: Accepted[] = [];
  /** Threads on which a rollback was accepted or may have been: their runs may be gone. */
  readonly rolledBack = new Set<string>();
  /** Answers that a client of a healthy server does not get. */
  readonly failures: string[] = [];
  readonly #fleet: Fleet;
  readonly #random: () => number;
  readonly #graphs: readonly string[];
  #stopped = false;
  #clients: Promise<void>[] = [];
  threads: string[] = [];
  readonly every: string[] = [];

  constructor(
    fleet: Fleet,
    random: () => number,
    graphs: readonly string[] = ["counter", "counter", "steps", "unhearing"],
  ) {
    this.#fleet = fleet;
    this.#random = random;
    this.#graphs = graphs;
  }

  async start(clients: number, threads = 8): Promise<void> {
    for (let i = 0; i < threads; i++) await this.renew(i);
    this.#clients = Array.from({ length: clients }, () => this.#client());
  }

  /** A fresh thread in place of one, so that none grows a history that would be all there is to wait for. */
  async renew(index = Math.floor(this.#random() * this.threads.length)): Promise<void> {
    const threadId = await this.#fleet.thread();
    this.threads[index] = threadId;
    this.every.push(threadId);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#request();
      } catch (error) {
        // The server died, or is not up yet: nothing was accepted, as far as this client knows.
        this.failures.push(String(error));
        await pause(20);
      }
    }
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }

  async #request(): Promise<void> {
    const threadId = this.#pick(this.threads);
    const kind = this.#pick(KINDS);
    const url = this.#fleet.url();
    if (kind === "state") {
      const response = await post(url, `/threads/${threadId}/state`, { values: { ms: 5 }, as_node: "step" });
      await this.#consume(response, [200, 400, 409]);
      return;
    }
    if (kind === "cancel") {
      for (const { run_id } of await ask(url, `/threads/${threadId}/runs?limit=2`)) {
        await this.#consume(await post(url, `/threads/${threadId}/runs/${run_id}/cancel`), [200, 202, 204, 404, 409]);
      }
      return;
    }
    const multitask_strategy = this.#pick(STRATEGIES);
    if (multitask_strategy === "rollback") this.rolledBack.add(threadId);
    const body = {
      assistant_id: this.#pick(this.#graphs),
      input: { steps: 1 + Math.floor(this.#random() * 3) + (kind === "stateless" ? 3 : 0), ms: 5, sleep_ms: 5 },
      config: { recursion_limit: 1000 },
      multitask_strategy,
      ...(kind === "delayed" && { after_seconds: 1 }),
    };
    const path = kind === "stateless" ? "/runs" : `/threads/${threadId}/runs${kind === "delayed" ? "" : kind}`;
    const response = await post(url, path, body);
    if (response.status === 200) this.#note(response);
    await this.#consume(response, [200, 409, 422]);
  }

  async #consume(response: Response, expected: readonly number[]): Promise<void> {
    const text = await response.text();
    if (!expected.includes(response.status))
      throw new Error(`${response.url}: ${response.status} ${text.slice(0, 200)}`);
  }

  #note(response: Response): void {
    const match = /^(?:\/threads\/([^/]+))?\/runs\/([^/]+)$/.exec(response.headers.get("content-location") ?? "");
    if (match === null) return;
    this.accepted.push({ threadId: match[1] ?? "", runId: match[2] as string });
    this.#fleet.history.note("load", "accepted", { run: match[2], thread: match[1] });
  }

  /** No superstep was lost or run twice into the state: the log of each thread counts without a gap. */
  async checkStates(): Promise<void> {
    for (const threadId of this.every) {
      const { values } = await ask(this.#fleet.url(), `/threads/${threadId}/state`);
      const log: string[] = values.log ?? [];
      const gap = log.findIndex((step, i) => step !== `step-${i + 1}`);
      if (gap >= 0)
        throw new Error(`the state of ${threadId} has ${log.slice(Math.max(0, gap - 2), gap + 3)} at ${gap}`);
    }
  }
}

/** Streams that are followed to their end meanwhile, each on a thread of its own. */
export function streams(
  fleet: Fleet,
  count: number,
  options: { steps: number; ms: number; durability?: string },
): Promise<Streamed[]> {
  const body = {
    assistant_id: "steps",
    input: { steps: options.steps, ms: options.ms },
    durability: options.durability ?? "async",
    stream_mode: ["updates", "values"],
    stream_resumable: true,
    config: { recursion_limit: 1000 },
  };
  const follow = async (): Promise<Streamed> => {
    for (;;) {
      try {
        return await streamRun(fleet, { threadId: await fleet.thread(), body, within: 600_000 });
      } catch (error) {
        // The instance died while it was asked: the client asks another, on another thread.
        if (!(error instanceof NotAccepted) || error.cause instanceof HttpError) throw error;
      }
    }
  };
  return Promise.all(Array.from({ length: count }, follow));
}
