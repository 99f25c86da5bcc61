import { LeaseLostError, RuntimeError } from "#core/errors";
import type { GraphLike } from "#core/graphs/registry";
import { encodeJson } from "#core/graphs/wire";
import type { AuthScope } from "#core/identity/scope";
import { type ClosingEvent, RunEmitter } from "#core/streams/emitter";
import type { RunFeed } from "#core/streams/feed";
import { Pump } from "#core/streams/pump";
import { readRunState } from "#core/threads/run-state";
import { RunCancelled, RunTimeout, Shutdown } from "./abort.ts";
import { concludeSwept } from "./conclude.ts";
import type { RunHandle } from "./control.ts";
import type { RunKwargs } from "./create.ts";
import { failureOf, resultBody } from "./outcome.ts";
import { type Prepared, prepareRun, type RunEnvironment } from "./prepare.ts";
import type { RunFailure, RunOutcome } from "./repository.ts";
import { NodeVanished } from "./vanished-node.ts";

/**
 * "handed_on": finished, and another run of the thread is due. "released": back in the queue without using an attempt.
 * "retried": back with backoff. "lost": the lane moved on.
 */
export type AttemptEnd = "finished" | "handed_on" | "released" | "retried" | "lost";

/** What an attempt came to, before it is written down. */
interface Verdict {
  status: RunOutcome["status"];
  error: RunFailure | null;
  state: RunOutcome["state"];
}

/** One attempt of one run, from its claim to the transaction that ends it. Never rejects. */
export class RunExecution {
  readonly #handle: RunHandle;
  readonly #env: RunEnvironment;
  readonly #feed: RunFeed;
  readonly #emitter: RunEmitter;
  readonly #kwargs: RunKwargs;
  #prepared: Prepared | undefined;
  #pump: Pump | undefined;

