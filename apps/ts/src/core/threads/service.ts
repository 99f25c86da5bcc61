import { newId } from "@fractal-agents/infra/ids";
import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import type { Page } from "#schemas/common";
import type { Superstep, Thread, ThreadCreate, ThreadPatch } from "#schemas/threads";
import { compileExtract } from "./extract.ts";
import type { NewThread, ThreadFilter, ThreadQuery, ThreadRepository } from "./repository.ts";

export interface ThreadServiceDeps {
  threads: ThreadRepository;
  /** Applies supersteps to a fresh thread, each as one state update of several nodes. */
  state: { bulkUpdate(scope: AuthScope, threadId: string, supersteps: Superstep[]): Promise<void> };
  /** Announces that a thread is about to go, stops what runs or waits on it, and returns when that has stopped. */
  runs: { cancelInflight(scope: AuthScope, threadId: string): Promise<void> };
  /** Of threads that are created without one of their own. */
  defaultTtl?: NewThread["ttl"];
}

export class ThreadService {
  readonly #threads: ThreadRepository;
  readonly #state: ThreadServiceDeps["state"];
  readonly #runs: ThreadServiceDeps["runs"];
  readonly #defaultTtl: NewThread["ttl"];

  constructor(deps: ThreadServiceDeps) {
    this.#threads = deps.threads;
    this.#state = deps.state;
    this.#runs = deps.runs;
    this.#defaultTtl = deps.defaultTtl;
  }

  /**
   * An idle thread without values, or with the state that the supersteps lead to. A superstep that fails takes the
   * thread with it. If the process dies between the two, the thread stays without the rest of its steps: the caller had
   * no answer, and a repeat under the same id says that it exists.
   */
  async create(scope: AuthScope, request: ThreadCreate): Promise<Thread> {
    const { supersteps = [], metadata = {}, ttl = this.#defaultTtl } = request;
    if (supersteps.length > 0 && typeof metadata.graph_id !== "string") {
      throw new RuntimeError("bad_request", "supersteps need metadata.graph_id, to know whose state they write");
    }
    const threadId = request.thread_id ?? newId();
    const inserted = await this.#threads.insert(scope, { thread_id: threadId, metadata, ttl });
    if (inserted === undefined) return this.#existing(scope, threadId, request.if_exists);
    if (supersteps.length === 0) return withoutTtl(inserted);
    try {
      await this.#state.bulkUpdate(scope, threadId, supersteps);
    } catch (error) {
      await this.#threads.remove(scope, threadId);
      throw error;
    }
    return withoutTtl(await this.#get(scope, threadId));
  }

  async get(scope: AuthScope, threadId: string, include: { ttl: boolean }): Promise<Thread> {
    const thread = await this.#get(scope, threadId);
    return include.ttl ? thread : withoutTtl(thread);
  }

  async patch(scope: AuthScope, threadId: string, patch: ThreadPatch): Promise<Thread> {
    const { metadata, ttl } = patch;
    const change = { ...(metadata === undefined ? {} : { metadata }), ...(ttl === undefined ? {} : { ttl }) };
    const thread = await this.#threads.patch(scope, threadId, change);
    if (thread === undefined) throw noThread(threadId);
    return withoutTtl(thread);
  }

  /** Runs are stopped first: after a death in between, the thread is still there and the call can be repeated. */
  async remove(scope: AuthScope, threadId: string): Promise<void> {
    await this.#get(scope, threadId);
    await this.#runs.cancelInflight(scope, threadId);
    // False when another request, or retention, has just completed the same deletion.
    await this.#threads.remove(scope, threadId);
  }

  /** @param extract Alias to path; see compileExtract. */
  async search(scope: AuthScope, query: ThreadQuery, extract?: Record<string, string>): Promise<Page<Thread>> {
    const extractor = extract === undefined ? undefined : compileExtract(extract);
    // No ids at all are no condition, as on LangGraph Platform.
    const ids = query.ids?.length === 0 ? undefined : query.ids;
    const page = await this.#threads.search(scope, { ...query, ids });
    const items = page.items.map(withoutTtl);
    if (extractor === undefined) return { items, more: page.more };
    return { items: items.map((thread) => ({ ...thread, extracted: extractor(thread) })), more: page.more };
  }

  count(scope: AuthScope, filter: ThreadFilter): Promise<number> {
    return this.#threads.count(scope, filter);
  }

  /** Unknown threads are passed over. Returns how many were touched. */
  async prune(scope: AuthScope, threadIds: string[], strategy: "delete" | "keep_latest"): Promise<number> {
    const ids = [...new Set(threadIds)];
    if (ids.length === 0) return 0;
    if (strategy === "delete") for (const id of ids) await this.#runs.cancelInflight(scope, id);
    return this.#threads.prune(scope, ids, strategy);
  }

  /** A missing source is a conflict, as on the official server. */
  async copy(scope: AuthScope, threadId: string): Promise<Thread> {
    const copy = await this.#threads.copy(scope, threadId, newId());
    if (copy === "busy")
      throw new RuntimeError("conflict", `Thread ${threadId} is busy with a run. Copy it when the run has ended.`);
    if (copy === "no_thread")
      throw new RuntimeError("conflict", `Thread ${threadId} not found, so it cannot be copied`);
    return withoutTtl(copy);
  }

  async #get(scope: AuthScope, threadId: string): Promise<Thread> {
    const thread = await this.#threads.find(scope, threadId);
    if (thread === undefined) throw noThread(threadId);
    return thread;
  }

  /** One that exists but is hidden is a conflict too. */
  async #existing(scope: AuthScope, threadId: string, ifExists: ThreadCreate["if_exists"]): Promise<Thread> {
    const thread = ifExists === "do_nothing" ? await this.#threads.find(scope, threadId) : undefined;
    if (thread === undefined) throw new RuntimeError("conflict", `Thread ${threadId} already exists`);
    return withoutTtl(thread);
  }
}

function noThread(threadId: string): RuntimeError {
  return new RuntimeError("not_found", `Thread ${threadId} not found`);
}

/** `ttl` is shown only where it was asked for. */
function withoutTtl(thread: Thread): Thread {
  const { ttl: _, ...rest } = thread;
  return rest;
}
