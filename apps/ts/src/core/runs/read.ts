import { RuntimeError } from "#core/errors";
import type { AuthScope } from "#core/identity/scope";
import { Audience } from "#core/streams/audience";
import { compareIds, type EventId, frameOf, START } from "#core/streams/events";
import type { RunFeed } from "#core/streams/feed";
import type { RunEnd } from "#core/streams/follower";
import type { ReaderFilter } from "#core/streams/modes";
import { readEnded, readLive } from "#core/streams/reader";
import type { RunKwargs } from "./create.ts";
import { asEnded, endOfGone, followRun, type Known, resultOf } from "./ending.ts";
import type { RunEnvironment } from "./prepare.ts";
import type { RunFailure, RunRecord } from "./repository.ts";

/** Tells clients how soon to come back. No blank line follows: it must not look like an event. */
const COME_BACK = new TextEncoder().encode("retry: 500\n");

export interface JoinRequest extends ReaderFilter {
  from: "start" | "now" | EventId;
  endEvent: boolean;
  signal: AbortSignal;
}

/** A run to read; with its feed where the caller has it from the run's creation. */
export interface Readable {
  run: RunRecord;
  feed?: RunFeed | undefined;
}

/** `gone`: the database does not have the run any more. */
type Attached = { feed: RunFeed } | { feed: undefined; run: RunRecord; gone?: true };

/**
 * The answer breaks off without an end: this process does not have the run any more, the client is to come back. A body
 * that ended well would be taken for the run's end.
 */
export class StreamSuspended extends Error {
  override readonly name = "StreamSuspended";
  constructor() {
    super("The run goes on elsewhere; reconnect to go on");
  }
}

/** Reads runs: their events as they come or as they were kept, and what they came to. */
export class RunReader {
  readonly #env: RunEnvironment;
  readonly audience: Audience;
  /** Feeds that were made for a reader and may yet turn out to be too late, by run. */
  readonly #opening = new Map<string, Promise<Attached>>();

  constructor(env: RunEnvironment) {
    this.#env = env;
    this.audience = new Audience(env.hub, env.storage.signals);
  }

  /**
   * Frames of a run, whatever has become of it: live, kept in the log, or only its final state. Ends when the run ends,
   * or the client leaves. Throws StreamSuspended when the run goes on elsewhere.
   */
  async *frames(scope: AuthScope, { run, feed }: Readable, request: JoinRequest): AsyncGenerator<Uint8Array[]> {
    const asked = new Set<string>((run.kwargs as unknown as RunKwargs).stream_mode);
    const modes = request.modes ?? asked;
    const source = { log: this.#env.storage.events, scope, run };
    const since = this.#env.storage.timeline.number;
    let found = await this.#find(scope, { run, feed });
    if (found.feed !== undefined) {
      const end = yield* readLive(found.feed, source, { ...request, modes, from: ofRun(run, request.from) });
      if (end === "over" || request.signal.aborted) return;
      // It waited for events after an id that none was to have: it is told like one that comes after the end.
      if (end === "unknown") found = await this.#attach(scope, run);
      if (found.feed !== undefined && (await this.#isGone(scope, run, found.feed))) {
        found = { feed: undefined, run, gone: true };
      }
      if (found.feed !== undefined) {
        yield [COME_BACK];
        throw new StreamSuspended();
      }
    }
    if (found.gone === true) {
      const end = await this.#endUnlessLost(scope, { run, since });
      // It need not have ended: a client that comes back gets what the database has.
      if (end === undefined) {
        yield [COME_BACK];
        throw new StreamSuspended();
      }
      const last = lastFrame(found.run, end.error, request.endEvent);
      if (last !== undefined) yield [last];
      return;
    }
    const from = await this.#known(scope, found.run, request.from);
    let any = false;
    for await (const frames of readEnded(source, { ...request, modes, from })) {
      any = true;
      yield frames;
    }
    if (!any) {
      yield* this.#epilogue(scope, { run: found.run, since }, { ...request, from });
      return;
    }
    const untold = await this.#untoldEnd(scope, { run: found.run, since }, request.endEvent);
    if (untold.length > 0) yield untold;
  }

  /** Whether a run was deleted before this reader had all of it, or while it was executed here. */
  async #isGone(scope: AuthScope, { run_id }: RunRecord, { state }: RunFeed): Promise<boolean> {
    const { hub, storage } = this.#env;
    // The readers of a server that stops are not kept for a question.
    if (state === "open" || (state === "suspended" && hub.closing)) return false;
    return (await storage.runs.find(scope, run_id)) === undefined;
  }

  /** An id that no event has, or none any more, means the start of what is kept. */
  async #known(scope: AuthScope, run: RunRecord, from: JoinRequest["from"]): Promise<JoinRequest["from"]> {
    const place = ofRun(run, from);
    if (typeof place !== "object" || place.epoch !== run.epoch) return place;
    const { thread_id, run_id } = run;
    const before = { epoch: place.epoch, n: place.n - 1 };
    const [row] = await this.#env.storage.events.read(scope, { thread_id, run_id, after: before, limit: 1 });
    return row !== undefined && compareIds(row, place) === 0 ? place : START;
  }

