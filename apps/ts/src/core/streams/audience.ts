import { setTimeout as delay } from "node:timers/promises";
import type { Signals } from "#core/signals";
import type { FeedHub } from "./hub.ts";

export interface AudiencePace {
  /** How long a client may take to come back. SDKs wait one to two seconds before they try. */
  graceMs: number;
  /** How long other processes may take to say that they have a reader. */
  answerMs: number;
}

const PACE: AudiencePace = { graceMs: 2_500, answerMs: 500 };

/** Who reads a run, or waits for it, in this process and in the others. */
export class Audience {
  readonly #hub: FeedHub;
  readonly #signals: Signals;
  readonly #pace: AudiencePace;

  constructor(hub: FeedHub, signals: Signals, pace: AudiencePace = PACE) {
    this.#hub = hub;
    this.#signals = signals;
    this.#pace = pace;
    signals.subscribe((hint) => {
      if (hint.kind !== "who_reads" || !this.#isHere(hint.run_id)) return;
      signals.publish({ kind: "read", run_id: hint.run_id });
    });
  }

  /**
   * Whether somebody reads a run a little after a client has left it: that client again, or another. Yes also if this
   * process stops meanwhile: perhaps that is why the client was cut off, and nobody here can wait for it any more.
   */
  async outlasts(runId: string): Promise<boolean> {
    const { graceMs, answerMs } = this.#pace;
    await delay(graceMs, undefined, { ref: false });
    return this.#hub.closing || this.#isHere(runId) || (await this.#isElsewhere(runId, answerMs));
  }

  #isHere(runId: string): boolean {
    const feed = this.#hub.find(runId);
    return feed !== undefined && feed.state === "open" && feed.readers + feed.waiting > 0;
  }

  /** Whether another process says so in time: a hint that is lost counts as nobody. */
  async #isElsewhere(runId: string, withinMs: number): Promise<boolean> {
    const answer = Promise.withResolvers<boolean>();
    const unsubscribe = this.#signals.subscribe((hint) => {
      if (hint.kind === "read" && hint.run_id === runId) answer.resolve(true);
    });
    this.#signals.publish({ kind: "who_reads", run_id: runId });
    const timer = setTimeout(() => answer.resolve(this.#hub.closing || this.#isHere(runId)), withinMs);
    timer.unref?.();
    const read = await answer.promise;
    clearTimeout(timer);
    unsubscribe();
    return read;
  }
}