  constructor(handle: RunHandle, env: RunEnvironment) {
    this.#handle = handle;
    this.#env = env;
    const { run, fence } = handle;
    this.#kwargs = run.kwargs as unknown as RunKwargs;
    this.#feed = env.hub.open(run.run_id);
    this.#feed.reopen();
    this.#emitter = new RunEmitter({
      feed: this.#feed,
      fence,
      logged: run.logged,
      write: (rows) => env.commits.submit({ kind: "events", fence, rows }),
      onFailure: (error) => handle.abort(error as Error),
    });
  }

  get #scope(): AuthScope {
    const { tenant, owner } = this.#handle.run;
    return { tenant, owner, permissions: [], filters: undefined };
  }

  async run(): Promise<AttemptEnd> {
    const { run } = this.#handle;
    const { run_id, thread_id, attempt } = run;
    this.#emitter.begin(JSON.stringify({ run_id, attempt, thread_id }));
    this.#env.hub.announce(thread_id, this.#feed);
    let thrown: unknown;
    try {
      await this.#drive();
    } catch (error) {
      thrown = error ?? new Error("The graph threw nothing");
    }
    const saver = this.#prepared?.saver;
    try {
      // A run is over only when its saver has nothing in flight.
      if (thrown !== undefined) saver?.close(thrown);
      await saver?.settled();
    } catch (error) {
      thrown ??= error;
    }
    return this.#settle(thrown);
  }

  async #drive(): Promise<void> {
    const prepared = await prepareRun(this.#handle, this.#env);
    this.#prepared = prepared;
    if (prepared.recovery === "finished") return this.#announceStanding(prepared.graph);
    const { run } = this.#handle;
    if (prepared.vanished !== undefined) throw new NodeVanished(prepared.vanished, run.graph_id);
    const { graph, input, options } = prepared;
    const { stream_mode: modes, subgraphs } = this.#kwargs;
    this.#pump = new Pump({ graph, input, options, modes, subgraphs, runId: run.run_id }, this.#emitter);
    await this.#pump.run();
    // An abort that came too late for the graph to notice still decides how the run ends.
    if (this.#handle.signal.aborted) throw this.#handle.signal.reason;
  }

  /** The dead attempt had reached an interrupt or breakpoint: only tell it. */
  async #announceStanding(graph: GraphLike): Promise<void> {
    const state = await readRunState(graph, this.#handle.run.thread_id);
    this.#emitter.emit("values", "", encodeJson({ __interrupt__: Object.values(state.interrupts).flat() }));
  }

  async #settle(thrown: unknown): Promise<AttemptEnd> {
    const { signal, fence, run } = this.#handle;
    const cause = signal.aborted ? signal.reason : thrown;
    if (cause instanceof LeaseLostError || thrown instanceof LeaseLostError) return this.#lose();
    if (cause instanceof Shutdown || this.#isDrained(thrown)) return this.#release();
    if (cause instanceof RuntimeError && cause.code === "unavailable" && this.#prepared !== undefined) {
      return this.#retry(failureOf(cause));
    }
    if (thrown !== undefined && !(cause instanceof RunCancelled)) {
      this.#env.logger.warn(
        { run_id: run.run_id, thread_id: run.thread_id, graph_id: run.graph_id, err: cause },
        "run failed",
      );
    }
    // What is on its way to the log must be there before the lane is given up: later it would be refused.
    await this.#emitter.written();
    const { verdict, events, body } = await this.#ending(thrown === undefined ? undefined : cause);
    const closing = this.#emitter.conclude(events);
    const outcome: RunOutcome = {
      status: verdict.status,
      error: verdict.error,
      scope: this.#prepared?.checkpointScope ?? "",
      state: verdict.state,
      events: closing.rows,
    };
    const result = await this.#untilStored(() => this.#env.storage.runs.finish(fence, outcome));
    if (result === undefined || result.kind === "fenced") return this.#lose();
    closing.release();
    this.#feed.finish({ body: result.kind === "removed" ? await this.#storedValues() : body });
    this.#env.hub.drop(run.run_id);
    return result.kind === "removed" || result.thread_status === "busy" ? "handed_on" : "finished";
  }

  #isDrained(thrown: unknown): boolean {
    const isGraphDrained = this.#prepared?.toolkit.isGraphDrained;
    return thrown !== undefined && isGraphDrained?.(thrown) === true;
  }

  /** Values that cannot be written as JSON fail the run; they must not keep it from ending. */
  async #ending(cause: unknown): Promise<{ verdict: Verdict; events: ClosingEvent[]; body: string }> {
    const told = (verdict: Verdict) => ({
      verdict,
      events: this.#closingEvents(verdict),
      body: this.#body(verdict),
    });
    try {
      return told(await this.#verdict(cause));
    } catch (error) {
      this.#env.logger.warn({ run_id: this.#handle.run.run_id, err: error }, "the values of a run cannot be told");
      this.#pump?.forget();
      return told({ status: "error", error: failureOf(error), state: undefined });
    }
  }

  async #verdict(cause: unknown): Promise<Verdict> {
    if (cause === undefined) return { status: "success", error: null, state: await this.#stateAfterSuccess() };
    if (cause instanceof RunCancelled) {
      // After a rollback the thread is what it was before the run.
      const state = cause.action === "rollback" ? undefined : await this.#stateFromStore();
      return { status: "interrupted", error: null, state };
    }
    const status = cause instanceof RunTimeout ? "timeout" : "error";
    return { status, error: failureOf(cause), state: await this.#stateFromStore() };
  }

  /** The last `values` event is the state, unless something is left to do. */
  async #stateAfterSuccess(): Promise<RunOutcome["state"]> {
    const pump = this.#pump;
    const stopped = pump === undefined || pump.result.breakpoint || pump.result.interrupts.length > 0;
    if (!stopped || this.#kwargs.transient) {
      const values = pump?.valuesText();
      if (values !== undefined) return { values, interrupts: {}, pending: false };
    }
    return this.#stateFromStore();
  }

  async #stateFromStore(): Promise<RunOutcome["state"]> {
    if (this.#prepared === undefined || this.#kwargs.transient) return undefined;
    try {
      return await readRunState(this.#prepared.graph, this.#handle.run.thread_id);
    } catch (error) {
      this.#env.logger.error(
        { run_id: this.#handle.run.run_id, err: error },
        "state of an ended run could not be read",
      );
      return undefined;
    }
  }

  /**
   * Final values are kept for runs whose log does not hold them, so that a later join can answer; `error` is last and
   * `end` follows everything else.
   */
  #closingEvents(verdict: Verdict): ClosingEvent[] {
    const events: ClosingEvent[] = [];
    const { run } = this.#handle;
    if (!run.logged || !this.#kwargs.stream_mode.includes("values")) {
      const values = this.#pump?.valuesText();
      if (values !== undefined) events.push({ mode: "values", data: values, shown: false });
      const interrupts = this.#interruptsText(verdict);
      // On a logged run without `values` and `updates` they stand in the log already: the reader had to see them.
      if (interrupts !== undefined && (!run.logged || this.#kwargs.stream_mode.includes("updates"))) {
        events.push({ mode: "values", data: `{"__interrupt__":${interrupts}}`, shown: false });
      }
    }
    if (verdict.error !== null) events.push({ mode: "error", data: JSON.stringify(verdict.error), shown: true });
    else events.push({ mode: "end", data: "null", shown: true });
    return events;
  }

  #interruptsText(verdict: Verdict): string | undefined {
    const interrupts = this.#pump?.result.interrupts ?? [];
    const standing = this.#pump === undefined ? Object.values(verdict.state?.interrupts ?? {}).flat() : [];
    const all = interrupts.length > 0 ? interrupts : standing;
    return all.length > 0 ? encodeJson(all) : undefined;
  }

  #body(verdict: Verdict): string {
    return resultBody({
      values: this.#pump?.valuesText() ?? verdict.state?.values,
      interrupts: this.#interruptsText(verdict),
      error: verdict.error,
    });
  }

  async #storedValues(): Promise<string> {
    const thread = await this.#env.storage.threads.find(this.#scope, this.#handle.run.thread_id);
    return thread?.values == null ? "{}" : JSON.stringify(thread.values);
  }

  async #release(): Promise<AttemptEnd> {
    try {
      await this.#emitter.flush();
    } catch (error) {
      this.#env.logger.warn(
        { run_id: this.#handle.run.run_id, err: error },
        "last events of a released run were not kept",
      );
    }
    this.#emitter.conclude([]);
    this.#feed.suspend();
    const released = await this.#untilStored(() => this.#env.storage.runs.release(this.#handle.fence));
    return released === true ? "released" : "lost";
  }

  async #retry(failure: RunFailure): Promise<AttemptEnd> {
    this.#emitter.conclude([]);
    const swept = await this.#untilStored(() => this.#env.storage.runs.retry(this.#handle.fence, failure));
    if (swept === undefined) return this.#lose();
    if (swept.result === "requeued") return "retried";
    await concludeSwept(this.#env, swept);
    return "handed_on";
  }

  /** Somebody else decides about this run now; readers come back and ask again. */
  #lose(): AttemptEnd {
    this.#emitter.conclude([]);
    if (this.#feed.state === "open") this.#feed.suspend();
    if (this.#env.hub.find(this.#handle.run.run_id) === this.#feed) this.#env.hub.drop(this.#handle.run.run_id);
    this.#env.logger.warn(
      { run_id: this.#handle.run.run_id, epoch: this.#handle.fence.epoch },
      "lost the lane of a run",
    );
    return "lost";
  }

  /** The end of a run must not be lost to a full disk: tried until it is stored or the process stops. */
  async #untilStored<T>(write: () => Promise<T>): Promise<T | undefined> {
    for (let delay = 50; ; delay = Math.min(delay * 2, 2000)) {
      try {
        return await write();
      } catch (error) {
        if (this.#env.stopping.aborted) return undefined;
        this.#env.logger.error(
          { run_id: this.#handle.run.run_id, err: error },
          "the end of a run could not be stored; trying again",
        );
        await this.#env.delay(delay);
      }
    }
  }
}
