import { expect } from "bun:test";
import { join } from "node:path";
import { type Accepted, checkFile, checkRest, unfinished } from "./check-file.ts";
import { CrashServer, eventually } from "./server.ts";

/** A small generator with a seed, so that a failure can be looked at again (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const GRAPHS = ["counter", "counter", "unhearing"];
const STRATEGIES = ["enqueue", "enqueue", "enqueue", "interrupt", "rollback", "reject"];

/** Clients that go on asking while the server dies under them; what was answered 2xx is written down. */
class Load {
  readonly accepted: Accepted[] = [];
  /** Threads on which a rollback was accepted or may have been: their runs may be gone. */
  readonly rolledBack = new Set<string>();
  #stopped = false;
  #clients: Promise<void>[] = [];

  readonly server: CrashServer;
  readonly threads: readonly string[];
  readonly random: () => number;

  constructor(server: CrashServer, threads: readonly string[], random: () => number) {
    this.server = server;
    this.threads = threads;
    this.random = random;
  }

  start(clients: number): void {
    this.#clients = Array.from({ length: clients }, () => this.#client());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#request();
      } catch {
        // The server died or is not up yet: nothing was accepted, as far as this client knows.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async #request(): Promise<void> {
    const pick = <T>(items: readonly T[]): T => items[Math.floor(this.random() * items.length)] as T;
    const threadId = pick(this.threads);
    const multitask_strategy = pick(STRATEGIES);
    if (multitask_strategy === "rollback") this.rolledBack.add(threadId);
    const steps = 1 + Math.floor(this.random() * 3);
    const body = {
      assistant_id: pick(GRAPHS),
      input: { steps: 10_000, sleep_ms: 5 },
      config: { recursion_limit: 1000 },
    };
    const request = { ...body, input: { ...body.input, steps }, multitask_strategy };
    const kind = pick(["", "", "/wait", "/stream", "stateless", "delayed", "state", "cancel"]);
    if (kind === "state") return this.#writeState(threadId);
    if (kind === "cancel") return this.#cancel(threadId);
    const path = kind === "stateless" ? "/runs" : `/threads/${threadId}/runs${kind === "delayed" ? "" : kind}`;
    const response = await this.server.post(path, kind === "delayed" ? { ...request, after_seconds: 1 } : request);
    if (response.status === 200) this.#note(response);
    await response.text();
  }

  #note(response: Response): void {
    const match = /^(?:\/threads\/([^/]+))?\/runs\/([^/]+)$/.exec(response.headers.get("content-location") ?? "");
    if (match !== null) this.accepted.push({ threadId: match[1] ?? "", runId: match[2] as string });
  }

  /** Whatever is pending or running on the thread. */
  async #cancel(threadId: string): Promise<void> {
    for (const { run_id } of await this.server.json(`/threads/${threadId}/runs?limit=2`)) {
      await (await this.server.post(`/threads/${threadId}/runs/${run_id}/cancel`, {})).text();
    }
  }

  async #writeState(threadId: string): Promise<void> {
    await (await this.server.post(`/threads/${threadId}/state`, { values: { sleep_ms: 5 }, as_node: "step" })).text();
  }
}

/** No superstep was lost or run twice into the state: the log of the thread counts without a gap. */
async function checkStates(server: CrashServer, threads: readonly string[]): Promise<void> {
  for (const threadId of threads) {
    const { values } = await server.json(`/threads/${threadId}/state`);
    const log: string[] = values.log ?? [];
    expect(log).toEqual(log.map((_, i) => `step-${i + 1}`));
  }
}

/** A kill that meets no work proves nothing. */
const ACCEPTED_PER_KILL = 1;

/** Kills a server under mixed load so many times in a row, and proves I1, I2, I3 and I5 of what it left. */
export async function randomKills(kills: number, seed: number): Promise<{ accepted: number }> {
  const random = generator(seed);
  const env = { FRACTAL_CANCEL_GRACE_SECONDS: "0" };
  await using server = await CrashServer.start("bun", env, join(import.meta.dir, "fixtures"));
  const threads: string[] = [];
  for (let i = 0; i < 8; i++) threads.push(await server.thread());
  const every = [...threads];
  const load = new Load(server, threads, random);
  load.start(6);
  for (let i = 0; i < kills; i++) {
    // New threads now and then, so that none grows a history that would be all there is to wait for.
    if (i % 10 === 9) {
      const fresh = await server.thread();
      threads[((i - 9) / 10) % threads.length] = fresh;
      every.push(fresh);
    }
    // Suspects have the server to themselves after a kill, and clients that wait for others ask nothing meanwhile.
    const wanted = load.accepted.length + ACCEPTED_PER_KILL;
    await eventually(
      async () => load.accepted.length,
      (accepted) => accepted >= wanted,
    );
    await new Promise((resolve) => setTimeout(resolve, random() * 350));
    await server.kill();
    checkFile(server.dataDir);
    await server.start();
  }
  await load.stop();
  await eventually(
    async () => unfinished(server.dataDir),
    (runs) => runs.length === 0,
    60_000,
  );
  await checkStates(server, every);
  expect(await server.stop()).toBe(0);
  checkFile(server.dataDir);
  expect(unfinished(server.dataDir), "I1: a run that never ended").toEqual([]);
  checkRest(server.dataDir, load);
  return { accepted: load.accepted.length };
}
