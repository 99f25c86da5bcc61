import type { GroupCommit } from "#core/checkpoints/group-commit";
import type { FencedWrite } from "#core/checkpoints/repository";

export interface QueueOptions {
  commits: GroupCommit;
  /** "queued" resolves a write when it is taken, "written" when it is stored. */
  acknowledge?: "written" | "queued" | undefined;
  onLost?: ((error: unknown) => void) | undefined;
}

/** Above this much on the way, "queued" waits for the storage after all. */
const QUEUE_BYTES = 8 * 1024 * 1024;

/** The writes of one saver: their order, how many are under way, and what became of them. */
export class SaverQueue {
  readonly #options: QueueOptions;
  /** Writes that wait for their parent checkpoint to be read; later ones stand behind them. */
  #order: Promise<void> | undefined;
  #inFlight = 0;
  #bytes = 0;
  #idle: PromiseWithResolvers<void> | undefined;
  #failure: { error: unknown } | undefined;
  #closed: { error: unknown } | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get failure(): unknown {
    return this.#failure?.error;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Resolves when every write taken so far is made. */
  async encoded(): Promise<void> {
    await this.#order;
  }

  async idle(): Promise<void> {
    while (this.#inFlight > 0) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
  }

  async settled(): Promise<void> {
    await this.idle();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  close(reason: unknown): void {
    this.#closed ??= { error: reason };
  }

  /**
   * Runs a call that ends in submit(). Refused calls reject, as those of an async method would; a value that could not
   * even be read is a lost write.
   */
  admit<T>(call: () => Promise<T>): Promise<T> {
    const refusal = this.#failure ?? this.#closed;
    if (refusal !== undefined) return Promise.reject(refusal.error);
    try {
      return call();
    } catch (error) {
      this.#lose(error);
      return Promise.reject(error);
    }
  }

  /** Sends one write after all earlier ones. */
  submit(make: () => FencedWrite | Promise<FencedWrite>): Promise<void> {
    let bytes = 0;
    const send = (write: FencedWrite): Promise<void> => {
      bytes = sizeOf(write);
      this.#bytes += bytes;
      return this.#options.commits.submit(write);
    };
    let done: Promise<void>;
    if (this.#order === undefined) {
      const made = make();
      done = made instanceof Promise ? this.#behind(made, send) : send(made);
    } else {
      // What needs no parent still waits its turn.
      done = this.#behind(this.#order.then(make), send);
    }
    this.#inFlight++;
    const stored = done.then(
      () => this.#finish(bytes),
      (error: unknown) => {
        this.#lose(error);
        this.#finish(bytes);
        throw error;
      },
    );
    if (this.#options.acknowledge !== "queued" || this.#bytes > QUEUE_BYTES) return stored;
    // Reported through onLost, failure and settled().
    stored.catch(() => undefined);
    return Promise.resolve();
  }

  #behind(made: Promise<FencedWrite>, send: (write: FencedWrite) => Promise<void>): Promise<void> {
    const sent = made.then((write) => {
      if (this.#failure !== undefined) throw this.#failure.error;
      return { stored: send(write) };
    });
    const order = sent.then(
      () => undefined,
      () => undefined,
    );
    this.#order = order;
    void order.then(() => {
      if (this.#order === order) this.#order = undefined;
    });
    return sent.then(({ stored }) => stored);
  }

  #finish(bytes: number): void {
    this.#bytes -= bytes;
    this.#inFlight--;
    if (this.#inFlight > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  #lose(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#options.onLost?.(error);
  }
}

function sizeOf(write: FencedWrite): number {
  if (write.kind === "checkpoint") return write.blobs.reduce((sum, blob) => sum + blob.value.bytes.length, 0);
  return write.kind === "writes" ? write.rows.reduce((sum, row) => sum + row.value.bytes.length, 0) : 0;
}
