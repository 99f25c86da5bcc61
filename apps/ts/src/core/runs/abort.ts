/**
 * Why a run's AbortController was aborted. The graph's stream throws the very object, so the executor compares with
 * `signal.reason`, never with a text.
 */
export class RunCancelled extends Error {
  override readonly name = "RunCancelled";
  readonly action: "interrupt" | "rollback";
  constructor(action: "interrupt" | "rollback") {
    super(`The run was cancelled (${action})`);
    this.action = action;
  }
}

export class RunTimeout extends Error {
  override readonly name = "RunTimeout";
  constructor(seconds: number) {
    super(`The run took longer than ${seconds} s`);
  }
}

/** The process stops: the run goes back to the queue without using an attempt. */
export class Shutdown extends Error {
  override readonly name = "Shutdown";
  constructor() {
    super("The server is shutting down");
  }
}

/** The code of a run threw where nobody catches, and takes the process down: that costs the run an attempt. */
export class ProcessFault extends Error {
  override readonly name = "ProcessFault";
  constructor(cause: unknown) {
    super(`It ended its process: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`, {
      cause,
    });
  }
}
