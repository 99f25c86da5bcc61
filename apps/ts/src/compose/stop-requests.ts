/** Why the server stops. "orphaned": the supervisor is gone, nobody would stop this process otherwise. */
export type StopReason =
  | { kind: "signal"; signal: NodeJS.Signals }
  | { kind: "reload"; path: string }
  | { kind: "orphaned" }
  /** The server can do nothing any more; none of its runs is to blame. */
  | { kind: "failed"; error: Error }
  /** `run_id`: in whose code it happened, if that is known. */
  | { kind: "fatal"; error: unknown; run_id?: string | undefined };

const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/**
 * Ctrl-C in a terminal reaches this process directly, through the supervisor and through npm: equal signals within this
 * time are one, and only a later one means "at once".
 */
const SAME_SIGNAL_MS = 1_000;

/** The part of `process` that is listened to. */
export type SignalSource = Pick<NodeJS.EventEmitter, "on" | "off">;

/** Collects everything that ends the server; the first request counts, a second signal forces. */
export class StopRequests {
  /** Settles with the first reason. */
  readonly first: Promise<StopReason>;
  readonly #resolve: (reason: StopReason) => void;
  readonly #seen = new Map<string, number>();
  readonly #listeners: [event: string, listener: () => void][] = [];
  readonly #source: SignalSource;
  #signalled = false;
  #requested = false;

  /** @param onForce Called for every signal after the first. */
  constructor(source: SignalSource, onForce: (signal: NodeJS.Signals) => void) {
    const { promise, resolve } = Promise.withResolvers<StopReason>();
    this.first = promise;
    this.#resolve = resolve;
    this.#source = source;
    for (const signal of SIGNALS) {
      this.#listen(signal, () => {
        if (this.#isEcho(signal)) return;
        if (this.#signalled) return onForce(signal);
        this.#signalled = true;
        this.request({ kind: "signal", signal });
      });
    }
    this.#listen("disconnect", () => this.request({ kind: "orphaned" }));
  }

  request(reason: StopReason): void {
    this.#requested = true;
    this.#resolve(reason);
  }

  get requested(): boolean {
    return this.#requested;
  }

  /** Somebody wants the server to end, not just to start afresh. */
  get signalled(): boolean {
    return this.#signalled;
  }

  close(): void {
    for (const [event, listener] of this.#listeners.splice(0)) this.#source.off(event, listener);
  }

  #listen(event: string, listener: () => void): void {
    this.#listeners.push([event, listener]);
    this.#source.on(event, listener);
  }

  #isEcho(signal: string): boolean {
    const now = performance.now();
    const last = this.#seen.get(signal);
    if (last !== undefined && now - last < SAME_SIGNAL_MS) return true;
    this.#seen.set(signal, now);
    return false;
  }
}
