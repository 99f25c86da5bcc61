import { RuntimeError } from "#core/errors";

/** How long the database may take to answer, and how long its answer is good for. */
const ANSWER_MS = 2_500;
const GOOD_FOR_MS = 2_000;

export interface ReadinessDeps {
  /** Rejects when the database does not answer, or takes no writes: with the reason in a RuntimeError. */
  ping(): Promise<void>;
}

/** Whether this process should be sent requests. The schema is no question here: a server starts only on the right one. */
export class Readiness {
  /** The server stops: it ends what it has and takes nothing new. */
  draining = false;
  /** This process holds its lease; true where there are no leases. */
  leased = true;
  readonly #ping: () => Promise<void>;
  #asked = Number.NEGATIVE_INFINITY;
  #answer: Promise<string | undefined> | undefined;

  constructor({ ping }: ReadinessDeps) {
    this.#ping = ping;
  }

  /** Undefined when it is ready, else why not. Never rejects. */
  async reason(): Promise<string | undefined> {
    if (this.draining) return "The server is stopping";
    if (!this.leased) return "This process has lost its lease";
    const trouble = await this.#troubleOfDatabase();
    // Either may have come in the meantime.
    if (this.draining) return "The server is stopping";
    return trouble;
  }

  /** However many ask, the database is asked once in a while. */
  #troubleOfDatabase(): Promise<string | undefined> {
    const now = performance.now();
    if (this.#answer === undefined || now - this.#asked > GOOD_FOR_MS) {
      this.#asked = now;
      this.#answer = within(this.#ping(), ANSWER_MS);
    }
    return this.#answer;
  }
}

const SILENT = "The database does not answer";

/** Why it failed, if it did. A ping that is late has; what becomes of it then does not matter any more. */
async function within(ping: Promise<void>, ms: number): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, ms, SILENT);
    timer.unref();
  });
  const answered = ping.then(
    () => undefined,
    (error: unknown) => (error instanceof RuntimeError ? error.message : SILENT),
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
