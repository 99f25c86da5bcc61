import { RuntimeError } from "#core/errors";

/** How long a check may take, and how long its answer is good for. */
const ANSWER_MS = 2_500;
const GOOD_FOR_MS = 2_000;

/** A condition for this process to receive requests. */
export interface Check {
  /** The reason when the check times out or fails with anything but a RuntimeError. */
  readonly failure: string;
  /** Rejects when the condition does not hold; a RuntimeError gives the reason. */
  run(): Promise<void>;
}

/** Checks of the storage; the first failure in this order is the reason that `/ready` gives. */
export function storageChecks(storage: () => { ping(): Promise<void>; writable(): Promise<void> }): Check[] {
  return [
    { failure: "The database does not answer", run: () => storage().ping() },
    { failure: "The database does not take writes", run: () => storage().writable() },
  ];
}

/** Whether this process should be sent requests. The schema is no question here: a server starts only on the right one. */
export class Readiness {
  /** The server stops: it ends what it has and takes nothing new. */
  draining = false;
  /** This process holds its lease; true where there are no leases. */
  leased = true;
  readonly #checks: readonly Check[];
  #asked = Number.NEGATIVE_INFINITY;
  #answer: Promise<string | undefined> | undefined;

  constructor(checks: readonly Check[]) {
    this.#checks = checks;
  }

  /** Undefined when it is ready, else why not. Never rejects. */
  async reason(): Promise<string | undefined> {
    if (this.draining) return "The server is stopping";
    if (!this.leased) return "This process has lost its lease";
    const failure = await this.#failure();
    // Either may have come in the meantime.
    return this.draining ? "The server is stopping" : failure;
  }

  /** However many ask, the checks run once in a while. */
  #failure(): Promise<string | undefined> {
    const now = performance.now();
    if (this.#answer === undefined || now - this.#asked > GOOD_FOR_MS) {
      this.#asked = now;
      this.#answer = firstFailure(this.#checks);
    }
    return this.#answer;
  }
}

async function firstFailure(checks: readonly Check[]): Promise<string | undefined> {
  const outcomes = await Promise.all(checks.map(within));
  return outcomes.find((failure) => failure !== undefined);
}

/** A late check counts as failed; its result is ignored. */
async function within({ failure, run }: Check): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, ANSWER_MS, failure);
    timer.unref();
  });
  const answered = run().then(
    () => undefined,
    (error: unknown) => (error instanceof RuntimeError ? error.message : failure),
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