  /** JSON text of the wait body, once the run is over. Throws StreamSuspended when the server drains first. */
  async result(scope: AuthScope, target: Readable, signal: AbortSignal): Promise<string> {
    const since = this.#env.storage.timeline.number;
    for (let { run, feed }: Readable = target; ; feed = undefined) {
      const found = await this.#find(scope, { run, feed });
      if (found.feed === undefined) {
        if (found.gone === true) return (await this.endOfGone(scope, { run, since })).body;
        return resultOf(this.#env, scope, found.run);
      }
      await ended(found.feed, signal);
      if (found.feed.result !== undefined) return found.feed.result.body;
      if (signal.aborted) return "{}";
      if (this.#env.hub.closing) throw new StreamSuspended();
      // This process lost the run, and another one goes on with it.
      const now = await this.#env.storage.runs.find(scope, run.run_id);
      if (now === undefined) return (await this.endOfGone(scope, { run, since })).body;
      run = now;
    }
  }

  /** JSON text of the values of a run's thread; "{}" when it has none or is hidden. RuntimeError not_found: it was deleted. */
  async storedValues(scope: AuthScope, { thread_id, stateless }: RunRecord): Promise<string> {
    const thread = await this.#env.storage.threads.find(scope, thread_id);
    if (thread === undefined && !stateless) throw new RuntimeError("not_found", `Thread ${thread_id} not found`);
    return thread?.values == null ? "{}" : JSON.stringify(thread.values);
  }

  /** RuntimeError unavailable when the database has lost the run. */
  endOfGone(scope: AuthScope, known: Known): Promise<RunEnd> {
    return endOfGone(this.#env, scope, known);
  }

  async #endUnlessLost(scope: AuthScope, known: Known): Promise<RunEnd | undefined> {
    try {
      return await this.endOfGone(scope, known);
    } catch (error) {
      if (error instanceof RuntimeError && error.code === "unavailable") return undefined;
      throw error;
    }
  }

  /** The feed that the caller has from the run's creation, while it is still the one that is filled. */
  async #find(scope: AuthScope, { run, feed }: Readable): Promise<Attached> {
    if (feed !== undefined && (feed.state !== "open" || this.#env.hub.find(run.run_id) === feed)) return { feed };
    return this.#attach(scope, run);
  }

  /**
   * The feed of a run that is not over, made if this process has none yet; else the run as it ended. Asked again after
   * the feed exists, because the run may have ended between the two.
   */
  async #attach(scope: AuthScope, run: RunRecord): Promise<Attached> {
    const opening = this.#opening.get(run.run_id);
    if (opening !== undefined) return opening;
    const known = this.#env.hub.find(run.run_id);
    if (known !== undefined && (known.state !== "suspended" || this.#env.hub.closing)) return { feed: known };
    if (isOver(run)) return { feed: undefined, run: await asEnded(this.#env, scope, run) };
    const opened = this.#open(scope, run).finally(() => this.#opening.delete(run.run_id));
    this.#opening.set(run.run_id, opened);
    return opened;
  }

  async #open(scope: AuthScope, run: RunRecord): Promise<Attached> {
    const { hub, storage } = this.#env;
    if (hub.find(run.run_id)?.state === "suspended") hub.drop(run.run_id);
    const feed = hub.open(run.run_id);
    const drop = () => {
      // An attempt of this process may have begun to write it meanwhile.
      if (!feed.executing && hub.find(run.run_id) === feed) hub.drop(run.run_id);
    };
    try {
      let now = await storage.runs.find(scope, run.run_id);
      if (now !== undefined && !isOver(now)) {
        await followRun(this.#env, now, feed);
        if (feed.state === "open") return { feed };
        // It ended while the log was read: told like any run that is over.
        now = await storage.runs.find(scope, run.run_id);
      }
      drop();
      if (now === undefined) return { feed: undefined, run, gone: true };
      return isOver(now) ? { feed: undefined, run: await asEnded(this.#env, scope, now) } : { feed };
    } catch (error) {
      drop();
      throw error;
    }
  }

  /** How a run ended whose log does not say it: its executor was lost, or the run was taken away from it. */
  async #untoldEnd(scope: AuthScope, known: Known, endEvent: boolean): Promise<Uint8Array[]> {
    const { run } = known;
    const { run_id, thread_id } = run;
    const told = await this.#env.storage.events.read(scope, { thread_id, run_id, modes: ["end", "error"], limit: 1 });
    if (told.length > 0) return [];
    // A log that was deleted while it was read must not look complete.
    const kept = run.error !== null || (await this.#env.storage.runs.find(scope, run_id)) !== undefined;
    const { error } = kept ? run : await this.endOfGone(scope, known);
    const last = lastFrame(run, error, endEvent);
    return last === undefined ? [] : [last];
  }

  /** Nothing of the run's log is left, or nothing after the reader's position: its final state, and that it is over. */
  async *#epilogue(scope: AuthScope, known: Known, request: JoinRequest): AsyncGenerator<Uint8Array[]> {
    const { run } = known;
    const { run_id, thread_id, attempt } = run;
    const say = (mode: string, data: string) => closingFrame(run, mode, data);
    const end = request.endEvent ? [say("end", "null")] : [];
    if (typeof request.from === "object" && run.epoch <= request.from.epoch) {
      // The reader has seen everything that there was.
      const untold = await this.#untoldEnd(scope, known, request.endEvent);
      yield untold.length > 0 ? untold : end;
      return;
    }
    const metadata = say("metadata", JSON.stringify({ run_id, attempt, thread_id }));
    if (run.error !== null) yield [metadata, say("error", JSON.stringify(run.error))];
    else yield [metadata, say("values", await resultOf(this.#env, scope, run)), ...end];
  }
}

/** An id of a later epoch than the run ever had is none of its own. */
function ofRun(run: RunRecord, from: JoinRequest["from"]): JoinRequest["from"] {
  return typeof from === "object" && from.epoch > run.epoch ? START : from;
}

/** What closes a stream in place of the log; undefined when that is an end which clients do not want to see. */
function lastFrame(run: RunRecord, error: RunFailure | null, endEvent: boolean): Uint8Array | undefined {
  if (error !== null) return closingFrame(run, "error", JSON.stringify(error));
  return endEvent ? closingFrame(run, "end", "null") : undefined;
}

/** An event that has no place in the log, and so no id. */
function closingFrame(run: RunRecord, mode: string, data: string): Uint8Array {
  return frameOf({ epoch: run.epoch, n: null, runId: run.run_id, ns: "", mode, at: Date.now(), data });
}

export function isOver(run: RunRecord): boolean {
  return run.status !== "pending" && run.status !== "running";
}

function ended(feed: RunFeed, signal: AbortSignal): Promise<void> {
  feed.waiting++;
  return new Promise<void>((resolve) => {
    let forget = () => {};
    const check = () => {
      if (feed.state === "open" && !signal.aborted) {
        forget = feed.onChange(check);
        return;
      }
      forget();
      signal.removeEventListener("abort", check);
      resolve();
    };
    signal.addEventListener("abort", check);
    check();
  }).finally(() => {
    feed.waiting--;
  });
}
