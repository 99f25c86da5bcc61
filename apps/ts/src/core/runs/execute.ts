import { LeaseLostError, RuntimeError } from "#core/errors";
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
import { isGoing, THREAD_DELETED } from "./deletions.ts";
import { followRun, storedValues } from "./ending.ts";
import { failedNode } from "./failed-node.ts";
import { idsOf } from "./observer.ts";
import { failureOf, resultBody } from "./outcome.ts";
import { type Prepared, prepareRun, type RunEnvironment, scopeOfRun } from "./prepare.ts";
import type { RetryCause, RunFailure, RunOutcome, SweptRun } from "./repository.ts";
import { endOf } from "./take-away.ts";
import { GraphRemoved } from "./unserved.ts";
import { untilStored } from "./until-stored.ts";
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

/** The same, with what is written and said of it. */
interface Ending {
  verdict: Verdict;
  events: ClosingEvent[];
  body: string;
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
    this.#feed.executing = true;
    this.#feed.epoch = fence.epoch;
    this.#feed.reopen();
    this.#emitter = new RunEmitter({
      feed: this.#feed,
      fence,
      logged: run.logged,
      write: async (rows) => {
        await env.commits.submit({ kind: "events", fence, rows });
        env.hints.log(run.run_id);
      },
      onFailure: (error) => handle.abort(error as Error),
      onFirst: run.attempt === 1 ? () => this.#countFirst() : undefined,
    });
    handle.onLost = () => this.#leave();
  }

  get #scope(): AuthScope {
    const { tenant, owner } = this.#handle.run;
    return { tenant, owner, permissions: [], filters: undefined };
  }

  async run(): Promise<AttemptEnd> {
    const { run } = this.#handle;
    const { run_id, thread_id, attempt } = run;
    await this.#takeOver();
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

  /** Readers here followed the run from afar; from now on this attempt writes their feed. */
  async #takeOver(): Promise<void> {
    const { run_id, epoch, first_epoch } = this.#handle.run;
    const { follower } = this.#env;
    if (epoch === first_epoch) follower.unfollow(run_id);
    else await this.#untilStored(() => follower.handOver(run_id, epoch), "the log of earlier attempts is not read yet");
  }

  async #drive(): Promise<void> {
    if (this.#handle.lost) throw this.#handle.signal.reason;
    const { graph_id } = this.#handle.run;
    if (this.#env.graphs.find(graph_id) === undefined) throw new GraphRemoved(graph_id);
    const prepared = await prepareRun(this.#handle, this.#env);
    this.#prepared = prepared;
    if (prepared.recovery === "finished") return this.#announceStanding(await this.#runState(prepared));
    const { run } = this.#handle;
    if (prepared.vanished !== undefined) throw new NodeVanished(prepared.vanished, run.graph_id);
    const { graph, input, options, storedId, toolkit } = prepared;
    const { stream_mode: modes, subgraphs } = this.#kwargs;
    this.#pump = new Pump({ graph, input, options, modes, subgraphs, runId: run.run_id, storedId }, this.#emitter);
    await this.#pump.run();
    if (!toolkit.showsInterrupts) {
      const { pending, interrupts } = await this.#runState(prepared);
      if (pending) this.#pump.stoppedAt(Object.values(interrupts).flat());
    }
    // An abort that came too late for the graph to notice still decides how the run ends.
    if (this.#handle.signal.aborted) throw this.#handle.signal.reason;
  }

  #runState({ graph }: Prepared): Promise<NonNullable<RunOutcome["state"]>> {
    return readRunState(graph, this.#handle.run.thread_id);
  }

  /** The dead attempt had reached an interrupt or breakpoint: its events may not have been stored. */
  #announceStanding({ values, interrupts }: NonNullable<RunOutcome["state"]>): void {
    const { stream_mode: modes } = this.#kwargs;
    const all = Object.values(interrupts).flat();
    if (modes.includes("updates")) this.#emitter.emit("updates", "", encodeJson({ __interrupt__: all }));
    if (!modes.includes("values")) return;
    const shown = resultBody({ values, interrupts: all.length > 0 ? encodeJson(all) : undefined, error: null });
    this.#emitter.emit("values", "", shown);
  }

  async #settle(thrown: unknown): Promise<AttemptEnd> {
    const { signal, fence, run } = this.#handle;
    const cause = signal.aborted ? signal.reason : thrown;
    if (this.#handle.lost || cause instanceof LeaseLostError || thrown instanceof LeaseLostError) return this.#lose();
    if (cause instanceof Shutdown || this.#isDrained(thrown)) {
      const { blamed, suspected } = this.#handle;
      if (suspected) return this.#lose();
      return blamed === undefined ? this.#release() : this.#retry(failureOf(blamed), "fault");
    }
    if (this.#isOutage(cause)) return this.#retry(failureOf(cause), "outage");
    if (thrown !== undefined && !(cause instanceof RunCancelled)) {
      const node = await failedNode(this.#prepared?.graph, run.thread_id, cause);
      this.#env.logger.warn({ ...idsOf(run), node, err: cause }, "run failed");
    }
    // What is on its way to the log must be there before the lane is given up: later it would be refused.
    await this.#emitter.seal();
    let ending = await this.#ending(thrown === undefined ? undefined : cause);
    const stored = await this.#untilStored(async () => {
      const { verdict, events } = ending;
      const { rows, release } = this.#emitter.conclude(events);
      const scope = scopeOfRun(this.#env, run);
      try {
        return { result: await this.#env.storage.runs.finish(fence, { ...verdict, scope, events: rows }), release };
      } catch (error) {
        // What the database refuses it will always refuse: the run must end all the same.
        if (!isUnavailable(error)) ending = this.#failed(error);
        throw error;
      }
    });
    if (stored === undefined || stored.result.kind === "fenced") return this.#lose();
    const { verdict, body } = ending;
    const { result, release } = stored;
    release();
    const rolledBack = result.kind === "removed" && verdict.error === null;
    this.#feed.finish({ body: rolledBack ? await this.#storedValues() : body });
    this.#feed.executing = false;
    this.#env.hub.drop(run.run_id);
    this.#env.hints.log(run.run_id);
    this.#env.observer.ended({ ...idsOf(run), status: verdict.status, seconds: this.#handle.seconds });
    return result.kind === "removed" || result.thread_status === "busy" ? "handed_on" : "finished";
  }

  /** The storage was out of reach; not so if it is the graph that cannot be had. */
  #isOutage(cause: unknown): boolean {
    if (!isUnavailable(cause)) return false;
    return this.#prepared !== undefined || this.#env.graphs.find(this.#handle.run.graph_id)?.error === undefined;
  }

  #isDrained(thrown: unknown): boolean {
    const isGraphDrained = this.#prepared?.toolkit.isGraphDrained;
    return thrown !== undefined && isGraphDrained?.(thrown) === true;
  }

  /** Values that cannot be written as JSON fail the run; they must not keep it from ending. */
  async #ending(cause: unknown): Promise<Ending> {
    try {
      return this.#told(await this.#verdict(cause));
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Ending {
    this.#env.logger.warn({ run_id: this.#handle.run.run_id, err: error }, "the values of a run cannot be told");
    this.#pump?.forget();
    return this.#told({ status: "error", error: failureOf(error), state: undefined });
  }

  #told(verdict: Verdict): Ending {
    return { verdict, events: this.#closingEvents(verdict), body: this.#body(verdict) };
  }

  async #verdict(cause: unknown): Promise<Verdict> {
    if (cause === undefined) return { status: "success", error: null, state: await this.#stateAfterSuccess() };
    if (cause instanceof RunCancelled) {
      // After a rollback the thread is what it was before the run.
      const state = cause.action === "rollback" ? undefined : await this.#stateFromStore();
      return { status: "interrupted", error: (await this.#isThreadGoing()) ? THREAD_DELETED : null, state };
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
      const { graph, durable: saver } = this.#prepared;
      const { logger } = this.#env;
      return await readRunState(graph, this.#handle.run.thread_id, saver && { saver, logger });
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
    if (!this.#handle.run.logged || !this.#kwargs.stream_mode.includes("values")) {
      const values = this.#pump?.valuesText();
      const interrupts = this.#interruptsText(verdict);
      if (values !== undefined || interrupts !== undefined) {
        events.push({ mode: "values", data: resultBody({ values, interrupts, error: null }), shown: false });
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
    const find = () => storedValues(this.#env, this.#scope, this.#handle.run.thread_id);
    return (await this.#untilStored(find, "the values of a thread could not be read")) ?? "{}";
  }

  async #isThreadGoing(): Promise<boolean> {
    const find = () => this.#env.storage.threads.find(this.#scope, this.#handle.run.thread_id);
    return isGoing(await this.#untilStored(find, "the thread of a cancelled run could not be read"));
  }

  async #release(): Promise<AttemptEnd> {
    try {
      // Also what is under way: it would be refused once the lane is given up.
      await this.#emitter.seal();
      await this.#emitter.flush();
    } catch (error) {
      this.#env.logger.warn(
        { run_id: this.#handle.run.run_id, err: error },
        "last events of a released run were not kept",
      );
    }
    this.#leave();
    const { run, fence } = this.#handle;
    const swept = await this.#untilStored(() => this.#env.storage.runs.release(fence));
    this.#env.hints.log(run.run_id);
    if (swept === undefined || swept.result === "requeued") {
      this.#env.observer.interrupted({ graph_id: run.graph_id, reason: swept === undefined ? "fenced" : "released" });
      return swept === undefined ? "lost" : "released";
    }
    // By a cancel that came too late to be carried out.
    return this.#ended(swept);
  }

  async #ended(swept: SweptRun): Promise<AttemptEnd> {
    this.#env.observer.ended({ ...idsOf(swept.run), status: endOf(swept), seconds: this.#handle.seconds });
    await concludeSwept(this.#env, swept);
    this.#feed.executing = false;
    return "handed_on";
  }

  async #retry(failure: RunFailure, cause: RetryCause): Promise<AttemptEnd> {
    this.#emitter.conclude([]);
    const { run, fence } = this.#handle;
    const swept = await this.#untilStored(() => this.#env.storage.runs.retry(fence, failure, cause));
    if (swept === undefined) return this.#lose();
    this.#env.observer.interrupted({ graph_id: run.graph_id, reason: "retried" });
    if (swept.result !== "requeued") return this.#ended(swept);
    this.#feed.executing = false;
    // The next attempt may be another process's.
    if (this.#feed.state === "open") void followRun(this.#env, swept.run, this.#feed);
    return "retried";
  }

  /** Somebody else decides about this run now. */
  #lose(): AttemptEnd {
    this.#leave();
    const { run, fence } = this.#handle;
    this.#env.observer.interrupted({ graph_id: run.graph_id, reason: "fenced" });
    this.#env.logger.warn({ run_id: run.run_id, epoch: fence.epoch }, "lost the lane of a run");
    return "lost";
  }

  /** Nothing more of this attempt is shown; readers come back and ask again, those who wait do so by themselves. */
  #leave(): void {
    const { hub } = this.#env;
    const { run_id } = this.#handle.run;
    this.#emitter.conclude([]);
    // What an abandoned attempt still says must not disturb the one that took over its feed.
    if (!this.#feed.executing) return;
    this.#feed.executing = false;
    if (this.#feed.state === "open") this.#feed.suspend();
    // A draining process keeps it, so that whoever comes back is told at once to go elsewhere.
    if (!hub.closing && hub.find(run_id) === this.#feed) hub.drop(run_id);
  }

  #countFirst(): void {
    const { run, seconds } = this.#handle;
    const waited = Date.parse(run.started_at ?? run.created_at) - Date.parse(run.created_at);
    this.#env.observer.firstEvent({ graph_id: run.graph_id, seconds: waited / 1_000 + seconds });
  }

  #untilStored<T>(write: () => Promise<T>, problem = "the end of a run could not be stored"): Promise<T | undefined> {
    return untilStored(this.#env, write, { run_id: this.#handle.run.run_id, problem });
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === "unavailable";
}
